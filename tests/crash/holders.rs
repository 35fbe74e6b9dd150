//! Tools that are killed, stopped or dump core, while draining and in the pause.

use crate::common::{Participant, Place, SLACK, at_a_barrier, ms, until};
use crate::writers::with_core_dump;
use nix::sys::signal::Signal;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

/// A waiter finds a dead holder out at its tick of 100 ms; 150 ms are promised.
const HEALED: Duration = ms(150);

/// A tool, a writer that keeps it draining if asked for, and one that waits at the gate.
struct Scene {
    place: Place,
    tool: Participant,
    inside: Participant,
    waiting: Participant,
}

fn scene(draining: bool, limits: &str) -> Scene {
    let (place, [mut inside, mut waiting]) = at_a_barrier();
    let path = place.barrier_path();
    let mut tool = Participant::start_as(|command| with_core_dump(command, &place));
    tool.open(&path);
    if draining {
        inside.expect("shared", "inside 1");
        tool.say(&format!("exclusive patience=0 {limits}"));
        until("the gate is closed", || place.status().closed);
    } else {
        tool.expect_like(&format!("exclusive patience=0 {limits}"), "granted");
    }
    waiting.say("shared");
    until("somebody waits", || {
        place.status().writers.iter().any(|writer| writer.waiting.is_some())
    });
    Scene { place, tool, inside, waiting }
}

#[test]
fn writers_go_on_when_the_holder_is_killed() {
    for (draining, signal) in [
        (true, Signal::SIGKILL),
        (false, Signal::SIGKILL),
        (true, Signal::SIGABRT),
        (false, Signal::SIGABRT),
    ] {
        let Scene { place, mut tool, mut inside, mut waiting } =
            scene(draining, "drain=30000 hold=none");
        let killed = Instant::now();
        tool.signal(signal);
        assert_eq!(waiting.hear(), "inside 1");
        assert!(killed.elapsed() <= HEALED + SLACK, "{:?}", killed.elapsed());
        assert_eq!(tool.wait().core_dumped(), signal == Signal::SIGABRT);
        let status = place.status();
        assert!(!status.closed && status.holder.is_none());
        assert_eq!(status.dirty.epoch, 0, "no writer was lost");
        assert_eq!(status.stats.revocations, 0, "a dead holder's pause is healed, not revoked");
        waiting.expect("leave", "depth 0");
        if draining {
            inside.expect("leave", "depth 0");
        }
        inside.finds_quiet();
    }
}

#[test]
fn writers_that_come_later_find_out_as_well() {
    let shares =
        [("shared", "inside 1"), ("owned", "owned 1"), ("command-share watched", "inside")];
    for (share, answer) in shares {
        let (_place, [mut tool, mut writer]) = at_a_barrier();
        tool.expect_like("exclusive hold=none", "granted");
        tool.kill();
        let asked = Instant::now();
        writer.expect(share, answer);
        assert!(asked.elapsed() <= HEALED + SLACK, "{share}: {:?}", asked.elapsed());
    }
}

#[test]
fn writers_that_only_try_find_out_as_well() {
    let (_place, [mut tool, mut writer]) = at_a_barrier();
    tool.expect_like("exclusive hold=none", "granted");
    tool.kill();
    until("the gate was healed", || writer.ask("try-shared") == "inside 1");
}

#[test]
fn a_stopped_holder_is_revoked_in_the_pause() {
    let Scene { place, mut tool, mut waiting, .. } = scene(false, "drain=100 hold=300");
    tool.stop();
    let stopped = Instant::now();
    assert_eq!(waiting.hear(), "inside 1");
    assert!(stopped.elapsed() <= ms(400 + 100) + SLACK, "{:?}", stopped.elapsed());
    let status = place.status();
    assert!(!status.closed);
    assert_eq!(status.stats.revocations, 1);
    tool.go_on();
    tool.expect("is-revoked", "revoked true");
    tool.expect_like("release", "error Revoked");
    waiting.expect("leave", "depth 0");
    tool.finds_quiet();
}

#[test]
fn a_stopped_holder_is_revoked_while_it_drains() {
    let Scene { place, tool, mut inside, mut waiting } = scene(true, "drain=200 hold=200");
    tool.stop();
    let stopped = Instant::now();
    assert_eq!(waiting.hear(), "inside 1");
    assert!(stopped.elapsed() <= ms(400 + 100) + SLACK, "{:?}", stopped.elapsed());
    assert!(!place.status().closed);
    // All leave: the tool wakes up to a quiet barrier whose gate is open, which is no pause.
    inside.expect("leave", "depth 0");
    waiting.expect("leave", "depth 0");
    tool.go_on();
    let answer = tool.hear();
    assert!(
        answer.starts_with("error Revoked") || answer.starts_with("error NotQuiet"),
        "{answer}"
    );
    let status = place.status();
    assert!(!status.closed && !status.wanted && status.holder.is_none());
    assert_eq!(status.generation, 2, "nobody opened it twice");
}

#[test]
fn a_tool_that_dies_waiting_with_the_gate_open_harms_nobody() {
    let (place, [mut long, mut tool]) = at_a_barrier();
    let path = place.barrier_path();
    long.expect("shared", "inside 1");
    tool.say("exclusive patience=20000");
    until("it waits with the gate open", || place.status().generation == 2);
    tool.kill();
    let mut other = Participant::at(&path);
    other.expect("try-shared", "inside 1");
    other.expect("leave", "depth 0");
    long.expect("leave", "depth 0");
    other.finds_quiet();
    assert!(place.status().holder.is_none());
}
