//! How a pause is reached.
//!
//! 1. Refuse what would wait for itself. Take X of every barrier, in the order of device and inode.
//!    A gate that is closed now was left so by a holder that died: open it, before anything else.
//! 2. Let the gate be open as long as pacing asks. Take flock(2), still with the gate open: taken
//!    after closing, readers of flock starve it while writers stand still.
//!    Nobody may be left in a file that was removed from this place: see `stragglers`.
//! 3. Announce; close and drain, one barrier after another.
//! 4. *Courtesy.* One long share must not make every writer queue behind it. The first closing lasts
//!    50 ms at most. Shares that are still inside then are known to be long: open, wait for just these
//!    to end with the gate open, and only then close for the full drain limit.
//! 5. Ask the caller's predicate. Granted only if every gate still is of the generation that closed
//!    it.
//!
//! Whatever fails, the gates are opened, and every lock goes with the values that hold it.

use crate::barrier::handle::Barrier;
use crate::error::Error;
use crate::error::who::Writer;
use crate::exclusive::drain::{Insider, drain, still_inside};
use crate::exclusive::guard::{
    ExclusiveGuard, ExclusiveOptions, GateChange, Limits, PauseReport, in_callers_order,
};
use crate::exclusive::held::Held;
use crate::exclusive::pacing::Pacing;
use crate::file::layout::{KIND_FREE, Slot};
use crate::gate::sync::{Ordering, step};
use crate::member::cover::Cover;
use crate::member::inner::Inner;
use crate::member::reclaim::reclaim;
use crate::report::foreign;
use crate::report::watch::{Phase, Watch};
use crate::succession::gathering::{Gathered, Gathering};
use crate::system::calls::{Moment, comm, thread_id};
use std::time::{Duration, Instant, SystemTime};

/// The longest that the first closing lasts if there is patience for a second.
const COURTESY: Duration = Duration::from_millis(50);
/// As long as any clock can count on.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 86_400);
/// How many writers a report names.
const NAMED: usize = 64;
/// Between two looks of who does not wait.
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);
/// Between two looks for stragglers, each of which reads much of /proc.
const BETWEEN_GATHERINGS: Duration = Duration::from_millis(50);
/// Between two attempts at a lock, at first and at most for one that another tool has.
const POLL: (Duration, Duration) = (Duration::from_micros(200), Duration::from_millis(10));

/// Takes the exclusive side of all barriers, within the limits.
pub(crate) fn acquire(
    barriers: &[&Barrier],
    options: &mut ExclusiveOptions<'_>,
) -> Result<ExclusiveGuard, Error> {
    let here: Vec<Barrier> =
        barriers.iter().map(|barrier| begin(barrier)).collect::<Result<_, _>>()?;
    let mut order: Vec<(usize, &Barrier)> = here.iter().enumerate().collect();
    order.sort_by_key(|(_, barrier)| barrier.inner.place.identity);
    order.dedup_by_key(|(_, barrier)| barrier.inner.id);
    let watch = &mut Watch::new(options.progress.take(), options.cancel);
    let wait = options.wait.unwrap_or(options.patience.saturating_add(options.drain));
    let mut held = Vec::new();
    for (position, barrier) in order {
        held.push(take(barrier, position, wait, options.keep_descriptor, watch)?);
    }
    pace(&held, options, wait, watch)?;
    for held in held.iter_mut().filter(|held| !held.is_covered()) {
        take_flock(held, wait, watch)?;
        step("exclusive: flock taken");
    }
    for held in held.iter_mut().filter(|held| !held.is_covered()) {
        held.note_place();
        gather(held, wait, watch)?;
        step("exclusive: no stragglers");
    }
    let label = options.label.clone().unwrap_or_else(comm);
    let limits = Limits::new(options.drain, options.hold);
    let mut announced = Announced { held };
    for held in announced.own() {
        held.announce(&label, limits.pause)?;
    }
    let (closed, report) = announced.quiet(options, watch)?;
    let held = announced.granted();
    Ok(ExclusiveGuard::new(held, limits, closed, report))
}

/// The barrier as it is at its path. Refuses what would wait for itself.
fn begin(barrier: &Barrier) -> Result<Barrier, Error> {
    barrier.end_abandoned_attempt();
    let attachments = barrier.inner.succession().filter_map(Inner::attachment_of_this_process);
    let mut holders = attachments.map(|own| own.exclusive_thread.load(Ordering::Relaxed));
    if barrier.depth() > 0 || holders.any(|holder| holder == thread_id()) {
        return Err(Error::Deadlock { path: barrier.path().into() });
    }
    barrier.at_its_path().map(|(inner, _)| Barrier::at(inner))
}

/// Sees to it that nobody uses another file that was in this one's place.
fn gather(held: &Held, limit: Duration, watch: &mut Watch<'_>) -> Result<(), Error> {
    let barrier = &held.barrier;
    let parts = held.attachment()?.parts;
    let mut gathering = Gathering::default();
    let mut left = Vec::new();
    let attempt = || match gathering.attempt(&barrier.inner, parts) {
        Gathered::All | Gathered::Unseen => Ok(Some(())),
        Gathered::Not(users) => {
            left = users;
            Ok(None)
        }
    };
    match poll(attempt, BETWEEN_GATHERINGS, limit, watch, Phase::Stragglers, barrier, Vec::new)? {
        Some(()) => Ok(()),
        None => Err(Error::Stragglers { path: barrier.path().into(), users: left }),
    }
}

/// Takes X, waiting for other tools.
fn take(
    barrier: &Barrier,
    position: usize,
    limit: Duration,
    keep_descriptor: bool,
    watch: &mut Watch<'_>,
) -> Result<Held, Error> {
    let path = barrier.path();
    let attachment = barrier.inner.whole()?;
    // Read before the cover is checked: if that pause ends meanwhile, this is not the generation of
    // whatever follows it, and nothing is granted.
    let generation = attachment.gate().now();
    match barrier.is_covered() {
        Some(Cover::Shared) => return Err(Error::Deadlock { path: path.into() }),
        Some(Cover::Exclusive) => return Ok(Held::under_cover(barrier, position, generation)),
        None => {}
    }
    let attempt = || Held::try_take(barrier, position, keep_descriptor);
    let held = poll(attempt, POLL.1, limit, watch, Phase::OtherTool, barrier, Vec::new)?;
    let held =
        held.ok_or_else(|| Error::Busy { path: path.into(), holder: Held::rival(barrier) })?;
    step("exclusive: X taken");
    held.heal()?;
    step("exclusive: healed");
    Ok(held)
}

/// Leaves the gates open as long as pacing asks. Who would not wait at all is told to come again, but for
/// who only takes one look and asks for no pacing of his own: that costs the writers microseconds, and
/// a barrier that is free is not refused.
fn pace(
    held: &[Held],
    options: &ExclusiveOptions<'_>,
    limit: Duration,
    watch: &mut Watch<'_>,
) -> Result<(), Error> {
    let one_look = limit.is_zero() && options.drain.is_zero() && options.pacing == Pacing::Minimal;
    for held in held.iter().filter(|held| !held.is_covered()) {
        loop {
            let remaining = options.pacing.remaining(held.attachment()?.parts.stats());
            if remaining.is_zero() {
                break;
            }
            if one_look {
                // Not at once, lest looks in a loop shut the writers out.
                std::thread::sleep(remaining.min(BETWEEN_LOOKS));
                break;
            }
            if limit.is_zero() {
                return Err(Error::Pacing { path: held.barrier.path().into() });
            }
            watch.tick(Phase::Pacing, held.barrier.path(), Vec::new)?;
            std::thread::sleep(remaining.min(POLL.1));
        }
    }
    Ok(())
}

fn take_flock(held: &mut Held, limit: Duration, watch: &mut Watch<'_>) -> Result<(), Error> {
    let barrier = held.barrier.clone();
    let identity = barrier.inner.place.identity;
    let started = Instant::now();
    let attempt = || Ok(held.try_flock()?.then_some(()));
    let users = || foreign::holders(identity);
    // Readers of flock(2) take turns: it is free between two of them for a moment only, if at all.
    match poll(attempt, POLL.0, limit, watch, Phase::Foreign, &barrier, users)? {
        Some(()) => Ok(()),
        None => Err(Error::NotQuiet {
            path: barrier.path().into(),
            waited: started.elapsed(),
            writers: users(),
        }),
    }
}

/// Tries until it succeeds or the limit has passed, more and more slowly.
fn poll<T>(
    mut attempt: impl FnMut() -> Result<Option<T>, Error>,
    slowest: Duration,
    limit: Duration,
    watch: &mut Watch<'_>,
    phase: Phase,
    barrier: &Barrier,
    writers: impl Fn() -> Vec<Writer>,
) -> Result<Option<T>, Error> {
    let started = Instant::now();
    let mut pause = POLL.0;
    loop {
        if let Some(taken) = attempt()? {
            return Ok(Some(taken));
        }
        let remaining = limit.saturating_sub(started.elapsed());
        if remaining.is_zero() {
            return Ok(None);
        }
        watch.tick(phase, barrier.path(), &writers)?;
        std::thread::sleep(pause.min(remaining));
        pause = (pause * 2).min(slowest);
    }
}

fn tell(options: &mut ExclusiveOptions<'_>, change: GateChange) -> Result<(), Error> {
    let goes_on = options.around_closing.as_mut().is_none_or(|around| around(change));
    if goes_on { Ok(()) } else { Err(Error::Cancelled) }
}

/// Barriers that this process has announced to pause: dropping it opens their gates and takes the
/// announcement back.
struct Announced {
    held: Vec<Held>,
}

/// How a closing of all gates ended.
struct Closing {
    /// When the first gate was closed: for waits.
    at: Instant,
    /// The same moment, just before: for the certificate.
    before: Moment,
    /// Who was inside, per barrier, up to the first that did not become quiet.
    insiders: Vec<Vec<Insider>>,
    quiet: bool,
}

impl Announced {
    fn own(&self) -> impl Iterator<Item = &Held> {
        self.held.iter().filter(|held| !held.is_covered())
    }

    /// Quiets all barriers. Returns when the gates were closed for the last time, and the report.
    fn quiet(
        &mut self,
        options: &mut ExclusiveOptions<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<(Moment, PauseReport), Error> {
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
        if !closing.quiet {
            return Err(self.failed(&closing, watch));
        }
        let first = self.held.first().map(|held| held.barrier.clone());
        if let (Some(predicate), Some(barrier)) = (options.predicate.as_mut(), first) {
            while !predicate() {
                if closing.at.elapsed() >= options.drain {
                    return Err(self.failed(&closing, watch));
                }
                watch.tick(Phase::Predicate, barrier.path(), Vec::new)?;
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        self.held.iter().try_for_each(|held| held.attachment().map(drop))?;
        if let Some(held) = self.held.iter().find(|held| !held.is_closed()) {
            let reason = "somebody opened the gate before it was quiet".into();
            return Err(Error::Revoked { path: held.barrier.path().into(), reason });
        }
        step("exclusive: quiet");
        Ok((closing.before, self.report(&closing, closings)))
    }

    /// Closes and drains one barrier after another. All stay closed, whether quiet or not.
    fn close(&mut self, limit: Duration, watch: &mut Watch<'_>) -> Result<Closing, Error> {
        let before = Moment::now();
        let at = Instant::now();
        let deadline = at + limit.min(FOREVER);
        let mut insiders = Vec::new();
        for held in &mut self.held {
            if held.is_covered() {
                insiders.push(Vec::new());
                continue;
            }
            held.close()?;
            step("exclusive: closed");
            let drained = drain(held, deadline, watch)?;
            insiders.push(drained.insiders);
            if !drained.quiet {
                return Ok(Closing { at, before, insiders, quiet: false });
            }
        }
        Ok(Closing { at, before, insiders, quiet: true })
    }

    /// Opens every gate that is closed, and records that this closing did not come to a pause.
    fn open(&mut self) {
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
                std::thread::sleep(POLL.1 / 2);
            }
        }
        let closed_for = opened.duration_since(closing.at);
        std::thread::sleep(closed_for.min(COURTESY).saturating_sub(opened.elapsed()));
        Ok(())
    }

    /// Opens the gates after a drain that reached its limit, and says who was inside.
    fn failed(&mut self, closing: &Closing, watch: &Watch<'_>) -> Error {
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
    fn granted(mut self) -> Vec<Held> {
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
