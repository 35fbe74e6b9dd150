//! Closing the gates of all barriers and waiting until they are quiet, with courtesy: steps 3 to 5 of `acquire`.

use crate::error::Error;
use crate::exclusive::drain::{Insider, drain, still_inside};
use crate::exclusive::guard::{PauseReport, in_callers_order};
use crate::exclusive::held::Held;
use crate::exclusive::options::{ExclusiveOptions, GateChange};
use crate::file::layout::{KIND_FREE, Slot};
use crate::gate::protocol::{Fenced, Gate};
use crate::gate::sync::{Ordering, step};
use crate::member::reclaim::reclaim;
use crate::report::watch::{Phase, Watch};
use crate::system::calls::Moment;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

/// The longest that the first closing lasts if there is patience for a second.
pub(super) const COURTESY: Duration = Duration::from_millis(50);
/// As long as any clock can count on.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 86_400);
/// Between two looks whether a long share has ended.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);
/// How many writers a report names.
const NAMED: usize = 64;

pub(super) fn tell(options: &mut ExclusiveOptions<'_>, change: GateChange) -> Result<(), Error> {
    let goes_on = options.around_closing.as_mut().is_none_or(|around| around(change));
    if goes_on { Ok(()) } else { Err(Error::Cancelled) }
}

/// Barriers that this process has announced to pause: dropping it opens their gates and takes the
/// announcement back.
pub(super) struct Announced {
    pub(super) held: Vec<Held>,
}

/// How a closing of all gates ended.
pub(super) struct Closing {
    /// When the first gate was closed: for waits.
    pub(super) at: Instant,
    /// The same moment, just before: for the certificate.
    before: Moment,
    /// Who was inside, per barrier, up to the first that did not become quiet.
    pub(super) insiders: Vec<Vec<Insider>>,
    /// That the writers of each barrier have passed a fence since; `None`: it is an ancestor that has closed it.
    pub(super) fenced: Vec<Option<Fenced>>,
    pub(super) quiet: bool,
}

impl Announced {
    pub(super) fn own(&self) -> impl Iterator<Item = &Held> {
        self.held.iter().filter(|held| !held.is_covered())
    }

    /// Quiets all barriers. Returns when the gates were closed for the last time, and the report.
    pub(super) fn quiet(
        &mut self,
        options: &mut ExclusiveOptions<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<(Moment, PauseReport), Error> {
        let (closing, closings) = match options.predicate.take() {
            Some(predicate) => {
                let closed = self.close_for(options, predicate, watch);
                options.predicate = Some(predicate);
                closed?
            }
            None => self.close_courteously(options, watch)?,
        };
        self.held.iter().try_for_each(|held| held.attachment().map(drop))?;
        if let Some(held) = self.held.iter().find(|held| !held.is_closed()) {
            let reason = "somebody opened the gate before it was quiet".into();
            return Err(Error::Revoked { path: held.barrier.path().into(), reason });
        }
        step("exclusive: quiet");
        Ok((closing.before, self.report(&closing, closings)))
    }

    /// Closes the gates: once, or twice if some share turns out to be long.
    fn close_courteously(
        &mut self,
        options: &mut ExclusiveOptions<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<(Closing, u32), Error> {
        let mut closings = 1;
        let courteous = !options.patience.is_zero() && options.drain > COURTESY;
        let limit = if courteous { COURTESY } else { options.drain };
        tell(options, GateChange::AboutToClose)?;
        let mut closing = self.close(limit, watch)?;
        if !closing.quiet && courteous {
            self.open();
            step("exclusive: reopened");
            tell(options, GateChange::Reopened)?;
            self.outlast(&closing, options.patience, watch)?;
            tell(options, GateChange::AboutToClose)?;
            closings += 1;
            closing = self.close(options.drain, watch)?;
        }
        if closing.quiet { Ok((closing, closings)) } else { Err(self.failed(&closing, watch)) }
    }

    /// Closes and drains one barrier after another. All stay closed, whether quiet or not.
    fn close(&mut self, limit: Duration, watch: &mut Watch<'_>) -> Result<Closing, Error> {
        self.close_each(limit, watch, |_, _| {})
    }

    /// The same, with something to be done at each gate that was closed as this generation.
    pub(super) fn close_each(
        &mut self,
        limit: Duration,
        watch: &mut Watch<'_>,
        then: impl Fn(&Gate, u32),
    ) -> Result<Closing, Error> {
        let before = Moment::now();
        let at = Instant::now();
        let deadline = at + limit.min(FOREVER);
        let (mut insiders, mut fenced) = (Vec::new(), Vec::new());
        for held in &mut self.held {
            if held.is_covered() {
                insiders.push(Vec::new());
                fenced.push(None);
                continue;
            }
            let closed = held.close()?;
            step("exclusive: closed");
            then(held.attachment()?.gate(), held.generation);
            let drained = drain(held, &closed, deadline, watch)?;
            insiders.push(drained.insiders);
            fenced.push(Some(closed));
            if !drained.quiet {
                return Ok(Closing { at, before, insiders, fenced, quiet: false });
            }
        }
        Ok(Closing { at, before, insiders, fenced, quiet: true })
    }

    /// Opens every gate that is closed, and records that this closing did not come to a pause.
    pub(super) fn open(&mut self) {
        for held in self.held.iter_mut().filter(|held| !held.is_covered()) {
            held.reopen();
        }
    }

    /// Waits with the gates open for the shares that were still inside when they opened, and no
    /// others. The gates stay open at least as long as they were closed.
    fn outlast(
        &self,
        closing: &Closing,
        patience: Duration,
        watch: &mut Watch<'_>,
    ) -> Result<(), Error> {
        let opened = Instant::now();
        for (held, insiders) in self.held.iter().zip(&closing.insiders) {
            let attachment = held.attachment()?;
            let slots = attachment.parts.slots();
            let gone = |insider: &Insider| {
                !insider.is_still_inside(slots)
                    || reclaim(&held.barrier.inner.place, attachment.parts, insider.index)
            };
            while !attachment.is_cut() && !insiders.iter().all(gone) && opened.elapsed() < patience
            {
                let names =
                    || still_inside(insiders, slots).map(|seen| seen.name(slots, true)).collect();
                watch.tick(Phase::LongShares, held.barrier.path(), names)?;
                std::thread::sleep(BETWEEN_LOOKS);
            }
        }
        let closed_for = opened.duration_since(closing.at);
        std::thread::sleep(closed_for.min(COURTESY).saturating_sub(opened.elapsed()));
        Ok(())
    }

    /// Opens the gates after a drain that reached its limit, and says who was inside.
    pub(super) fn failed(&mut self, closing: &Closing, watch: &Watch<'_>) -> Error {
        let last = closing.insiders.len().saturating_sub(1);
        let barrier = self.held[last].barrier.clone();
        let slots = barrier.inner.whole().ok().map(|attachment| attachment.parts.slots());
        let mut inside = Vec::new();
        if let Some(slots) = slots {
            inside.extend(still_inside(&closing.insiders[last], slots));
        }
        for held in self.own() {
            held.count_drain_timeout();
        }
        self.open();
        // Only now: nobody need wait for the names, for which /proc is read.
        let mut writers = Vec::new();
        if let Some(slots) = slots {
            let identity = barrier.inner.place.identity;
            let names = inside.iter().map(|insider| insider.name(slots, true));
            writers.extend(names.map(|writer| writer.or_heir(identity)));
        }
        let path = barrier.path().to_path_buf();
        Error::NotQuiet { path, waited: watch.waited(), writers }
    }

    fn report(&self, closing: &Closing, closings: u32) -> PauseReport {
        let mut report = PauseReport {
            drain: closing.before.elapsed(),
            hold: Duration::ZERO,
            pause: Duration::ZERO,
            closings,
            writers: 0,
            waited_for: Vec::new(),
            dirty_at_grant: in_callers_order(&self.held, Held::dirty),
            dirty_at_release: Vec::new(),
            generations: in_callers_order(&self.held, |held| held.generation),
            quiet_at: SystemTime::now(),
        };
        for (held, insiders) in self.held.iter().zip(&closing.insiders) {
            let Ok(attachment) = held.attachment() else {
                continue;
            };
            let slots = attachment.parts.slots();
            let owned = |slot: &&Slot| slot.kind.load(Ordering::Relaxed) != KIND_FREE;
            report.writers += slots.iter().filter(owned).count();
            let room = NAMED.saturating_sub(report.waited_for.len());
            let named = insiders.iter().take(room).map(|insider| insider.name(slots, false));
            report.waited_for.extend(named);
        }
        report
    }

    /// The pause belongs to the caller now.
    pub(super) fn granted(mut self) -> Vec<Held> {
        std::mem::take(&mut self.held)
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        for mut held in self.held.drain(..).filter(|held| !held.is_covered()) {
            held.reopen();
            held.retract();
            held.unlock();
        }
    }
}
