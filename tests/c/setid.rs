//! Set-id programs, the command among them: no environment variable decides anything.

use crate::common::{NOBODY, STILLPOINT, as_user, is_root, must, root};
use crate::harness::{Workshop, library};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use stillpoint::Barrier;
use tempfile::TempDir;

/// A folder that every user reaches, with programs that belong to root and run as root. `None`: this
/// test is not root, which has been said.
fn folder() -> Option<TempDir> {
    if !is_root() {
        return None;
    }
    let folder = TempDir::new_in("/tmp").unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    Some(folder)
}

/// As nobody, with everything in the environment that could decide something.
fn as_nobody(program: &Path, evil: &Path, held: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(as_user(NOBODY, NOBODY)).arg(program);
    command.env("STILLPOINT_DIR", evil).env("STILLPOINT_CREATE", "1");
    command.env("STILLPOINT_STATE_DIR", evil).env("STILLPOINT_CATALOG", evil);
    command.env("STILLPOINT_ASSERT", "off").env("STILLPOINT_LABEL", "evil");
    command.env("STILLPOINT_FORK_CHECK", "pid").env("STILLPOINT_HELD", held);
    command.env("XDG_RUNTIME_DIR", evil).env("SHELL", evil.join("shell"));
    command
}

fn make_set_id(program: &Path, mode: u32) {
    fs::set_permissions(program, Permissions::from_mode(mode)).unwrap();
}

/// The folder where the user would have barriers, with one in it that is none of the program's.
fn evil(folder: &TempDir) -> PathBuf {
    let evil = folder.path().join("evil");
    fs::create_dir(&evil).unwrap();
    drop(Barrier::create(evil.join("decoy.barrier")).unwrap());
    fs::set_permissions(&evil, Permissions::from_mode(0o777)).unwrap();
    evil
}

#[test]
fn a_set_id_program_trusts_no_variable() {
    let Some(folder) = folder() else { return };
    let workshop = Workshop::new();
    let search = format!("-Wl,-rpath,{}", folder.path().display());
    let compiled = workshop.compile_source(&root().join("tests/c/setid.c"), &[&search]);
    let program = folder.path().join("setid");
    fs::copy(compiled, &program).unwrap();
    fs::copy(library(), folder.path().join("libstillpoint.so.0")).unwrap();
    let evil = evil(&folder);
    let barrier = Barrier::create(folder.path().join("real.barrier")).unwrap();
    for mode in [0o4755, 0o2755] {
        make_set_id(&program, mode);
        if mode == 0o2755 {
            // By its group alone, which may use the barrier.
            fs::set_permissions(barrier.path(), Permissions::from_mode(0o660)).unwrap();
        }
        let pause = barrier.exclusive(&mut Default::default()).unwrap();
        let held = pause.cover().into_string().unwrap();
        must(as_nobody(&program, &evil, &held).arg(folder.path()).arg("held"));
        pause.release().unwrap();
        let output: Output = as_nobody(&program, &evil, "").arg(folder.path()).output().unwrap();
        assert_eq!(output.status.signal(), Some(nix::libc::SIGABRT), "{output:?}");
        assert_eq!(output.stdout, b"asserting\n");
    }
    assert_eq!(fs::read_dir(&evil).unwrap().count(), 1, "something was made there");
}

#[test]
fn a_set_id_command_trusts_no_variable() {
    let Some(folder) = folder() else { return };
    let command = folder.path().join("stillpoint");
    fs::copy(STILLPOINT, &command).unwrap();
    make_set_id(&command, 0o4755);
    let evil = evil(&folder);
    let output =
        as_nobody(&command, &evil, "").args(["status", "no-such-barrier"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("/run/stillpoint/no-such-barrier.barrier"), "{output:?}");
    let run = ["run", "-s", "no-such-barrier", "true"];
    let output = as_nobody(&command, &evil, "").args(run).output().unwrap();
    assert_eq!(output.status.code(), Some(66), "{output:?}");
    assert_eq!(fs::read_dir(&evil).unwrap().count(), 1, "something was made there");
}
