//! What a forked child inherits: nothing. With each way of noticing that it is one.

use crate::common::{Participant, Place, SLACK, field, ms, until};
use crate::detectors::{DETECTORS, noticing_by};
use nix::sys::signal::{Signal, kill};
use std::time::Instant;

/// A participant that notices a fork in this way, and a tool.
fn scene(detector: &str) -> (Place, Participant, Participant) {
    let place = Place::new();
    let path = place.make_barrier();
    (place, noticing_by(detector, &path), Participant::at(&path))
}

#[test]
fn a_childs_inherited_guard_is_void() {
    for detector in DETECTORS {
        let (place, mut parent, mut tool) = scene(detector);
        let pid = parent.pid();
        parent.expect("shared", "inside 1");
        parent.expect("shared", "inside 2");
        parent.expect_like("fork c", "forked");
        parent.expect(">c depth", "depth 0");
        parent.expect(">c leave", "depth 0");
        parent.expect(">c leave", "depth 0");
        tool.finds_inside(pid);
        parent.expect("leave", "depth 1");
        tool.finds_inside(pid);
        parent.expect("leave", "depth 0");
        tool.finds_quiet();
        assert_eq!(place.epoch(), 0, "{detector}");
    }
}

#[test]
fn a_child_joins_anew() {
    for detector in DETECTORS {
        let (place, mut parent, mut tool) = scene(detector);
        parent.expect("shared", "inside 1");
        let child = parent.child_by("fork c");
        parent.expect(">c shared", "inside 1");
        parent.expect(">c shared", "inside 2");
        // Dropping its own first and the inherited one afterwards.
        parent.expect("leave", "depth 0");
        tool.finds_inside(child);
        parent.expect(">c leave", "depth 1");
        tool.finds_inside(child);
        parent.expect(">c leave", "depth 0");
        parent.expect(">c leave", "depth 0");
        tool.finds_quiet();
        // Each has a slot of its own from now on.
        parent.expect(">c shared", "inside 1");
        parent.expect("shared", "inside 1");
        let inside: Vec<_> =
            place.status().writers.into_iter().filter(|writer| writer.inside).collect();
        assert_eq!(inside.len(), 2);
        assert_ne!(inside[0].pid, inside[1].pid);
        parent.expect(">c leave", "depth 0");
        parent.expect("leave", "depth 0");
        tool.finds_quiet();
        assert_eq!(place.epoch(), 0, "{detector}");
    }
}

#[test]
fn counted_shares_and_those_of_commands_are_not_inherited_either() {
    for detector in DETECTORS {
        let (place, mut parent, mut tool) = scene(detector);
        let pid = parent.pid();
        parent.expect("owned", "owned 1");
        parent.expect_like("fork c", "forked");
        parent.expect(">c disown", "owned 0");
        tool.finds_inside(pid);
        parent.expect(">c owned", "owned 1");
        parent.expect("disown", "owned 0");
        parent.expect(">c disown", "owned 0");
        tool.finds_quiet();
        parent.expect("command-share watched", "inside");
        parent.expect_like("fork d", "forked");
        parent.expect(">d end-command-share", "ended");
        tool.finds_inside(pid);
        parent.expect("end-command-share", "ended");
        tool.finds_quiet();
        assert_eq!(place.epoch(), 0, "{detector}");
    }
}

/// A child shares its parent's open file, and with it the lock, which is not the child's to give back.
#[test]
fn a_childs_inherited_write_lock_is_its_parents() {
    for detector in DETECTORS {
        let (place, mut parent, mut tool) = scene(detector);
        let pid = parent.pid();
        let mailbox = place.path("mailbox");
        let lock = format!("try-write-lock {}", mailbox.display());
        parent.expect(&lock, "locked 1");
        parent.expect_like("fork c", "forked");
        parent.expect(">c write-unlock", "depth 0");
        parent.expect_like(&format!(">c {lock}"), "error WouldBlock");
        tool.expect_like(&lock, "error WouldBlock");
        tool.finds_inside(pid);
        parent.expect("write-unlock", "depth 0");
        tool.finds_quiet();
        parent.expect(&format!(">c {lock}"), "locked 1");
        tool.expect_like(&lock, "error WouldBlock");
        parent.expect(">c write-unlock", "depth 0");
        tool.expect(&lock, "locked 1");
        tool.expect("write-unlock", "depth 0");
        tool.finds_quiet();
        assert_eq!(place.epoch(), 0, "{detector}");
    }
}

#[test]
fn a_pause_is_not_inherited() {
    for detector in DETECTORS {
        let (place, mut parent, mut tool) = scene(detector);
        parent.expect_like("exclusive hold=none", "granted");
        parent.expect_like("fork c", "forked");
        parent.expect(">c is-revoked", "revoked true");
        parent.expect_like(">c release", "error Revoked");
        assert!(place.status().closed, "the child opened its parent's gate");
        parent.expect_like(">c timed-shared 50", "error TimedOut");
        parent.expect("release", "released grown=0");
        parent.expect(">c shared", "inside 1");
        parent.expect(">c leave", "depth 0");
        tool.finds_quiet();
    }
}

#[test]
fn a_parents_death_is_seen_though_its_child_lives() {
    for detector in DETECTORS {
        let (place, mut parent, mut tool) = scene(detector);
        parent.expect("shared", "inside 1");
        parent.expect("owned", "owned 1");
        let child = parent.child_by("fork-sleeper");
        parent.kill();
        let asked = Instant::now();
        let answer = tool.ask("exclusive patience=0 drain=2000");
        let alive = kill(child, Signal::SIGKILL);
        assert!(answer.starts_with("granted"), "{detector}: {answer}");
        assert!(asked.elapsed() <= ms(20) + SLACK);
        alive.expect("the child lived");
        assert_eq!(place.epoch(), 2, "a thread's slot and the counted one");
    }
}

#[test]
fn a_dead_tools_gate_is_healed_though_its_child_lives() {
    let (_place, mut tool, mut writer) = scene("wipe");
    tool.expect_like("exclusive hold=none", "granted");
    let child = tool.child_by("fork-sleeper");
    tool.kill();
    let asked = Instant::now();
    let answer = writer.ask("timed-shared 5000");
    let alive = kill(child, Signal::SIGKILL);
    assert_eq!(answer, "inside 1");
    assert!(asked.elapsed() <= ms(150) + SLACK, "{:?}", asked.elapsed());
    alive.expect("the child lived");
}

#[test]
fn a_child_that_dies_inside_is_a_loss_of_its_own() {
    for detector in DETECTORS {
        let (place, mut parent, mut tool) = scene(detector);
        parent.expect("shared", "inside 1");
        let child = parent.child_by("fork c");
        parent.expect(">c shared", "inside 1");
        kill(child, Signal::SIGKILL).unwrap();
        tool.say("exclusive patience=0 drain=20000");
        until("the loss is seen", || place.epoch() == 1);
        assert_eq!(tool.heard(), None, "the parent is still inside");
        parent.expect("leave", "depth 0");
        let granted = tool.hear();
        assert!(granted.starts_with("granted"), "{granted}");
        assert!(!field(&granted, "waited_for").contains(&child.to_string()), "{granted}");
        assert_eq!(place.status().lost[0].pid.to_string(), child.to_string());
    }
}

#[test]
fn the_child_of_a_thread_holds_nothing_of_any_thread() {
    for detector in DETECTORS {
        let (place, mut parent, mut tool) = scene(detector);
        let pid = parent.pid();
        parent.expect("thread t", "thread t");
        parent.expect("shared", "inside 1");
        parent.expect("@t shared", "inside 1");
        parent.expect_like("@t fork c", "forked");
        parent.expect("@t >c depth", "depth 0");
        parent.expect("@t >c leave", "depth 0");
        parent.expect("@t >c shared", "inside 1");
        parent.expect("@t leave", "depth 0");
        tool.finds_inside(pid);
        parent.expect("leave", "depth 0");
        parent.expect("@t >c leave", "depth 0");
        parent.expect("end-thread t", "ended t");
        tool.finds_quiet();
        assert_eq!(place.epoch(), 0, "{detector}");
    }
}
