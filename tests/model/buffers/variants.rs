//! One thing left out, or done in another order, and the scene that shows what comes of it.

use super::machine::{EXCLUSION, Scene};
use super::scenes;
use crate::explore::{caught, lost};

/// What is left out, or done otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Nobody makes the call: a word is on its way during both looks.
    NoCall,
    /// It is made before the gate is closed: a writer publishes between the two.
    CallBeforeClosing,
    /// It is made for the first closing only, and the gate was reopened out of courtesy.
    SecondClosingWithoutCall,
    /// It is only made if some slot says that its owner has no fence: that flag is on its way, as the word is.
    CallByFlag,
    /// The call fails, and the tool goes on.
    GoesOnAfterFailure,
    /// The call fails, and the gate stays closed.
    LeavesItClosed,
    /// A writer leaves its fence out before it has registered.
    Unregistered,
    /// A thread finds its process registered while another one's call is under way.
    RememberedTooEarly,
    /// A forked child takes its parent's registration for its own.
    ChildKeepsItsParents,
    /// The compiler takes the load of the gate before the store of the word.
    NoCompilerFence,
    /// A covered writer leaves its fence out: its cover ends when the call was made long ago.
    CoveredUnfenced,
}

use Variant::*;

fn with(variant: Variant, scene: Scene) -> Scene {
    Scene { variant: Some(variant), ..scene }
}

#[test]
fn no_call() {
    caught(with(NoCall, scenes::unfenced()), EXCLUSION);
    caught(with(NoCall, scenes::beside_a_fenced_one()), EXCLUSION);
}

#[test]
fn call_before_closing() {
    caught(with(CallBeforeClosing, scenes::unfenced()), EXCLUSION);
}

#[test]
fn second_closing_without_call() {
    caught(with(SecondClosingWithoutCall, scenes::unfenced()), EXCLUSION);
}

#[test]
fn call_by_flag() {
    caught(with(CallByFlag, scenes::joining()), EXCLUSION);
}

#[test]
fn goes_on_after_failure() {
    caught(with(GoesOnAfterFailure, scenes::failing()), EXCLUSION);
}

#[test]
fn leaves_it_closed() {
    lost(with(LeavesItClosed, scenes::failing()));
}

#[test]
fn unregistered() {
    caught(with(Unregistered, scenes::joining()), EXCLUSION);
}

#[test]
fn remembered_too_early() {
    caught(with(RememberedTooEarly, scenes::joining()), EXCLUSION);
}

#[test]
fn child_keeps_its_parents() {
    caught(with(ChildKeepsItsParents, scenes::forking()), EXCLUSION);
}

#[test]
fn no_compiler_fence() {
    caught(with(NoCompilerFence, scenes::unfenced()), EXCLUSION);
}

#[test]
fn covered_unfenced() {
    caught(with(CoveredUnfenced, scenes::covered()), EXCLUSION);
}
