//! Opening a gate that stays closed: what every member may do for all.
//!
//! * Nobody holds the byte X: the holder is dead. The gate is opened by swapping the very generation that
//!   closed it. X itself is not taken: a healer that took it and was then stopped would block everybody.
//! * This process has met the gate closed for as long as the pause may last: it is revoked, by the same
//!   swap. The holder's own swap then fails, and it knows that what it made is not to be trusted.
//!   Durations are compared and not clocks, so a suspended machine or a time namespace does no harm.

use crate::file::layout::LockByte;
use crate::gate::protocol::{Gate, is_closed, is_superseded};
use crate::gate::sync::{AtomicU64, Ordering, step};
use crate::member::attachment::Attachment;
use crate::member::lifeline::Place;
use crate::system::calls::monotonic_milliseconds;
use std::time::Duration;

/// How long a waiter sleeps before it looks after itself.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// What the clock of `Met` leaves out.
pub(crate) const ROUNDING: Duration = Duration::from_millis(1);

/// Since when this process has met the gate closed, and as which generation.
///
/// One word for the process, and not a clock per call: a writer that tries again and again, or gives
/// up and comes back, would otherwise never have waited long enough to look after itself. The two
/// halves are set together, so that no generation is ever given another one's earlier time.
#[derive(Debug, Default)]
pub(crate) struct Met(AtomicU64);

impl Met {
    /// For how long this generation has been known to stand, by this process's own clock.
    pub(crate) fn standing(&self, generation: u32) -> Duration {
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

/// For who waits for others (see `listeners`): how long to sleep at most before the next look at a gate of
/// this generation. `None`: it is open, or has been since, or never will be.
pub(crate) fn nap(place: &Place, attachment: &Attachment, generation: u32) -> Option<Duration> {
    let stands = is_closed(generation)
        && !is_superseded(generation)
        && attachment.gate().now() == generation
        && !look_after(place, attachment, generation);
    stands.then(|| until_due(attachment, generation))
}

/// How long a waiter sleeps at most before it looks after itself.
pub(crate) fn until_due(attachment: &Attachment, generation: u32) -> Duration {
    let standing = attachment.met.standing(generation);
    let due = limit(attachment.gate()).map(|limit| limit.saturating_sub(standing));
    due.map_or(TICK, |due| due.min(TICK)) + ROUNDING
}

/// How long a pause may last before a waiter ends it.
pub(crate) fn limit(gate: &Gate) -> Option<Duration> {
    match gate.limit.load(Ordering::Relaxed) {
        0 => None,
        milliseconds => Some(Duration::from_millis(milliseconds.into())),
    }
}

/// Ends a pause that has lasted its limit, or whose holder is dead. True if the gate was closed so no
/// longer.
pub(crate) fn look_after(place: &Place, attachment: &Attachment, generation: u32) -> bool {
    let gate = attachment.gate();
    let standing = attachment.met.standing(generation);
    if limit(gate).is_some_and(|limit| standing >= limit) {
        revoke(attachment, generation);
        return true;
    }
    if standing >= TICK && place.is_free(LockByte::Exclusive) {
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
    use crate::barrier::handle::Barrier;

    #[test]
    fn a_generation_is_timed_from_its_first_meeting() {
        let met = Met::default();
        assert_eq!(met.standing(1), Duration::ZERO);
        std::thread::sleep(Duration::from_millis(5));
        assert!(met.standing(1) >= Duration::from_millis(4));
        assert_eq!(met.standing(3), Duration::ZERO, "it has another one's time");
    }

    /// One that sleeps without a tick: nothing but the wake-up ends that.
    #[test]
    fn opening_wakes_who_sleeps() {
        let folder = tempfile::tempdir().unwrap();
        let barrier = Barrier::create(folder.path().join("test.barrier")).unwrap();
        let attachment = barrier.inner.attached().unwrap();
        let gate = attachment.gate();
        let closed = gate.close().unwrap().generation();
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
