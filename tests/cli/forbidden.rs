//! System calls that a filter refuses, as container runtimes and systemd's SystemCallFilter= do: each verb
//! does without, or says in one line what it could not do; and nothing is called clean that is not.
//!
//! Not here: what the loader, or Rust's start of a program, cannot do without (openat, mmap, poll,
//! rt_sigaction), nor the C library's locks (futex), and write(2), without which nobody can say anything.

use crate::common::command::Place;
use crate::common::filter::{Answer, Filter};
use crate::common::{Done, run};
use nix::libc;
use serde_json::Value;
use stillpoint::Barrier;

/// What filters answer with.
const ERRORS: [(i32, &str); 2] =
    [(libc::EPERM, "Operation not permitted"), (libc::ENOSYS, "Function not implemented")];

/// Whatever the table in the manual has but 70: that a call is refused is no internal error.
const DOCUMENTED: [i32; 12] = [0, 64, 65, 66, 69, 71, 73, 75, 77, 124, 126, 127];

/// What old runtimes do not know, and what newer ones refuse: there is another way for each.
const DISPENSABLE: &[(&str, i64)] = &[
    ("clone3", libc::SYS_clone3),
    ("close_range", libc::SYS_close_range),
    ("copy_file_range", libc::SYS_copy_file_range),
    ("faccessat2", libc::SYS_faccessat2),
    ("io_uring_setup", libc::SYS_io_uring_setup),
    ("memfd_create", libc::SYS_memfd_create),
    ("openat2", libc::SYS_openat2),
    ("pidfd_open", libc::SYS_pidfd_open),
    ("pidfd_send_signal", libc::SYS_pidfd_send_signal),
    ("ptrace", libc::SYS_ptrace),
    ("rseq", libc::SYS_rseq),
    ("signalfd4", libc::SYS_signalfd4),
    ("statx", libc::SYS_statx),
    ("sched_getaffinity", libc::SYS_sched_getaffinity),
    ("timerfd_create", libc::SYS_timerfd_create),
];

/// What at least one verb needs.
const NEEDED: &[(&str, i64)] = &[
    ("chdir", libc::SYS_chdir),
    ("clone", libc::SYS_clone),
    ("dup3", libc::SYS_dup3),
    ("fallocate", libc::SYS_fallocate),
    ("fchmod", libc::SYS_fchmod),
    ("fchown", libc::SYS_fchown),
    ("fcntl", libc::SYS_fcntl),
    ("flock", libc::SYS_flock),
    ("fstatfs", libc::SYS_fstatfs),
    ("fsync", libc::SYS_fsync),
    ("ftruncate", libc::SYS_ftruncate),
    ("getdents64", libc::SYS_getdents64),
    ("getxattr", libc::SYS_getxattr),
    ("kill", libc::SYS_kill),
    ("madvise", libc::SYS_madvise),
    ("membarrier", libc::SYS_membarrier),
    ("pipe2", libc::SYS_pipe2),
    ("prctl", libc::SYS_prctl),
    ("recvfrom", libc::SYS_recvfrom),
    ("rt_sigprocmask", libc::SYS_rt_sigprocmask),
    ("sendto", libc::SYS_sendto),
    ("setpgid", libc::SYS_setpgid),
    ("setsid", libc::SYS_setsid),
    ("sigaltstack", libc::SYS_sigaltstack),
    ("socketpair", libc::SYS_socketpair),
    ("statfs", libc::SYS_statfs),
    ("unlinkat", libc::SYS_unlinkat),
    ("wait4", libc::SYS_wait4),
    ("waitid", libc::SYS_waitid),
];

/// A place with a barrier, a folder to copy, and a lock of another program.
fn place() -> Place {
    let place = Place::with_barrier();
    for folder in ["source", "snapshots"] {
        std::fs::create_dir(place.path(folder)).unwrap();
    }
    for file in ["source/mail", "other.lock"] {
        std::fs::write(place.path(file), "").unwrap();
    }
    place
}

fn refused(place: &Place, words: &[&str], call: i64, error: i32) -> Done {
    let mut command = place.command(words);
    command.env("STILLPOINT_CATALOG", place.path("catalog"));
    Filter { call, first: None, answer: Answer::Error(error) }.of(&mut command);
    run(command)
}

/// One line, if it failed, which says more than the system's text.
#[track_caller]
fn assert_told(outcome: &Done, what: &str) {
    let code = outcome.code();
    assert!(DOCUMENTED.contains(&code), "{what}: {outcome:?}");
    let lines: Vec<&str> =
        outcome.stderr.lines().filter(|line| !line.contains(": warning: ")).collect();
    if code == 0 {
        return;
    }
    assert_eq!(lines.len(), 1, "{what}: {outcome:?}");
    let said =
        lines[0].strip_prefix("stillpoint: ").unwrap_or_else(|| panic!("{what}: {outcome:?}"));
    let bare = ERRORS.iter().any(|(_, text)| said.starts_with(text));
    assert!(!bare && said.contains(' '), "{what}: {outcome:?}");
}

const RUN_SHARED: &[&str] = &["run", "-s", "mail", "true"];
const RUN: &[&str] = &["run", "-x", "-w", "1", "mail", "true"];
const COMMAND: &[&str] = &["snapshot", "mail", "--min-open", "0", "--", "true"];
const COPY: &[&str] = &[
    "snapshot",
    "mail",
    "--min-open",
    "0",
    "--copy",
    "source",
    "--to",
    "snapshots",
    "--hold",
    "5",
];
const LOCKED: &[&str] =
    &["snapshot", "mail", "--min-open", "0", "--also", "fcntl:other.lock", "--", "true"];
const STATUS: &[&str] = &["status", "mail"];
const FREEZE: &[&str] = &["freeze", "--hold", "0.05", "mail"];
const USE: &[&str] = &["use", "--latest", "--provider", "copy", "--", "true"];
const RECOVER: &[&str] = &["recover", "mail", "--", "true"];
const CREATE: &[&str] = &["create", "mail"];
const PRUNE: &[&str] = &["prune", "--keep", "1"];
const THAW: &[&str] = &["thaw", "mail"];

/// Every call to every one of these verbs.
fn each_is_told(verbs: &[&[&str]]) {
    let place = place();
    let made = place.run([COPY, &["--catalog", "catalog"]].concat());
    assert_eq!(made.code(), 0, "{made:?}");
    for words in verbs {
        for (name, call) in DISPENSABLE.iter().chain(NEEDED) {
            for (error, text) in ERRORS {
                let outcome = refused(&place, words, *call, error);
                let what = format!("{words:?} without {name} ({text})");
                assert_told(&outcome, &what);
                if DISPENSABLE.iter().any(|(other, _)| other == name)
                    && (error == libc::ENOSYS || *name != "clone3")
                {
                    assert_eq!(outcome.code(), 0, "{what}: {outcome:?}");
                }
            }
        }
        // Whatever became of it, the barrier is of use.
        assert_eq!(place.run(["thaw", "mail"]).code(), 0);
        assert_eq!(place.run(["run", "-x", "-w", "10", "mail", "true"]).code(), 0, "{words:?}");
    }
}

#[test]
fn to_a_command_inside() {
    each_is_told(&[RUN_SHARED, RUN, RECOVER, USE]);
}

#[test]
fn to_a_snapshot() {
    each_is_told(&[COMMAND, COPY, LOCKED]);
}

#[test]
fn to_the_other_verbs() {
    each_is_told(&[STATUS, FREEZE, THAW, CREATE, PRUNE]);
}

/// A barrier whose writers all have fences is of use where the call is refused.
#[test]
fn what_fences_are_for() {
    let place = Place::new();
    assert_eq!(place.run(["create", "mail", "--fences"]).code(), 0);
    let barrier = Barrier::open(place.barrier()).unwrap();
    drop(barrier.shared().unwrap());
    assert_eq!(place.status()["writers"][0]["unfenced"], false);
    for words in [RUN_SHARED, RUN, COMMAND, FREEZE, RECOVER] {
        for (error, text) in ERRORS {
            let outcome = refused(&place, words, libc::SYS_membarrier, error);
            assert_eq!(outcome.code(), 0, "{words:?} ({text}): {outcome:?}");
        }
    }
    // One that ends the process for the question is not asked.
    let mut command = place.command(RUN);
    Filter { call: libc::SYS_membarrier, first: None, answer: Answer::Kills }.of(&mut command);
    command.env("STILLPOINT_FENCES", "1");
    assert_eq!(run(command).code(), 0);
}

/// Else a tool says so before it closes anything, and a writer goes on with a fence.
#[test]
fn a_tool_that_cannot_see_all_writers() {
    let place = place();
    let barrier = Barrier::open(place.barrier()).unwrap();
    drop(barrier.shared().unwrap());
    assert_eq!(place.status()["writers"][0]["unfenced"], true);
    for words in [RUN, COMMAND, LOCKED, FREEZE, RECOVER] {
        for (error, text) in ERRORS {
            let outcome = refused(&place, words, libc::SYS_membarrier, error);
            outcome
                .assert_complaint(69, &["mail.barrier", "membarrier(2)", text, "create --fences"]);
        }
    }
    assert_eq!(place.status()["generation"], 0);
    for words in [RUN_SHARED, STATUS, CREATE, THAW] {
        let outcome = refused(&place, words, libc::SYS_membarrier, libc::EPERM);
        assert_eq!(outcome.code(), 0, "{words:?}: {outcome:?}");
    }
    let mut command = place.command(RUN);
    command.env("STILLPOINT_FENCES", "1");
    run(command).assert_complaint(69, &["STILLPOINT_FENCES is set"]);
}

/// Whoever takes few shares, or none, registers for nothing; and a writer asks for nothing once it has joined.
#[test]
fn who_does_not_make_the_call_at_all() {
    let place = place();
    let killing = |first| Filter { call: libc::SYS_membarrier, first, answer: Answer::Kills };
    for words in [RUN_SHARED, STATUS] {
        let mut command = place.command(words);
        command.env("STILLPOINT_CATALOG", place.path("catalog"));
        killing(None).of(&mut command);
        let outcome = run(command);
        assert_eq!(outcome.code(), 0, "{words:?}: {outcome:?}");
    }
    // MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED
    for words in [RUN, COMMAND, FREEZE, RECOVER, CREATE] {
        let mut command = place.command(words);
        command.env("STILLPOINT_CATALOG", place.path("catalog"));
        killing(Some(4)).of(&mut command);
        let outcome = run(command);
        assert_eq!(outcome.code(), 0, "{words:?}: {outcome:?}");
    }
}

/// With a writer inside nobody gets in, whatever cannot be asked.
#[test]
fn a_writer_inside_is_not_overlooked() {
    let place = place();
    let barrier = Barrier::open(place.barrier()).unwrap();
    let _share = barrier.shared().unwrap();
    let quick = ["--patience", "0", "--drain", "0.02", "--attempts", "1"];
    let snapshot = [&COMMAND[..4], &quick, &COMMAND[4..]].concat();
    let run = ["run", "-x", "-w", "0.02", "mail", "true"];
    for (name, call) in DISPENSABLE.iter().chain(NEEDED) {
        for words in [&snapshot[..], &run] {
            let outcome = refused(&place, words, *call, libc::EPERM);
            let what = format!("{words:?} without {name}");
            assert_told(&outcome, &what);
            assert_ne!(outcome.code(), 0, "{what}: {outcome:?}");
        }
    }
}

/// A loss that nobody has met yet makes no snapshot clean.
#[test]
fn a_loss_is_not_overlooked() {
    for (name, call) in DISPENSABLE.iter().chain(NEEDED) {
        let place = place();
        place.shell("$S run -s mail sh -c 'kill -KILL $PPID; kill -KILL $$'");
        let outcome = refused(&place, COMMAND, *call, libc::EPERM);
        for manifest in std::fs::read_dir(place.path("catalog")).into_iter().flatten().flatten() {
            if manifest.path().extension().is_some_and(|extension| extension == "json") {
                let manifest = std::fs::read(manifest.path()).unwrap();
                let manifest: Value = serde_json::from_slice(&manifest).unwrap();
                assert_ne!(manifest["clean"], true, "without {name}: {outcome:?}");
            }
        }
    }
}

/// Nobody knows how it ended, so it may have been lost.
#[test]
fn a_command_that_cannot_be_waited_for() {
    for side in ["-s", "-x"] {
        let place = place();
        let words = ["run", side, "mail", "true"];
        let outcome = refused(&place, &words, libc::SYS_wait4, libc::ENOSYS);
        outcome.assert_complaint(71, &["waiting for process", "Function not implemented"]);
        assert_eq!(place.dirty_epoch(), u64::from(side == "-s"));
    }
}
