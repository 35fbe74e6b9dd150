//! Other ways to make a process, or to become another.

use crate::common::{Participant, Place, SLACK, ms};
use std::time::Instant;

const ONCE: &str = "exclusive patience=0 drain=30";

#[test]
fn a_daemon_that_forks_twice_joins_anew() {
    for detector in ["wipe", "pid"] {
        let place = Place::new();
        let path = place.make_barrier();
        let mut first = Participant::start_as(|command| {
            command.env("STILLPOINT_FORK_CHECK", detector);
        });
        first.open(&path);
        let mut tool = Participant::at(&path);
        first.expect("shared", "inside 1");
        let daemon = first.ask("fork-twice d").replace("forked ", "");
        first.expect(">d depth", "depth 0");
        first.expect(">d shared", "inside 1");
        first.expect("leave", "depth 0");
        let answer = tool.expect_like(ONCE, "error NotQuiet");
        assert!(answer.contains(&format!("[{daemon}]")), "{answer}");
        first.expect_like(">d fork e", "forked");
        first.expect(">d >e depth", "depth 0");
        first.expect(">d leave", "depth 0");
        first.expect(">d >e shared", "inside 1");
        first.expect(">d >e leave", "depth 0");
        tool.expect_like("exclusive", "granted");
        tool.expect("release", "released grown=0");
        assert_eq!(place.epoch(), 0);
    }
}

#[test]
fn a_share_outlives_vfork_and_spawn() {
    let place = Place::new();
    let path = place.make_barrier();
    let (mut writer, mut tool) = (Participant::at(&path), Participant::at(&path));
    writer.expect("shared", "inside 1");
    writer.expect("owned", "owned 1");
    for make in ["vfork-true", "spawn-true"] {
        writer.expect_like(make, if make == "vfork-true" { "vforked" } else { "spawned" });
        writer.expect("depth", "depth 1");
        tool.expect_like(ONCE, "error NotQuiet");
    }
    writer.expect("leave", "depth 0");
    tool.expect_like(ONCE, "error NotQuiet");
    writer.expect("disown", "owned 0");
    tool.expect_like("exclusive", "granted");
    tool.expect("release", "released grown=0");
    assert_eq!(place.epoch(), 0);
}

#[test]
fn exec_inside_a_share_is_a_loss() {
    let place = Place::new();
    let path = place.make_barrier();
    let (mut writer, mut tool) = (Participant::at(&path), Participant::at(&path));
    writer.expect("shared", "inside 1");
    writer.expect_like("exec", "ready");
    tool.expect_like("exclusive patience=0 drain=2000", "granted");
    assert_eq!(place.epoch(), 1);
    assert_eq!(place.status().lost[0].pid, writer.pid());
    tool.expect("release", "released grown=0");
    // The new program begins anew.
    writer.open(&path);
    writer.expect("shared", "inside 1");
}

#[test]
fn exec_in_a_pause_ends_it() {
    let place = Place::new();
    let path = place.make_barrier();
    let (mut writer, mut tool) = (Participant::at(&path), Participant::at(&path));
    tool.expect_like("exclusive hold=none", "granted");
    tool.expect_like("exec", "ready");
    let asked = Instant::now();
    writer.expect("shared", "inside 1");
    assert!(asked.elapsed() <= ms(150) + SLACK, "{:?}", asked.elapsed());
}
