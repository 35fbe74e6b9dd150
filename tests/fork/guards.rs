//! What a forked child inherits: nothing. With each way of noticing that it is one.

use crate::common::{Participant, Place, SLACK, field, ms, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::Instant;

/// The kernel wipes a page in the child; or, where it cannot, process ids are compared.
const DETECTORS: [&str; 2] = ["wipe", "pid"];

/// A participant that notices a fork in this way, and a tool.
fn scene(detector: &str) -> (Place, Participant, Participant) {
    let place = Place::new();
    let path = place.make_barrier();
    let mut parent = Participant::start_as(|command| {
        command.env("STILLPOINT_FORK_CHECK", detector);
    });
    parent.open(&path);
    let tool = Participant::at(&path);
    (place, parent, tool)
}

const ONCE: &str = "exclusive patience=0 drain=30";

#[track_caller]
fn is_quiet(tool: &mut Participant) {
    // A drain that failed before asks for 100 ms of open gate.
    tool.expect_like("exclusive patience=0 drain=2000", "granted");
    tool.expect("release", "released grown=0");
}

#[track_caller]
fn is_held_by(tool: &mut Participant, pid: &str) {
    let answer = tool.expect_like(ONCE, "error NotQuiet");
    assert!(answer.contains(&format!("participant[{pid}]")), "{answer} does not name {pid}");
}

fn forked(answer: &str) -> String {
    answer.strip_prefix("forked ").unwrap_or_else(|| panic!("{answer}")).to_string()
}

#[test]
fn a_childs_inherited_guard_is_void() {
    for detector in DETECTORS {
        let (place, mut parent, mut tool) = scene(detector);
        let pid = parent.pid().to_string();
        parent.expect("shared", "inside 1");
        parent.expect("shared", "inside 2");
        parent.expect_like("fork c", "forked");
        parent.expect(">c depth", "depth 0");
        parent.expect(">c leave", "depth 0");
        parent.expect(">c leave", "depth 0");
        is_held_by(&mut tool, &pid);
        parent.expect("leave", "depth 1");
        is_held_by(&mut tool, &pid);
        parent.expect("leave", "depth 0");
        is_quiet(&mut tool);
        assert_eq!(place.epoch(), 0, "{detector}");
    }
}

#[test]
fn a_child_joins_anew() {
    for detector in DETECTORS {
        let (place, mut parent, mut tool) = scene(detector);
        parent.expect("shared", "inside 1");
        let child = forked(&parent.ask("fork c"));
        parent.expect(">c shared", "inside 1");
        parent.expect(">c shared", "inside 2");
        // Dropping its own first and the inherited one afterwards.
        parent.expect("leave", "depth 0");
        is_held_by(&mut tool, &child);
        parent.expect(">c leave", "depth 1");
        is_held_by(&mut tool, &child);
        parent.expect(">c leave", "depth 0");
        parent.expect(">c leave", "depth 0");
        is_quiet(&mut tool);
        // Each has a slot of its own from now on.
        parent.expect(">c shared", "inside 1");
        parent.expect("shared", "inside 1");
        let inside: Vec<_> =
            place.status().writers.into_iter().filter(|writer| writer.inside).collect();
        assert_eq!(inside.len(), 2);
        assert_ne!(inside[0].pid, inside[1].pid);
        parent.expect(">c leave", "depth 0");
        parent.expect("leave", "depth 0");
        is_quiet(&mut tool);
        assert_eq!(place.epoch(), 0, "{detector}");
    }
}

#[test]
fn counted_shares_and_those_of_commands_are_not_inherited_either() {
    for detector in DETECTORS {
        let (place, mut parent, mut tool) = scene(detector);
        let pid = parent.pid().to_string();
        parent.expect("owned", "owned 1");
        parent.expect_like("fork c", "forked");
        parent.expect(">c disown", "owned 0");
        is_held_by(&mut tool, &pid);
        parent.expect(">c owned", "owned 1");
        parent.expect("disown", "owned 0");
        parent.expect(">c disown", "owned 0");
        is_quiet(&mut tool);
        parent.expect("command-share watched", "inside");
        parent.expect_like("fork d", "forked");
        parent.expect(">d end-command-share", "ended");
        is_held_by(&mut tool, &pid);
        parent.expect("end-command-share", "ended");
        is_quiet(&mut tool);
        assert_eq!(place.epoch(), 0, "{detector}");
    }
}

/// A child shares its parent's open file, and with it the lock, which is not the child's to give back.
#[test]
fn a_childs_inherited_write_lock_is_its_parents() {
    for detector in DETECTORS {
        let (place, mut parent, mut tool) = scene(detector);
        let pid = parent.pid().to_string();
        let mailbox = place.path("mailbox");
        let lock = format!("try-write-lock {}", mailbox.display());
        parent.expect(&lock, "locked 1");
        parent.expect_like("fork c", "forked");
        parent.expect(">c write-unlock", "depth 0");
        parent.expect_like(&format!(">c {lock}"), "error WouldBlock");
        tool.expect_like(&lock, "error WouldBlock");
        is_held_by(&mut tool, &pid);
        parent.expect("write-unlock", "depth 0");
        is_quiet(&mut tool);
        parent.expect(&format!(">c {lock}"), "locked 1");
        tool.expect_like(&lock, "error WouldBlock");
        parent.expect(">c write-unlock", "depth 0");
        tool.expect(&lock, "locked 1");
        tool.expect("write-unlock", "depth 0");
        is_quiet(&mut tool);
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
        is_quiet(&mut tool);
    }
}

#[test]
fn a_parents_death_is_seen_though_its_child_lives() {
    for detector in DETECTORS {
        let (place, mut parent, mut tool) = scene(detector);
        parent.expect("shared", "inside 1");
        parent.expect("owned", "owned 1");
        let child = forked(&parent.ask("fork-sleeper"));
        parent.kill();
        let asked = Instant::now();
        let answer = tool.ask("exclusive patience=0 drain=2000");
        let alive = kill(Pid::from_raw(child.parse().unwrap()), Signal::SIGKILL);
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
    let child = forked(&tool.ask("fork-sleeper"));
    tool.kill();
    let asked = Instant::now();
    let answer = writer.ask("timed-shared 5000");
    let alive = kill(Pid::from_raw(child.parse().unwrap()), Signal::SIGKILL);
    assert_eq!(answer, "inside 1");
    assert!(asked.elapsed() <= ms(150) + SLACK, "{:?}", asked.elapsed());
    alive.expect("the child lived");
}

#[test]
fn a_child_that_dies_inside_is_a_loss_of_its_own() {
    for detector in DETECTORS {
        let (place, mut parent, mut tool) = scene(detector);
        parent.expect("shared", "inside 1");
        let child = forked(&parent.ask("fork c"));
        parent.expect(">c shared", "inside 1");
        kill(Pid::from_raw(child.parse().unwrap()), Signal::SIGKILL).unwrap();
        tool.say("exclusive patience=0 drain=20000");
        until("the loss is seen", || place.epoch() == 1);
        assert_eq!(tool.heard(), None, "the parent is still inside");
        parent.expect("leave", "depth 0");
        let granted = tool.hear();
        assert!(granted.starts_with("granted"), "{granted}");
        assert!(!field(&granted, "waited_for").contains(&child), "{granted}");
        assert_eq!(place.status().lost[0].pid.to_string(), child);
    }
}

#[test]
fn the_child_of_a_thread_holds_nothing_of_any_thread() {
    for detector in DETECTORS {
        let (place, mut parent, mut tool) = scene(detector);
        let pid = parent.pid().to_string();
        parent.expect("thread t", "thread t");
        parent.expect("shared", "inside 1");
        parent.expect("@t shared", "inside 1");
        parent.expect_like("@t fork c", "forked");
        parent.expect("@t >c depth", "depth 0");
        parent.expect("@t >c leave", "depth 0");
        parent.expect("@t >c shared", "inside 1");
        parent.expect("@t leave", "depth 0");
        is_held_by(&mut tool, &pid);
        parent.expect("leave", "depth 0");
        parent.expect("@t >c leave", "depth 0");
        parent.expect("end-thread t", "ended t");
        is_quiet(&mut tool);
        assert_eq!(place.epoch(), 0, "{detector}");
    }
}
