//! What a group, or somebody else, does in the pause that was not to be.

use std::fs;
use std::process::{Command, Stdio};

use super::{STANDS, Ticking};
use crate::common::group::Version;
use crate::common::{Group, Image, Running, must, run, stands_by, start, state, until};

/// Whoever thaws it for a moment has let it write.
#[test]
fn one_that_was_thawed_meanwhile_spoils_the_snapshot() {
    for ticking in Ticking::each() {
        let (control, thaw, freeze) =
            (ticking.group.control(), ticking.group.word(false), ticking.group.word(true));
        let thawed = format!(r#"echo {thaw} > "$0/{control}""#);
        let again = format!(r#"{thawed}; sleep 0.05; echo {freeze} > "$0/{control}"; sleep 0.05"#);
        ticking.snapshot(&[], &thawed).assert_refused(124, "somebody else has frozen or thawed it");
        assert_eq!(ticking.scene.manifest()["certificate"], false);
        ticking.assert_nothing_left();
        let spoilt = ticking.snapshot(&[], &again);
        spoilt.assert_refused(124, "somebody else has frozen or thawed it");
        // He wants it frozen.
        assert!(spoilt.stderr.contains("it stays so"), "{spoilt:?}");
        assert!(ticking.group.is_frozen());
        ticking.group.thaw();
        ticking.assert_nothing_left();
    }
}

#[test]
fn a_process_that_leaves_it_or_is_killed_spoils_the_snapshot() {
    for ticking in Ticking::each() {
        let second = ticking.group.program("sleep");
        let second = {
            let mut second = second;
            start(second.arg("600"))
        };
        until("it is in it", || ticking.group.pids().len() >= 2);
        let out = format!(r#"echo {} > "$0/../cgroup.procs""#, second.pid);
        let left = ticking.snapshot(&[], &out);
        left.assert_refused(124, &format!("process {} of it", second.pid));
        ticking.assert_nothing_left();
        if ticking.group.version() == Version::Two {
            // Version 1 lets nobody die before it is thawed.
            ticking.group.take_in(second.pid);
            let killed = format!("kill -9 {}; sleep 0.1", second.pid);
            let killed = ticking.snapshot(&[], &killed);
            killed.assert_refused(124, &format!("process {} of it", second.pid));
            ticking.assert_nothing_left();
        }
    }
}

/// Between the two it runs, and nobody who only looks at the end could tell.
#[test]
fn a_process_that_leaves_it_and_comes_back_spoils_the_snapshot() {
    for ticking in Ticking::each() {
        let pid = ticking.ticker.pid;
        let out = format!(r#"echo {pid} > "$0/../cgroup.procs"; sleep 0.05"#);
        for back in [
            format!(r#"echo {pid} > "$0/cgroup.procs""#),
            format!(r#"mkdir "$0/below"; echo {pid} > "$0/below/cgroup.procs""#),
        ] {
            let spoilt = ticking.snapshot(&[], &format!("{out}; {back}; sleep 0.05"));
            spoilt.assert_refused(124, "a process was moved into it");
            ticking.assert_nothing_left();
        }
        ticking.group.take_in(pid);
        until("it can be removed", || fs::remove_dir(ticking.group.folder().join("below")).is_ok());
        assert_eq!(ticking.snapshot(&[], STANDS).code(), 0);
    }
}

/// In version 1 each thread of a process may be in another group.
#[test]
fn a_process_of_which_threads_are_elsewhere_does_not_stand_still() {
    let Some(group) = Group::of(Version::One) else { return };
    let ticking = Ticking::in_group(group, None);
    let script = "import threading, time
thread = threading.Thread(target=lambda: time.sleep(600)); thread.start()
print(thread.native_id, flush=True)";
    let mut program = ticking.group.program("python3");
    let mut python = start(program.args(["-c", script]).stdout(Stdio::piped()));
    let thread = python.line();
    let [inside, outside] = ["tasks", "../tasks"].map(|list| ticking.group.folder().join(list));
    fs::write(&outside, &thread).unwrap();
    let said = format!("process {} has threads in it and others elsewhere", python.pid);
    ticking.snapshot(&[], STANDS).assert_refused(64, &said);
    fs::write(inside, &thread).unwrap();
    assert_eq!(ticking.snapshot(&[], STANDS).code(), 0);
    // One that is alone in it, and leaves before it is frozen.
    let writer = ticking.scene.holder();
    let tool = start(ticking.command(&["--patience", "20"], STANDS));
    until("it waits", || ticking.scene.status("mail")["wanted"] == true);
    fs::write(&outside, &thread).unwrap();
    drop(writer);
    tool.wait().assert_refused(124, "has threads elsewhere");
    ticking.assert_nothing_left();
}

/// Its group has the same name, and nobody has frozen it.
#[test]
fn a_unit_that_was_restarted_meanwhile_spoils_the_snapshot() {
    let Some(group) = Group::of(Version::Two) else { return };
    let mut ticking = Ticking::in_group(group, None);
    let restarts = r#"echo 1 > "$0/cgroup.kill"; until rmdir "$0" 2> /dev/null; do sleep 0.01; done; mkdir "$0""#;
    let restarted = ticking.snapshot(&[], restarts);
    restarted.assert_refused(124, "was removed and made anew");
    assert!(ticking.group.is_thawed());
    ticking.ticker = super::tick(&ticking.group, ticking.file());
    ticking.assert_nothing_left();
}

/// Before the gate is quiet, it is not frozen at all, and the next attempt has another one.
#[test]
fn a_unit_that_was_stopped_before_is_no_reason_to_wait_for_ever() {
    let Some(ticking) = Ticking::any() else { return };
    let writer = ticking.scene.holder();
    let mut command =
        ticking.command(&["--patience", "0.5", "--drain", "0.2", "--attempts", "1"], "true");
    let tool = start(&mut command);
    until("a guardian", || stands_by(tool.pid).is_some());
    ticking.group.remove();
    drop(writer);
    tool.wait().assert_refused(75, "was removed meanwhile");
    ticking.scene.assert_writers_go_on();
    fs::create_dir(ticking.group.folder()).unwrap();
}

#[test]
fn every_attempt_freezes() {
    for ticking in Ticking::each() {
        let writer = ticking.scene.holder();
        let options = ["--patience", "0.2", "--drain", "0.1", "--attempts", "1000"];
        let said = ticking.scene.path("said");
        let mut command = ticking.command(&options, STANDS);
        let tool = start(command.stderr(fs::File::create(&said).unwrap()));
        until("the first attempt", || fs::read_to_string(&said).unwrap().contains("attempt 1 of"));
        drop(writer);
        tool.wait().assert_code(0);
        ticking.assert_nothing_left();
    }
}

/// It waits for a file system that somebody has frozen, and no signal wakes it.
#[test]
fn who_cannot_be_interrupted_is_named_and_waited_for_no_longer_than_a_drain() {
    let Some(group) = Group::of(Version::Two) else { return };
    let Some(disk) = Image::ext4() else { return };
    let ticking = Ticking::in_group(group, None);
    must(Command::new("fsfreeze").arg("-f").arg(disk.path()));
    let mut stuck = ticking.group.program("touch");
    let stuck: Running = start(stuck.arg(disk.path().join("x")));
    until("it is stuck", || state(stuck.pid) == Some('D'));
    let options = ["--patience", "0.3", "--drain", "0.2", "--attempts", "1"];
    let refused = ticking.snapshot(&options, "true");
    must(Command::new("fsfreeze").arg("-u").arg(disk.path()));
    refused.assert_refused(75, "does not freeze: touch[");
    assert!(refused.stderr.contains(&stuck.pid.to_string()), "{refused:?}");
    drop(stuck);
    ticking.assert_nothing_left();
    ticking.snapshot(&[], STANDS).assert_code(0);
}

/// What is locked was not written to its end.
#[test]
fn a_write_lock_that_one_of_it_holds_is_waited_for() {
    for ticking in Ticking::each() {
        let locked = ticking.scene.path("store/locked");
        fs::write(&locked, "").unwrap();
        let mut holder = ticking.group.program("flock");
        let holder = start(holder.arg(&locked).args(["sleep", "600"]));
        until("it is locked", || !is_free(&locked));
        let copy = |flag: &str| {
            let options = ["--hold", "5", "--patience", "0.3", "--drain", "0.2", "--attempts", "1"];
            run(ticking.scene.copy(&[&options[..], &["--min-open", "0", flag]].concat()))
        };
        let refused = copy(&ticking.flag(""));
        refused.assert_refused(75, "FLOCK WRITE lock of");
        assert!(refused.stderr.contains(&holder.pid.to_string()), "{refused:?}");
        ticking.assert_nothing_left();
        // Right at any instant.
        copy(&ticking.flag(":now")).assert_code(0);
        // Of a thread with descriptors of its own, and no process's in particular.
        drop(holder);
        until("it is free", || is_free(&locked));
        let script = "import ctypes, fcntl, struct, sys, threading, time
def hold():
    assert ctypes.CDLL(None).unshare(0x400) == 0
    whole = struct.pack('hhqqi', fcntl.F_WRLCK, 0, 0, 0, 0)
    file = open(sys.argv[1], 'r+')
    fcntl.fcntl(file, 37, whole)
    time.sleep(600)
threading.Thread(target=hold, daemon=True).start()
time.sleep(600)";
        let mut holder = ticking.group.program("python3");
        let holder = start(holder.args(["-c", script]).arg(&locked));
        until("it is locked", || is_locked_by_description(&locked));
        copy(&ticking.flag("")).assert_refused(75, "OFDLCK WRITE lock of");
        // Somebody else's is nobody's who is frozen.
        drop(holder);
        until("it is free", || is_free(&locked));
        let mut holder = Command::new("flock");
        let holder = start(holder.arg(&locked).args(["sleep", "600"]));
        until("it is locked", || !is_free(&locked));
        copy(&ticking.flag("")).assert_code(0);
        drop(holder);
        ticking.assert_nothing_left();
    }
}

fn is_locked_by_description(file: &std::path::Path) -> bool {
    let inode = format!(":{} ", std::os::unix::fs::MetadataExt::ino(&fs::metadata(file).unwrap()));
    let list = fs::read_to_string("/proc/locks").unwrap();
    list.lines().any(|line| line.contains("OFDLCK") && line.contains(&inode))
}

fn is_free(file: &std::path::Path) -> bool {
    run(Command::new("flock").arg("-n").arg(file).arg("true")).code() == 0
}
