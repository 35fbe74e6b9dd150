//! Known-bad variants: the protocol of a group with one thing left out. Each tells the orders of steps that
//! it falls to, as the checker found them.

use super::properties::{KEPT, NO_FLIP, NO_ORPHAN, NOBODY_MISSING, PROVED};
use super::scene::{Mode, Scene};
use super::scenes;
use crate::explore::{caught, lost};

/// What is left out, or done otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// A member whose lease is lost is no longer waited for. One agent is killed before the pause and another
    /// one's lease is lost by mistake: RELEASE and COMPLETE need nobody, and the writers of both go on.
    LossSubtracts,
    /// All snapshots are reported and RELEASE is put, so COMPLETE follows. One gate was opened by a writer, at
    /// its limit, in the middle of the snapshot.
    NoCertificate,
    /// The agent certifies what its own clock says it held, whether or not the swap opened the gate. A writer's
    /// clock was faster.
    TrustsItsTimer,
    /// As many reports as members will do, whoever sent them (a double barrier). The agent of a host that has
    /// left obeys too: its reports release two hosts, of which one has not closed its gate yet.
    Counts,
    /// A verdict is written over another one. Somebody recovers the epoch of a coordinator that sleeps with all
    /// certificates in its hands; it wakes.
    VerdictTwice,
    /// A host opens its gate when its own snapshot is whole. What it writes then reaches a host that has not
    /// closed, and that one's snapshot.
    OpensBeforeRelease,
    /// A restarted agent obeys the epoch that it has obeyed before. The certificate of the first snapshot counts;
    /// the second one, behind the opening of another host, stands in its place.
    ObeysTwice,
    /// Reports count whichever agent sent them. A clone of the host, with the same name, is paused and certified
    /// in its place.
    AnyIncarnation,
    /// Reports count whichever epoch they are of. Those of the last one, whose lease was lost after all had
    /// certified, complete the next before anybody was told of it.
    ReportOfAnyEpoch,
    /// Epochs are told apart by their revision alone. The store is restored from an old backup, the next epoch
    /// has the same revision, and what was reported or closed for the first counts for it.
    IdAlone,
    /// A late copy of a report is put over a newer one. The coordinator was not told of the newer, and waits for
    /// it for ever.
    UnguardedReports,
    /// COMPLETE asks for neither the epoch nor the roster. The epoch's lease is lost, a host joins, and
    /// the coordinator wakes.
    UnguardedVerdict,
    /// Hosts join and leave while there is an epoch.
    MovesInMidEpoch,
    /// A snapshot is called clean once it is certified here. The epoch is aborted for another host's sake.
    CleanWhenCertified,
    /// A snapshot is called clean once its epoch is over. Its lease was lost.
    CleanWhenDeleted,
    /// A snapshot is thrown away as long as there is no verdict. It comes.
    DiscardsInDoubt,
}

use Variant::*;

fn with(variant: Variant, scene: Scene) -> Scene {
    Scene { variant: Some(variant), ..scene }
}

/// The same with a host that loses its lease by mistake.
fn with_a_loss(scene: Scene) -> Scene {
    Scene { losses: 1, ..scene }
}

#[test]
fn loss_subtracts() {
    caught(with(LossSubtracts, with_a_loss(scenes::hold_all())), NOBODY_MISSING);
    caught(with(LossSubtracts, with_a_loss(scenes::hold_all())), NO_ORPHAN);
    caught(with(LossSubtracts, with_a_loss(scenes::early())), NO_ORPHAN);
}

#[test]
fn no_certificate() {
    caught(with(NoCertificate, scenes::hold_all()), NO_ORPHAN);
    caught(with(NoCertificate, scenes::early()), NOBODY_MISSING);
}

#[test]
fn trusts_its_timer() {
    caught(with(TrustsItsTimer, scenes::hold_all()), NO_ORPHAN);
    caught(with(TrustsItsTimer, scenes::early()), NO_ORPHAN);
}

#[test]
fn counts() {
    caught(with(Counts, scenes::clone()), NOBODY_MISSING);
    caught(with(Counts, Scene { mode: Mode::Early, ..scenes::clone() }), NO_ORPHAN);
}

#[test]
fn verdict_twice() {
    caught(with(VerdictTwice, scenes::hold_all()), NO_FLIP);
}

#[test]
fn opens_before_release() {
    caught(with(OpensBeforeRelease, scenes::hold_all()), NO_ORPHAN);
    caught(with(OpensBeforeRelease, scenes::early()), NO_ORPHAN);
}

#[test]
fn obeys_twice() {
    caught(with(ObeysTwice, scenes::hold_all()), NO_ORPHAN);
}

#[test]
fn any_incarnation() {
    caught(with(AnyIncarnation, scenes::clone()), NO_ORPHAN);
    caught(with(AnyIncarnation, scenes::clone()), NOBODY_MISSING);
}

#[test]
fn report_of_any_epoch() {
    caught(with(ReportOfAnyEpoch, scenes::two_epochs()), NOBODY_MISSING);
}

#[test]
fn id_alone() {
    caught(with(IdAlone, scenes::restored()), NOBODY_MISSING);
}

#[test]
fn unguarded_reports() {
    lost(with(UnguardedReports, scenes::undisturbed()));
}

#[test]
fn unguarded_verdict() {
    caught(with(UnguardedVerdict, scenes::moves()), NOBODY_MISSING);
}

#[test]
fn moves_in_mid_epoch() {
    caught(with(MovesInMidEpoch, scenes::moves()), NOBODY_MISSING);
}

#[test]
fn clean_when_certified() {
    caught(with(CleanWhenCertified, scenes::hold_all()), PROVED);
}

#[test]
fn clean_when_deleted() {
    caught(with(CleanWhenDeleted, scenes::hold_all()), PROVED);
}

#[test]
fn discards_in_doubt() {
    caught(with(DiscardsInDoubt, scenes::hold_all()), KEPT);
}
