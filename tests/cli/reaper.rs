//! As the first process of a container, which no default action ends, and which orphans are given to;
//! and beside one that never reaps them.

use std::process::Command;

use crate::common::command::Place;
use crate::common::{Running, STILLPOINT, children, is_root, run, start, until};
use nix::sys::signal::{Signal, kill};

/// The command with these arguments as the first process of a pid namespace.
fn first(place: &Place, arguments: &[&str]) -> Command {
    let mut command = place.program("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child", STILLPOINT]);
    command.args(arguments);
    command
}

/// Sends to the process that `unshare` has started.
fn signal_first(unshare: &Running, signal: Signal) {
    until("unshare has forked", || !children(unshare.pid).is_empty());
    kill(children(unshare.pid)[0], signal).unwrap();
}

#[test]
fn a_signal_ends_the_first_process_with_its_status() {
    if !is_root() {
        return;
    }
    let place = Place::with_barrier();
    let inside = "echo inside; exec sleep 60";
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        for words in [
            &["run", "-s", "mail", "sh", "-c", inside] as &[&str],
            &["run", "-x", "mail", "sh", "-c", inside],
            &[
                "run",
                "-s",
                "-F",
                "mail",
                "sh",
                "-c",
                "trap 'exit 5' TERM INT HUP; echo inside; while :; do sleep 0.05; done",
            ],
            &["recover", "mail", "--", "sh", "-c", inside],
        ] {
            let mut running = start(first(&place, words));
            assert_eq!(running.line(), "inside");
            signal_first(&running, signal);
            let expected = if words.contains(&"-F") { 5 } else { 128 + signal as i32 };
            assert_eq!(running.end(), expected, "{words:?}");
        }
    }
    // While waiting.
    let holder = place.hold(&["-x"]);
    for words in [
        &["run", "-s", "mail", "true"] as &[&str],
        &["run", "-s", "-F", "mail", "true"],
        &["run", "-x", "mail", "true"],
        &["run", "-x", "-F", "mail", "true"],
    ] {
        let mut waiting = start(first(&place, words));
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert!(waiting.is_running());
        signal_first(&waiting, Signal::SIGTERM);
        assert_eq!(waiting.end(), 143, "{words:?}");
    }
    drop(holder);
}

#[test]
fn the_first_process_passes_on_what_its_command_ends_with() {
    if !is_root() {
        return;
    }
    let place = Place::with_barrier();
    for (script, code) in [("exit 7", 7), ("kill -KILL $$", 137), ("true", 0)] {
        let outcome = run(first(&place, &["run", "-x", "mail", "sh", "-c", script]));
        assert_eq!(outcome.code(), code, "{script}: {outcome:?}");
    }
    let held = place.hold(&["-x"]);
    let refused = run(first(&place, &["run", "-n", "-E", "9", "mail", "true"]));
    refused.assert_complaint(9, &["held by"]);
    drop(held);
}

#[test]
fn orphans_are_reaped() {
    if !is_root() {
        return;
    }
    let place = Place::with_barrier();
    // Orphans of the command, in its group and in sessions of their own.
    let script = "for i in 1 2 3; do (true &); (setsid true &); done; sleep 0.3; \
                  grep -l '^State:.Z' /proc/[0-9]*/status; echo counted";
    for side in ["-s", "-x"] {
        let outcome = run(first(&place, &["run", side, "mail", "sh", "-c", script]));
        assert_eq!((outcome.code(), outcome.stdout.as_str()), (0, "counted\n"), "{outcome:?}");
    }
}

#[test]
fn a_pause_that_would_end_with_the_container_is_refused() {
    if !is_root() {
        return;
    }
    let place = Place::with_barrier();
    run(first(&place, &["freeze", "mail"])).assert_complaint(69, &["keeper", "container"]);
    assert_eq!(place.status()["gate"], "open");
}

/// At the limit, what has ended is gone, whoever may reap it when. Then nothing is left to kill.
#[test]
fn zombies_of_others_are_not_waited_for() {
    if !is_root() {
        return;
    }
    let place = Place::with_barrier();
    let script = "import os, subprocess, sys\n\
                  child = subprocess.Popen(sys.argv[1:])\n\
                  os.waitpid(child.pid, 0)\n\
                  os.system('grep -l ^State:.Z /proc/[0-9]*/status | wc -l')";
    let mut command = place.program("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child", "python3", "-c", script]);
    let trace = place.path("trace");
    command.args(["strace", "-qq", "-e", "trace=kill", "-o"]).arg(&trace);
    command.args([STILLPOINT, "run", "-x", "--hold", "1", "mail", "sh", "-c"]);
    command.arg("(sleep 60 &); (sleep 60 &); sleep 60");
    let outcome = run(command);
    // The third is the shell's own child, if that did not outlive it.
    let unreaped = outcome.stdout.trim();
    assert!(["2", "3"].contains(&unreaped), "orphans that nobody reaped: {outcome:?}");
    let trace = std::fs::read_to_string(trace).unwrap();
    assert!(trace.contains("SIGTERM"), "{trace}");
    assert!(!trace.contains("SIGKILL"), "killed what had ended: {trace}");
}
