//! Known-bad variants: the protocol with one thing left out, or done in another order. A model that
//! holds proves little until it has been seen to fail.
//!
//! Each test names the scene and the property that must fail there, and prints how many steps it
//! takes.

use crate::explore::{caught, lost};
use crate::properties::{
    CERTIFICATE, CLEAN, EXCLUSION, FALSE_DEATH, LOST_WRITER, NOT_STUCK, OWN_PAUSE,
};
use crate::scene::Scene;
use crate::scenes;

/// What is left out, or done otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Enter does not look at the gate once its word is published: a pause is granted in between.
    NoCheckAfterPublishing,
    /// Reclaim asks whether the life byte is free and does not take it: the slot is claimed again in
    /// between, and the new owner's word is cleared.
    ProbeThenClear,
    /// Release wakes the waiters before it opens the gate: one goes to sleep in between, for good.
    WakeBeforeOpening,
    /// Reclaim clears the word first and raises the dirty epoch after it: killed in between, it leaves
    /// no trace of the lost writer.
    DirtyAfterClearing,
    /// Reclaim takes every odd slot for a dead writer's.
    ReclaimWithoutAsking,
    /// A waiter opens the gate by a plain store of the generation that follows the one it saw: it opens
    /// the pause of the next tool.
    OpenByStore,
    /// A writer that takes its word back does not move the drain word: the tool sleeps on.
    RetractWithoutBump,
    /// A writer that leaves does not move the drain word either.
    LeaveWithoutBump,
    /// A covered writer asks for its cover before it publishes, and not again: the cover ends in
    /// between.
    CoverBeforePublishing,
    /// A covered writer does not publish at all: its cover ends while it is inside.
    CoverWithoutPublishing,
    /// One look at even words is enough: a covered writer goes in behind the look while its cover ends
    /// ahead of it.
    OneLook,
    /// Two looks at even words are enough, whether or not they are the same: a command comes and goes
    /// between them, and another goes in under it.
    TwoLooksAnyWords,
    /// Nobody looks again before the release: a command under the pause is still inside.
    NoLookAtRelease,
    /// The dirty epoch is read before that look, which finds the command dead: certified as clean.
    DirtyReadBeforeLooking,
    /// A release is certified whether or not its own swap opened the gate.
    NoCertificate,
    /// A tool that finds the gate closed by a dead one paces before it opens it.
    PaceBeforeHealing,
    /// A tool announces its own limit over that of a pause that still stands.
    AnnounceBeforeHealing,
    /// A waiter that heals takes X for that: stopped with it, it keeps every tool out.
    HealerTakesX,
    /// Nobody can ask whether the holder lives, and its pause had no limit.
    NobodyAsks,
    /// A counted word is the number of shares: two make it even.
    CountedAsNumber,
    /// All locks are taken through one description, where none conflicts: one takes for dead who
    /// lives.
    OneDescription,
    /// A child is forked between open and close of its parent's join, and keeps the description: the
    /// dead parent looks alive.
    ForkWhileJoining,
    /// A forked child leaves its parent's share.
    ChildKeepsGuard,
    /// The wrapper alone keeps the life byte of a command's share: killed, it leaves the command
    /// writing with no share.
    WrapperKeepsItsByte,
    /// The words of a command's share are like any others: years later, a counted word in that slot is
    /// taken for the share, and a writer that only knocks for a cover.
    UnmarkedCommands,
    /// A nested share asks the gate, which waits for the outer one.
    NestedShareAsks,
    /// The first closing is not cut short for long shares.
    NoCourtesy,
    /// All barriers are closed before the first is drained.
    CloseTogether,
    /// A file that was in the place of this one is looked at, and not closed for good.
    OldStaysOpen,
    /// It is closed for good, and who is inside is not waited for.
    OldNotAwaited,
    /// That nobody is left is noted before anybody has looked: the next tool believes it.
    NotedTooEarly,
    /// A waiter that finds nobody to have closed it opens it as any other.
    OldHealed,
    /// Closing it for good wakes nobody.
    SupersedeWithoutWake,
    /// Whoever has a pause of the old file does not look whether that is where writers look for it.
    CertifiedElsewhere,
}

use Variant::*;

fn with(variant: Variant, scene: Scene) -> Scene {
    Scene { variant: Some(variant), ..scene }
}

#[test]
fn no_check_after_publishing() {
    caught(with(NoCheckAfterPublishing, scenes::base()), EXCLUSION);
}

#[test]
fn probe_then_clear() {
    caught(with(ProbeThenClear, scenes::reclaiming()), FALSE_DEATH);
}

#[test]
fn wake_before_opening() {
    caught(with(WakeBeforeOpening, scenes::one_wake_up()), NOT_STUCK);
}

#[test]
fn dirty_after_clearing() {
    caught(with(DirtyAfterClearing, scenes::reclaiming()), LOST_WRITER);
}

#[test]
fn reclaim_without_asking() {
    caught(with(ReclaimWithoutAsking, scenes::base()), FALSE_DEATH);
    caught(with(ReclaimWithoutAsking, scenes::base()), EXCLUSION);
}

#[test]
fn open_by_store() {
    caught(with(OpenByStore, scenes::base()), OWN_PAUSE);
}

#[test]
fn retract_without_bump() {
    caught(with(RetractWithoutBump, scenes::wake_ups()), NOT_STUCK);
}

#[test]
fn leave_without_bump() {
    caught(with(LeaveWithoutBump, scenes::wake_ups()), NOT_STUCK);
}

#[test]
fn cover_before_publishing() {
    caught(with(CoverBeforePublishing, scenes::under_a_share()), EXCLUSION);
}

#[test]
fn cover_without_publishing() {
    caught(with(CoverWithoutPublishing, scenes::under_a_share()), EXCLUSION);
}

#[test]
fn one_look() {
    caught(with(OneLook, scenes::under_a_share()), EXCLUSION);
}

#[test]
fn two_looks_at_any_words() {
    caught(with(TwoLooksAnyWords, scenes::under_a_command()), EXCLUSION);
}

#[test]
fn no_look_at_release() {
    caught(with(NoLookAtRelease, scenes::under_a_pause()), CERTIFICATE);
    caught(with(NoLookAtRelease, scenes::under_a_pause()), CLEAN);
}

#[test]
fn dirty_read_before_looking() {
    caught(with(DirtyReadBeforeLooking, scenes::under_a_pause()), CLEAN);
}

#[test]
fn no_certificate() {
    caught(with(NoCertificate, scenes::base()), CERTIFICATE);
}

#[test]
fn pace_before_healing() {
    lost(with(PaceBeforeHealing, scenes::no_limit()));
}

#[test]
fn announce_before_healing() {
    caught(with(AnnounceBeforeHealing, scenes::base()), OWN_PAUSE);
}

#[test]
fn healer_takes_x() {
    lost(with(HealerTakesX, scenes::healing()));
}

#[test]
fn nobody_asks() {
    let scene = Scene { can_ask: [false; 3], tools: 1, ..scenes::no_limit() };
    lost(with(NobodyAsks, scene));
}

#[test]
fn counted_as_number() {
    caught(with(CountedAsNumber, scenes::counting()), EXCLUSION);
}

#[test]
fn one_description() {
    caught(with(OneDescription, scenes::reclaiming()), FALSE_DEATH);
    caught(with(OneDescription, scenes::reclaiming()), EXCLUSION);
}

#[test]
fn fork_while_joining() {
    lost(with(ForkWhileJoining, scenes::forking()));
}

#[test]
fn child_keeps_guard() {
    caught(with(ChildKeepsGuard, scenes::forking()), EXCLUSION);
}

#[test]
fn wrapper_keeps_its_byte() {
    caught(with(WrapperKeepsItsByte, scenes::under_a_share()), EXCLUSION);
}

#[test]
fn unmarked_commands() {
    caught(with(UnmarkedCommands, scenes::old_claim()), EXCLUSION);
}

#[test]
fn nested_share_asks() {
    caught(with(NestedShareAsks, scenes::wake_ups()), NOT_STUCK);
}

#[test]
fn no_courtesy() {
    lost(with(NoCourtesy, scenes::courtesy()));
}

#[test]
fn old_stays_open() {
    caught(with(OldStaysOpen, scenes::replaced()), EXCLUSION);
}

#[test]
fn old_not_awaited() {
    caught(with(OldNotAwaited, scenes::replaced()), EXCLUSION);
}

#[test]
fn noted_too_early() {
    caught(with(NotedTooEarly, scenes::replaced()), EXCLUSION);
}

#[test]
fn old_healed() {
    caught(with(OldHealed, scenes::replaced_while_healing()), EXCLUSION);
}

#[test]
fn supersede_without_wake() {
    caught(with(SupersedeWithoutWake, scenes::replaced_without_time()), NOT_STUCK);
}

#[test]
fn certified_elsewhere() {
    caught(with(CertifiedElsewhere, scenes::replaced_under_a_tool()), CERTIFICATE);
}

#[test]
fn one_look_at_the_old() {
    caught(with(OneLook, scenes::replaced_under_a_share()), EXCLUSION);
}

#[test]
fn close_together() {
    caught(with(CloseTogether, scenes::two_barriers()), NOT_STUCK);
}
