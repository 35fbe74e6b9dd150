//! What is in a group stands still, whatever it is at.

use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};

use super::{STANDS, Ticking};
use crate::common::{Group, has, run, start, state, until};

#[test]
fn it_stands_in_the_pause_and_goes_on() {
    for ticking in Ticking::each() {
        let taken = ticking.snapshot(&[], STANDS);
        taken.assert_code(0);
        assert_eq!(taken.stderr, "");
        assert_eq!(ticking.scene.manifest()["certificate"], true);
        ticking.assert_nothing_left();
    }
}

/// The check itself: without the option the same script fails.
#[test]
fn without_the_option_it_goes_on_in_the_pause() {
    let Some(ticking) = Ticking::any() else { return };
    let mut command = ticking.scene.stillpoint();
    command.args(["snapshot", "mail", "--", "sh", "-c", STANDS, "sh"]).arg(ticking.file());
    crate::common::run(command).assert_code(1);
}

#[test]
fn run_and_freeze_have_it_too() {
    for ticking in Ticking::each() {
        let flag = ticking.flag("");
        let mut run = ticking.scene.stillpoint();
        run.args(["run", &flag, "mail", "sh", "-c", STANDS, "sh"]).arg(ticking.file());
        crate::common::run(run).assert_code(0);
        ticking.assert_nothing_left();
        for side in ["-s", "-F"] {
            let refused = ticking.scene.verb(["run", side, &flag, "mail", "true"]);
            refused.assert_refused(64, "-s or -F");
        }
        let frozen = ticking.scene.verb(["freeze", &flag, "mail"]);
        frozen.assert_code(0);
        assert!(ticking.group.is_frozen());
        ticking.scene.verb(["thaw", "--token", frozen.stdout.trim(), "mail"]).assert_code(0);
        ticking.assert_nothing_left();
        // Thawed behind its back, the pause did not hold.
        ticking.scene.verb(["freeze", &flag, "mail"]).assert_code(0);
        ticking.group.thaw();
        ticking.scene.verb(["thaw", "mail"]).assert_refused(124, "not held");
        ticking.assert_nothing_left();
    }
}

/// Groups inside the group, whoever has made them.
#[test]
fn groups_below_it_stand_with_it() {
    for group in Group::each() {
        let below = group.below("a b");
        let deep = below.below("worker");
        let ticking = Ticking::in_group(group, Some(&deep));
        ticking.snapshot(&[], STANDS).assert_code(0);
        ticking.assert_nothing_left();
        // One of them is somebody's to freeze, and stays so.
        deep.freeze();
        ticking.snapshot(&[], STANDS).assert_code(0);
        assert!(deep.is_frozen() && ticking.group.is_thawed());
        deep.thaw();
        ticking.assert_goes_on();
    }
}

/// As by `docker pause` and `systemctl freeze`: it stays as it was.
/// What ends like an option of the option, with a slash behind it.
#[test]
fn a_group_of_any_name_can_be_named() {
    let Some(group) = Group::any() else { return };
    let below = group.below("it:now");
    let ticking = Ticking::in_group(below, None);
    assert_eq!(run(ticking.command_by("/", STANDS)).code(), 0);
    assert_eq!(run(ticking.command_by(":now", STANDS)).code(), 0);
    ticking.assert_nothing_left();
}

#[test]
fn one_that_was_frozen_before_stays_so() {
    for ticking in Ticking::each() {
        ticking.group.freeze();
        let taken = ticking.snapshot(&[], STANDS);
        taken.assert_code(0);
        assert!(taken.stderr.contains("somebody else has frozen it, and it stays so"), "{taken:?}");
        assert!(ticking.group.is_frozen());
        ticking.group.thaw();
        ticking.assert_nothing_left();
        // A group above it, in which it is frozen, is not touched either.
        let above =
            Group::each().into_iter().find(|other| other.version() == ticking.group.version());
        let above = above.unwrap();
        let inner = above.below("inner");
        above.freeze();
        let flag = format!("--freeze-cgroup={}", inner.folder().display());
        ticking.scene.snapshot(["mail", &flag, "--", "true"]).assert_code(0);
        assert!(above.is_frozen() && inner.is_frozen());
        above.thaw();
        until("thawed", || inner.is_thawed());
    }
}

/// Stopped, traced, waiting for a child that vfork(2) has made, and with threads: none of it keeps a group from
/// standing still.
#[test]
fn members_in_all_states_stand() {
    if !has(&["strace", "python3"]) {
        return;
    }
    for ticking in Ticking::each() {
        let group = &ticking.group;
        let mut stopped = group.program("sh");
        let stopped = start(stopped.args(["-c", "kill -STOP $$; sleep 600"]).stdout(Stdio::null()));
        until("it is stopped", || stopped.is_stopped());
        let mut vforked = group.program("python3");
        // The child runs for a second before it becomes another program: its parent waits in vfork(2).
        let script = "import ctypes, os\nlibc = ctypes.CDLL(None)\nif libc.vfork() == 0:\n libc.usleep(600000000)\n";
        let vforked = start(vforked.args(["-c", script]).stdout(Stdio::null()));
        // One after another: the group may be frozen while somebody begins to wait for his child.
        let mut spawning = group.program("sh");
        let spawning =
            start(spawning.args(["-c", "while :; do /bin/true; done"]).stdout(Stdio::null()));
        let mut threads = group.program("python3");
        let script = "import threading, time\nfor _ in range(20): threading.Thread(target=time.sleep, args=(600,)).start()\n";
        let threads = start(threads.args(["-c", script]).stdout(Stdio::null()));
        // Whose first thread has ended, and the others not.
        let mut headless = group.program("python3");
        let script = "import ctypes, threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()\nctypes.CDLL(None).syscall(60, 0)\n";
        let headless = start(headless.args(["-c", script]).stdout(Stdio::null()));
        until("its first thread has ended", || state(headless.pid) == Some('Z'));
        let mut traced = group.program("sleep");
        let traced = start(traced.arg("600"));
        until("they are in it", || group.pids().len() >= 7);
        let mut strace = Command::new("strace");
        strace.args(["-qq", "-o", "/dev/null", "-p", &traced.pid.to_string()]);
        let tracer = start(&mut strace);
        until("it is traced", || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", traced.pid)).unwrap();
            status.contains(&format!("TracerPid:\t{}", tracer.pid))
        });
        for _ in 0..5 {
            ticking.snapshot(&["--drain", "5"], STANDS).assert_code(0);
        }
        ticking.assert_nothing_left();
        for running in [stopped, vforked, threads, headless, spawning] {
            kill(running.pid, Signal::SIGKILL).unwrap();
        }
        drop((tracer, traced));
    }
}
