//! Other ways to make a process, or to become another.

use crate::common::{SLACK, at_a_barrier, ms};
use crate::detectors::{DETECTORS, noticing_by};
use std::time::Instant;

#[test]
fn a_daemon_that_forks_twice_joins_anew() {
    for detector in DETECTORS {
        let (place, [mut tool]) = at_a_barrier();
        let mut first = noticing_by(detector, &place.barrier_path());
        first.expect("shared", "inside 1");
        let daemon = first.child_by("fork-twice d");
        first.expect(">d depth", "depth 0");
        first.expect(">d shared", "inside 1");
        first.expect("leave", "depth 0");
        tool.finds_inside(daemon);
        first.expect_like(">d fork e", "forked");
        first.expect(">d >e depth", "depth 0");
        first.expect(">d leave", "depth 0");
        first.expect(">d >e shared", "inside 1");
        first.expect(">d >e leave", "depth 0");
        tool.finds_quiet();
        assert_eq!(place.epoch(), 0);
    }
}

#[test]
fn a_share_outlives_vfork_and_spawn() {
    let (place, [mut writer, mut tool]) = at_a_barrier();
    writer.expect("shared", "inside 1");
    writer.expect("owned", "owned 1");
    for make in ["vfork-true", "spawn-true"] {
        writer.expect_like(make, if make == "vfork-true" { "vforked" } else { "spawned" });
        writer.expect("depth", "depth 1");
        tool.finds_inside(writer.pid());
    }
    writer.expect("leave", "depth 0");
    tool.finds_inside(writer.pid());
    writer.expect("disown", "owned 0");
    tool.finds_quiet();
    assert_eq!(place.epoch(), 0);
}

#[test]
fn exec_inside_a_share_is_a_loss() {
    let (place, [mut writer, mut tool]) = at_a_barrier();
    let path = place.barrier_path();
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
    let (_place, [mut writer, mut tool]) = at_a_barrier();
    tool.expect_like("exclusive hold=none", "granted");
    tool.expect_like("exec", "ready");
    let asked = Instant::now();
    writer.expect("shared", "inside 1");
    assert!(asked.elapsed() <= ms(150) + SLACK, "{:?}", asked.elapsed());
}
