//! How long the command of `stillpoint run` lives and keeps its side: signals, inherited descriptors,
//! -F, the hold limit, what stays in the background.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use crate::common::command::Place;
use crate::common::{is_alive, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[test]
fn a_writer_that_a_signal_ended_leaves_a_mark() {
    let place = Place::with_barrier();
    let outcome = place.run(["run", "-s", "--label", "lmtp", "mail", "sh", "-c", "kill -KILL $$"]);
    assert_eq!(outcome.code(), 128 + 9);
    let status = place.status();
    assert_eq!(status["dirty"]["epoch"], 1);
    assert_eq!(status["dirty"]["lost"][0]["label"], "lmtp");
    // The exclusive side changes nothing that others rely on.
    let outcome = place.run(["run", "-x", "mail", "sh", "-c", "kill -SEGV $$"]);
    assert_eq!(outcome.code(), 128 + 11);
    // A command that fails has ended by itself.
    assert_eq!(place.run(["run", "-s", "mail", "false"]).code(), 1);
    assert_eq!(place.dirty_epoch(), 1);
}

#[test]
fn the_command_has_the_descriptor_unless_closed() {
    let place = Place::with_barrier();
    let list = "for fd in /proc/self/fd/*; do readlink $fd; done; true";
    for side in ["-s", "-x"] {
        let with = place.run(["run", side, "mail", "sh", "-c", list]);
        assert!(with.stdout.contains("mail.barrier"), "{side} {with:?}");
        let executed = place.run(["run", side, "-F", "mail", "sh", "-c", list]);
        assert!(executed.stdout.contains("mail.barrier"), "{side} {executed:?}");
        for close in ["-o", "--close"] {
            let without = place.run(["run", side, close, "mail", "sh", "-c", list]);
            assert!(!without.stdout.contains("mail.barrier"), "{side} {without:?}");
            assert_eq!(without.code(), 0);
        }
    }
}

#[test]
fn no_fork_becomes_the_command() {
    let place = Place::with_barrier();
    for side in ["-s", "-x"] {
        let mut running =
            place.start(["run", side, "-F", "mail", "sh", "-c", "echo $$; exec sleep 60"]);
        assert_eq!(running.line(), running.pid.to_string());
        assert!(!place.is_quiet());
        running.signal(Signal::SIGKILL);
        running.end();
        until("quiet after the end", || place.is_quiet());
    }
    // Nobody could tell how a command ended that nobody waited for.
    assert_eq!(place.dirty_epoch(), 0);
    assert_eq!(place.run(["run", "-F", "-o", "mail", "true"]).code(), 64);
    assert_eq!(place.run(["run", "--no-fork", "mail", "false"]).code(), 1);
}

#[test]
fn no_fork_keeps_the_hold_limit_by_an_alarm() {
    let place = Place::with_barrier();
    let outcome = place.run(["run", "-x", "-F", "--hold", "1", "mail", "sleep", "60"]);
    assert_eq!(outcome.status.signal(), Some(Signal::SIGALRM as i32));
    let since = Instant::now();
    let free = place.run(["run", "-x", "-F", "--hold", "none", "mail", "sleep", "1.2"]);
    assert_eq!(free.code(), 0, "{free:?}");
    assert!(since.elapsed() >= Duration::from_millis(1200));
}

#[test]
fn the_hold_limit_ends_all_that_the_command_started() {
    let place = Place::with_barrier();
    let script = "sleep 60 & echo $!; sleep 60 & echo $!; wait";
    let outcome = place.run(["run", "-x", "--hold", "0.3", "mail", "sh", "-c", script]);
    outcome.assert_complaint(124, &["300.0 ms", "--hold"]);
    for pid in outcome.stdout.lines() {
        assert!(!is_alive(Pid::from_raw(pid.parse().unwrap())), "{pid}");
    }
    assert!(place.is_quiet());
    assert_eq!(place.status()["gate"], "open");
}

#[test]
fn a_command_that_ignores_sigterm_is_killed() {
    let place = Place::with_barrier();
    let script = "trap '' TERM; sleep 60 & echo $!; while :; do sleep 1; done";
    let since = Instant::now();
    let outcome = place.run(["run", "-x", "--hold", "0.2", "mail", "sh", "-c", script]);
    outcome.assert_complaint(124, &["hold limit"]);
    assert!(since.elapsed() >= Duration::from_millis(2200), "TERM first, KILL 2 s later");
    let pid = outcome.stdout.trim().parse().unwrap();
    assert!(!is_alive(Pid::from_raw(pid)));
}

#[test]
fn no_hold_limit_when_lifted() {
    let place = Place::with_barrier();
    let outcome =
        place.run(["run", "-x", "--hold", "none", "mail", "sh", "-c", "sleep 0.5; echo done"]);
    assert_eq!((outcome.code(), outcome.stdout.as_str()), (0, "done\n"));
}

#[test]
fn what_stays_in_the_background_does_not_stay_inside() {
    let place = Place::with_barrier();
    for side in ["-s", "-x"] {
        let script = "sleep 60 >/dev/null 2>&1 & echo $!";
        let outcome = place.run(["run", side, "mail", "sh", "-c", script]);
        let pid = Pid::from_raw(outcome.stdout.trim().parse().unwrap());
        assert!(is_alive(pid));
        assert!(place.is_quiet(), "{side}");
        kill(pid, Signal::SIGKILL).unwrap();
    }
    assert_eq!(place.dirty_epoch(), 0);
}
