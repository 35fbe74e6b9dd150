//! Who takes part. Each scene is explored to its end.

use super::machine::{Kind, Scene};
use crate::explore::holds;

const PLAIN: Scene = Scene {
    name: "unfenced writers",
    writers: [Kind::Unfenced; 2],
    one_process: false,
    fails: false,
    variant: None,
};

/// Nobody has a fence.
pub fn unfenced() -> Scene {
    PLAIN
}

/// Both kinds live together.
pub fn beside_a_fenced_one() -> Scene {
    Scene { name: "unfenced beside fenced", writers: [Kind::Fenced, Kind::Unfenced], ..PLAIN }
}

/// A command under the share of a writer without a fence. A look comes to its slot first.
pub fn covered() -> Scene {
    Scene { name: "covered by unfenced", writers: [Kind::Covered, Kind::Unfenced], ..PLAIN }
}

/// Two threads of one process join while the gate is closed.
pub fn joining() -> Scene {
    Scene { name: "joining for fences", writers: [Kind::Joins; 2], one_process: true, ..PLAIN }
}

/// A process and its child.
pub fn forking() -> Scene {
    Scene { name: "a child without a fence", writers: [Kind::Joins, Kind::Child], ..PLAIN }
}

/// The call fails in any closing.
pub fn failing() -> Scene {
    Scene { name: "a call that fails", fails: true, ..PLAIN }
}

#[test]
fn without_fences() {
    holds(unfenced());
    holds(beside_a_fenced_one());
}

#[test]
fn under_a_share_without_a_fence() {
    holds(covered());
}

#[test]
fn who_comes_and_is_forked() {
    holds(joining());
    holds(forking());
}

#[test]
fn calls_that_fail() {
    holds(failing());
}
