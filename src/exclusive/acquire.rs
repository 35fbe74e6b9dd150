//! How a pause is reached.
//!
//! 1. Refuse what would wait for itself, and who cannot see all writers (see `fences`). Take X of every barrier, in the order of device and inode.
//!    A gate that is closed now was left so by a holder that died: open it, before anything else.
//! 2. Let the gate be open as long as pacing asks. Take flock(2), still with the gate open: taken
//!    after closing, readers of flock starve it while writers stand still.
//!    Nobody may be left in a file that was removed from this place: see `stragglers`.
//! 3. Announce; close and drain, one barrier after another.
//! 4. *Courtesy.* One long share must not make every writer queue behind it. The first closing lasts
//!    50 ms at most. Shares that are still inside then are known to be long: open, wait for just these
//!    to end with the gate open, and only then close for the full drain limit.
//! 5. Ask the caller's predicate, if there is one: then `holders` says how gates are closed. Granted only if
//!    every gate still is of the generation that closed it.
//!
//! Whatever fails, the gates are opened, and every lock goes with the values that hold it.

use crate::barrier::handle::Barrier;
use crate::error::Error;
use crate::error::who::Writer;
use crate::exclusive::closing::Announced;
use crate::exclusive::guard::{ExclusiveGuard, Limits};
use crate::exclusive::held::Held;
use crate::exclusive::options::ExclusiveOptions;
use crate::exclusive::pacing::Pacing;
use crate::gate::sync::{Ordering, step};
use crate::member::cover::Cover;
use crate::member::inner::Inner;
use crate::report::foreign;
use crate::report::watch::{Phase, Watch};
use crate::succession::gathering::{Gathered, Gathering};
use crate::system::calls::{comm, thread_id};
use std::time::{Duration, Instant};

/// Between two looks of who does not wait.
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);
/// Between two looks for stragglers, each of which reads much of /proc.
const BETWEEN_GATHERINGS: Duration = Duration::from_millis(50);
/// Between two attempts at a lock, at first and at most for one that another tool has.
const POLL: (Duration, Duration) = (Duration::from_micros(200), Duration::from_millis(10));

impl Barrier {
    /// Takes the exclusive side: closes the gate and waits until nobody is inside, within the limits.
    ///
    /// # Errors
    /// [`Error::NotQuiet`] or [`Error::Busy`] when a limit has passed, with the gate open again;
    /// [`Error::Deadlock`] inside a share; [`Error::Unavailable`] without membarrier(2) where writers have no fence;
    /// [`Error::Cancelled`]; [`Error::System`].
    pub fn exclusive(&self, options: &mut ExclusiveOptions<'_>) -> Result<ExclusiveGuard, Error> {
        exclusive_all(&[self], options)
    }
}

/// Takes the exclusive side of several barriers at once. They are closed and drained one after
/// another in the order of device and inode, which is the order in which writers must nest them, and
/// opened together. Each is named once.
///
/// # Errors
/// As [`Barrier::exclusive`], naming the barrier.
pub fn exclusive_all(
    barriers: &[&Barrier],
    options: &mut ExclusiveOptions<'_>,
) -> Result<ExclusiveGuard, Error> {
    acquire(barriers, options)
}

/// Takes the exclusive side of all barriers, within the limits.
fn acquire(
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
    // That the kernel offers it proves nothing where a filter refuses it.
    attachment.fence_writers(path)?;
    step("exclusive: can fence");
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
