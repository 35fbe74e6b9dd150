//! Waiting at a closed gate, with bounded harm.
//!
//! A waiter sleeps on the gate's generation, in ticks, and looks after itself: nothing that happens
//! to the exclusive holder keeps it longer than the pause's limit and one tick.
//!
//! * The gate opened: go on. Every releaser wakes a few waiters and each of them wakes one more when
//!   it leaves; a waiter that nobody woke finds out at its tick.
//! * Nobody holds the byte X: the holder is dead. Open the gate by swapping the very generation that
//!   closed it. X itself is not taken: a healer that took it and was then stopped would block
//!   everybody.
//! * This process has met the gate closed for as long as the pause may last: revoke it, by the same
//!   swap. The holder's own swap then fails, and it knows that what it made is not to be trusted.
//!   Durations are compared and not clocks, so a suspended machine or a time namespace does no harm.

use crate::barrier::handle::Inner;
use crate::error::Error;
use crate::exclusive::drain::Watch;
use crate::exclusive::guard::Phase;
use crate::file::layout::{LockByte, Slot};
use crate::gate::protocol::{Gate, is_closed, is_superseded};
use crate::gate::sync::{AtomicU64, Ordering, step};
use crate::member::join::{self, Attachment};
use crate::system::calls::monotonic_milliseconds;
use std::time::{Duration, Instant};

/// How long a waiter sleeps before it looks after itself.
const TICK: Duration = Duration::from_millis(100);

/// What the clock of `Met` leaves out.
const ROUNDING: Duration = Duration::from_millis(1);

/// How long the caller is willing to wait.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
    /// Not at all.
    No,
    /// This long, from this moment on.
    AtMost(Instant, Duration),
    /// As long as it takes.
    Forever,
}

impl Wait {
    /// From now on, at most `limit`.
    pub(crate) fn at_most(limit: Duration) -> Wait {
        if limit.is_zero() { Wait::No } else { Wait::AtMost(Instant::now(), limit) }
    }
}

/// Since when this process has met the gate closed, and as which generation.
///
/// One word for the process, and not a clock per call: a writer that tries again and again, or gives
/// up and comes back, would otherwise never have waited long enough to look after itself. The two
/// halves are set together, so that no generation is ever given another one's earlier time.
#[derive(Debug, Default)]
pub(crate) struct Met(AtomicU64);

impl Met {
    /// For how long this generation has been known to stand, by this process's own clock.
    fn standing(&self, generation: u32) -> Duration {
        let now = monotonic_milliseconds() as u32;
        let seen = self.0.load(Ordering::Relaxed);
        if (seen >> 32) as u32 == generation {
            return Duration::from_millis(now.wrapping_sub(seen as u32).into());
        }
        let first = u64::from(generation) << 32 | u64::from(now);
        let _ = self.0.compare_exchange(seen, first, Ordering::Relaxed, Ordering::Relaxed);
        Duration::ZERO
    }
}

/// Waits until the gate is of another generation than this odd one. `watch` hears of it, and may end
/// the wait. [`Error::Replaced`] at a gate that is closed for good.
pub(crate) fn for_opening(
    inner: &Inner,
    attachment: &Attachment,
    slot: Option<&Slot>,
    generation: u32,
    wait: Wait,
    watch: Option<&mut Watch<'_>>,
) -> Result<(), Error> {
    let path = inner.place.path.as_path();
    if is_superseded(generation) {
        return Err(Error::Replaced { path: path.into() });
    }
    if look_after(inner, attachment, generation) {
        return Ok(());
    }
    if matches!(wait, Wait::No) {
        return Err(Error::WouldBlock { path: path.into() });
    }
    if attachment.exclusive_thread.load(Ordering::Relaxed) == join::thread_id() {
        return Err(Error::Deadlock { path: path.into() });
    }
    if let Some(slot) = slot {
        slot.waiting_since.set(monotonic_milliseconds());
    }
    let gate = attachment.gate();
    let result = gate.among_waiters(|| wait_here(inner, attachment, generation, wait, watch));
    if let Some(slot) = slot {
        slot.waiting_since.set(0);
    }
    result
}

fn wait_here(
    inner: &Inner,
    attachment: &Attachment,
    generation: u32,
    wait: Wait,
    mut watch: Option<&mut Watch<'_>>,
) -> Result<(), Error> {
    let gate = attachment.gate();
    let mut looked = Instant::now();
    loop {
        let mut sleep = until_due(attachment, generation);
        if let Wait::AtMost(since, patience) = wait {
            sleep = sleep.min(patience.saturating_sub(since.elapsed()) + ROUNDING);
        }
        step("wait: about to sleep");
        gate.generation.wait(generation, Some(sleep));
        step("wait: awake");
        attachment.is_cut();
        if gate.now() != generation {
            return Ok(());
        }
        let due = limit(gate).is_some_and(|limit| attachment.met.standing(generation) >= limit);
        if due || looked.elapsed() >= TICK {
            looked = Instant::now();
            if look_after(inner, attachment, generation) {
                return Ok(());
            }
        }
        if let Some(watch) = &mut watch {
            watch.tick(Phase::Gate, &inner.place.path, Vec::new)?;
        }
        match wait {
            Wait::AtMost(since, patience) if since.elapsed() >= patience => {
                let path = inner.place.path.clone();
                return Err(Error::TimedOut { path, waited: since.elapsed() });
            }
            _ => {}
        }
    }
}

/// For who waits for others (see `opening`): how long to sleep at most before the next look at a gate of
/// this generation. `None`: it is open, or has been since, or never will be.
pub(crate) fn nap(inner: &Inner, attachment: &Attachment, generation: u32) -> Option<Duration> {
    let stands = is_closed(generation)
        && !is_superseded(generation)
        && attachment.gate().now() == generation
        && !look_after(inner, attachment, generation);
    stands.then(|| until_due(attachment, generation))
}

/// How long a waiter sleeps at most before it looks after itself.
fn until_due(attachment: &Attachment, generation: u32) -> Duration {
    let standing = attachment.met.standing(generation);
    let due = limit(attachment.gate()).map(|limit| limit.saturating_sub(standing));
    due.map_or(TICK, |due| due.min(TICK)) + ROUNDING
}

/// How long a pause may last before a waiter ends it.
fn limit(gate: &Gate) -> Option<Duration> {
    match gate.limit.load(Ordering::Relaxed) {
        0 => None,
        milliseconds => Some(Duration::from_millis(milliseconds.into())),
    }
}

/// Ends a pause that has lasted its limit, or whose holder is dead. True if the gate was closed so no
/// longer.
fn look_after(inner: &Inner, attachment: &Attachment, generation: u32) -> bool {
    let gate = attachment.gate();
    let standing = attachment.met.standing(generation);
    if limit(gate).is_some_and(|limit| standing >= limit) {
        revoke(attachment, generation);
        return true;
    }
    if standing >= TICK && inner.place.is_free(LockByte::Exclusive) {
        open_for_all(attachment, generation);
        return true;
    }
    false
}

/// Ends somebody else's pause, unless it is over.
pub(crate) fn revoke(attachment: &Attachment, generation: u32) {
    if open_for_all(attachment, generation) {
        step("wait: revoked");
        attachment.parts.stats().revocations.fetch_add(1, Ordering::Relaxed);
    }
}

/// Opens the gate that was closed as this generation and lets the waiters in, as the barrier says.
/// False if it was opened already.
pub(crate) fn open_for_all(attachment: &Attachment, generation: u32) -> bool {
    let gate = attachment.gate();
    step("open: about to swap");
    let opened = gate.open(generation);
    if opened {
        step("open: swapped");
        let stats = attachment.parts.stats();
        stats.last_opened.set(monotonic_milliseconds());
        step("open: recorded");
        gate.readmit(attachment.readmit);
        step("open: woken");
    }
    opened
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Barrier;

    #[test]
    fn a_generation_is_timed_from_its_first_meeting() {
        let met = Met::default();
        assert_eq!(met.standing(1), Duration::ZERO);
        std::thread::sleep(Duration::from_millis(5));
        assert!(met.standing(1) >= Duration::from_millis(4));
        assert_eq!(met.standing(3), Duration::ZERO, "it has another one's time");
    }

    /// A gate is closed and somebody holds X, so the waiter can do nothing for itself. Its limit only
    /// ends the test.
    #[test]
    fn a_waiter_goes_on_when_the_gate_opens() {
        let folder = tempfile::tempdir().unwrap();
        let barrier = Barrier::create(folder.path().join("test.barrier")).unwrap();
        let attachment = barrier.inner.attached().unwrap();
        let _x = crate::exclusive::held::Held::try_take(&barrier, 0, false).unwrap().unwrap();
        let closed = attachment.gate().close().unwrap();
        std::thread::scope(|scope| {
            let waiter =
                scope.spawn(|| barrier.shared_timeout(Duration::from_secs(10)).map(drop).is_ok());
            while attachment.gate().waiters.load(Ordering::Relaxed) == 0 {
                std::thread::yield_now();
            }
            assert!(open_for_all(attachment, closed));
            assert!(waiter.join().unwrap());
        });
    }

    /// One that sleeps without a tick: nothing but the wake-up ends that.
    #[test]
    fn opening_wakes_who_sleeps() {
        let folder = tempfile::tempdir().unwrap();
        let barrier = Barrier::create(folder.path().join("test.barrier")).unwrap();
        let attachment = barrier.inner.attached().unwrap();
        let gate = attachment.gate();
        let closed = gate.close().unwrap();
        let woken = std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| gate.generation.wait(closed, None));
            // Should it not sleep yet, it will not, and nothing is shown.
            std::thread::sleep(Duration::from_millis(50));
            open_for_all(attachment, closed);
            let woken = (0..5000).any(|_| {
                std::thread::sleep(Duration::from_millis(1));
                sleeper.is_finished()
            });
            gate.generation.wake(crate::gate::protocol::ALL);
            woken
        });
        assert!(woken);
    }
}
