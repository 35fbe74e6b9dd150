//! The demonstration, smaller, with the programs of this build: what it shows is so, and it leaves nothing behind.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::child::machine::stillpoint;
use crate::servers::program;

fn demo(folder: &Path, arguments: &[&str]) -> Option<Command> {
    for (package, name) in [("etcd-server", "etcd"), ("etcd-client", "etcdctl")] {
        program(package, name)?;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/demo-cluster");
    let mut command = Command::new(script);
    command.args(arguments).arg("--programs").arg(stillpoint().parent().unwrap());
    command.env("TMPDIR", folder).stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
    Some(command)
}

/// Processes of a demonstration that worked in this folder.
fn left_behind(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let commands = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let commands = commands.map(|command| String::from_utf8_lossy(&command).replace('\0', " "));
    commands.filter(|command| command.contains(folder)).collect()
}

#[test]
fn what_is_complete_has_no_orphan_and_the_rest_is_not_called_complete() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut demo) = demo(folder.path(), &["--snapshots", "4", "--provider", "copy"]) else {
        return;
    };
    let output = demo.output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}\n{printed}", output.status);
    let end: Vec<&str> = printed.lines().rev().take(3).collect();
    assert!(end[2].starts_with("complete: ") && end[2].ends_with(", with 0 orphans"), "{printed}");
    assert!(end[1].ends_with(", called clean by a host: 0"), "{printed}");
    assert!(end[0].starts_with("without the barrier: ") && !end[0].contains(" 0 "), "{printed}");
    for fault in ["the agent of b was killed", "the leader of etcd was killed"] {
        assert!(printed.contains(fault), "{printed}");
    }
    assert_eq!(left_behind(folder.path()), [""; 0]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "files left");
}

#[test]
fn killed_it_leaves_no_process() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut demo) = demo(folder.path(), &["--provider", "copy"]) else { return };
    let mut child = demo.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let row = lines.find(|line| line.as_ref().unwrap().trim_start().starts_with("1 "));
    assert!(row.is_some(), "it ended early");
    child.kill().unwrap();
    child.wait().unwrap();
    let since = Instant::now();
    while !left_behind(folder.path()).is_empty() && since.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(left_behind(folder.path()), [""; 0]);
    for work in fs::read_dir(folder.path()).unwrap().flatten() {
        let _ = fs::remove_dir_all(Path::new("/dev/shm").join(work.file_name()));
    }
}

#[test]
fn bad_arguments_are_refused_in_one_line() {
    for arguments in [&["--hosts", "2"][..], &["--snapshots"], &["--provider", "tape"], &["x"]] {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/demo-cluster");
        let output = Command::new(script).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert_eq!(String::from_utf8(output.stderr).unwrap().lines().count(), 1, "{arguments:?}");
    }
}
