//! The demo's check as a test: the script itself, smaller, with the programs of this build.
//!
//! Nothing is torn with the barrier, something is without, and nothing is left behind, whether the
//! demo ends by itself, by Ctrl-C or by SIGKILL. And the oracle it relies on is tried first: a
//! check that finds nothing would make every snapshot look consistent.

mod common;
#[allow(dead_code, reason = "the examples' own use of the store is wider")]
#[path = "mailstore/store.rs"]
mod store;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::common::{is_root, programs, root};

/// Where the demo has its programs from.
fn built() -> &'static Path {
    assert!(
        programs().join("examples/mailstore").exists(),
        "the example is not built: run `cargo build --example mailstore` first"
    );
    programs()
}

/// The demo, working in `folder`, in a process group of its own.
fn demo(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(root().join("scripts/demo"));
    command
        .args(arguments)
        .arg("--programs")
        .arg(built())
        .env("TMPDIR", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0);
    command
}

/// What of a demo that worked in `folder` is still there: processes, mounts, loop devices.
fn left_behind(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if command.contains(folder) {
            found.push(format!("process {command}"));
        }
    }
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let ours = mounts.lines().filter(|line| line.contains(folder));
    found.extend(ours.map(str::to_owned));
    for entry in fs::read_dir("/sys/block").into_iter().flatten().flatten() {
        let image = fs::read_to_string(entry.path().join("loop/backing_file")).unwrap_or_default();
        if image.contains(folder) {
            found.push(format!("loop device of {image}"));
        }
    }
    found
}

/// The folders of a demo that works in `folder`: that of the files and that of the barrier.
fn folders(folder: &Path) -> Vec<PathBuf> {
    let works = fs::read_dir(folder).unwrap().flatten();
    let both = works.flat_map(|work| [work.path(), Path::new("/dev/shm").join(work.file_name())]);
    both.collect()
}

/// Nothing is left of a demo that has ended by itself; `there` is what [`folders`] said before.
#[track_caller]
fn assert_clean(folder: &Path, there: &[PathBuf]) {
    assert_eq!(left_behind(folder), Vec::<String>::new());
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0, "files left");
    for folder in there {
        assert!(!folder.exists(), "{} is left", folder.display());
    }
}

/// Runs the demo to its end and returns what it printed.
fn run(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = demo(folder.path(), arguments).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}\n{printed}", output.status);
    assert_clean(folder.path(), &[]);
    printed
}

#[test]
fn none_is_torn_with_the_barrier_and_some_without() {
    let provider = if is_root() { "btrfs" } else { "copy" };
    let printed = run(&["--provider", provider, "--snapshots", "5"]);
    let end: Vec<&str> = printed.lines().rev().take(2).collect();
    assert_eq!(end[1], "with the barrier: 0 of 5 torn", "{printed}");
    assert!(end[0].starts_with("without: "), "{printed}");
    assert!(!end[0].starts_with("without: 0 "), "{printed}");
    assert_eq!(printed.matches("consistent").count(), 6, "5 snapshots and the store: {printed}");
}

#[test]
fn copies_do_where_there_is_no_btrfs() {
    let printed = run(&["--provider", "copy", "--snapshots", "3"]);
    assert!(printed.contains("with the barrier: 0 of 3 torn"), "{printed}");
}

#[test]
fn bad_arguments_are_refused_in_one_line() {
    for arguments in
        [&["--snapshots", "many"][..], &["--snapshots"], &["--provider", "tape"], &["--quickly"]]
    {
        let folder = tempfile::tempdir().unwrap();
        let output = demo(folder.path(), arguments).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        let printed = String::from_utf8(output.stderr).unwrap();
        assert_eq!(printed.lines().count(), 1, "{printed}");
    }
}

/// Starts a demo and returns it when its writers are at work and the first snapshot is checked.
fn under_way(folder: &Path) -> Child {
    let mut child = demo(folder, &[]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let row = lines.find(|line| line.as_ref().unwrap().trim_start().starts_with("1 "));
    assert!(row.is_some(), "the demo ended early");
    // Somebody has to go on reading, or the demo would end by SIGPIPE.
    std::thread::spawn(move || lines.count());
    child
}

#[test]
fn interrupted_it_leaves_nothing() {
    for (signal, status) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let folder = tempfile::tempdir().unwrap();
        let mut child = under_way(folder.path());
        let there = folders(folder.path());
        killpg(Pid::from_raw(child.id() as i32), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(status));
        assert_clean(folder.path(), &there);
    }
}

#[test]
fn killed_it_leaves_no_writer_and_no_mount() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = under_way(folder.path());
    let there = folders(folder.path());
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::SIGKILL as i32));
    // The writers end with the delivery they are at: allow ten seconds for what takes none.
    let deadline = Instant::now() + Duration::from_secs(10);
    while !left_behind(folder.path()).is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(left_behind(folder.path()), Vec::<String>::new());
    // Nobody is left to remove the files.
    for folder in there {
        let _ = fs::remove_dir_all(folder);
    }
}

#[test]
fn the_check_finds_every_kind_of_tear() {
    let folder = tempfile::tempdir().unwrap();
    let tear = |name: &str, tear: &dyn Fn(&Path), found: &str| {
        let store = folder.path().join(name);
        store::init(&store, 2).unwrap();
        let mut mailbox = store::Mailbox::open(&store, 1).unwrap();
        for _ in 0..200 {
            mailbox.deliver().unwrap();
        }
        assert_eq!(store::check(&store).unwrap(), Vec::<String>::new(), "before {name}");
        tear(&store.join("1"));
        let violations = store::check(&store).unwrap().join("\n");
        assert!(violations.contains(found), "{name}: {violations:?} lacks {found:?}");
    };
    let cut = |path: PathBuf| {
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    };
    let replace = |path: PathBuf, from: &str, to: &str| {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
    };
    tear(
        "a message more",
        &|mailbox| fs::write(mailbox.join("messages/999"), "x").unwrap(),
        "message without index entry: 999",
    );
    tear(
        "a message less",
        &|mailbox| fs::remove_file(mailbox.join("messages/200")).unwrap(),
        "index entry without message: 200",
    );
    tear("a short message", &|mailbox| cut(mailbox.join("messages/200")), "the index says");
    tear(
        "another message",
        &|mailbox| replace(mailbox.join("messages/200"), "Subject", "subject"),
        "wrong checksum of message 200",
    );
    tear("a short index", &|mailbox| cut(mailbox.join("index")), "half an index line");
    tear(
        "another counter",
        &|mailbox| replace(mailbox.join("quota"), " messages ", " messagez "),
        "counter differs",
    );
    tear(
        "an expunge under way",
        &|mailbox| fs::write(mailbox.join("index.new"), "").unwrap(),
        "index half rewritten",
    );
}
