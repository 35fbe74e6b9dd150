//! Waiting at a closed gate, with bounded harm.
//!
//! A waiter sleeps on the gate's generation, in ticks, and looks after itself: nothing that happens
//! to the exclusive holder keeps it longer than the pause's limit and one tick.
//!
//! * The gate opened: go on. Every releaser wakes a few waiters and each of them wakes one more when
//!   it leaves; a waiter that nobody woke finds out at its tick.
//! * The holder is dead, or the pause has lasted as long as it may: open the gate (see `healing`).

use crate::error::Error;
use crate::file::layout::Slot;
use crate::gate::protocol::is_superseded;
use crate::gate::sync::{Ordering, step};
use crate::member::attachment::Attachment;
use crate::member::healing::{ROUNDING, TICK, limit, look_after, until_due};
use crate::member::lifeline::Place;
use crate::report::watch::{Phase, Watch};
use crate::system::calls::{monotonic_milliseconds, thread_id};
use crate::system::signals::Handlers;
use nix::errno::Errno;
use std::time::{Duration, Instant};

/// How long handlers are kept waiting by who is to be told of them.
const HANDLERS: Duration = Duration::from_millis(20);

/// How long the caller is willing to wait.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
    /// Not at all.
    No,
    /// This long, from this moment on.
    AtMost(Instant, Duration),
    /// The same, and no longer than until a signal handler is due that ends the program's system calls.
    Interruptibly(Instant, Duration, Handlers),
    /// As long as it takes.
    Forever,
}

impl Wait {
    /// From now on, at most `limit`.
    pub(crate) fn at_most(limit: Duration) -> Wait {
        if limit.is_zero() { Wait::No } else { Wait::AtMost(Instant::now(), limit) }
    }

    /// How long is left, if there is an end.
    fn remaining(self) -> Option<Duration> {
        match self {
            Wait::No => Some(Duration::ZERO),
            Wait::AtMost(since, limit) | Wait::Interruptibly(since, limit, _) => {
                Some(limit.saturating_sub(since.elapsed()))
            }
            Wait::Forever => None,
        }
    }
}

/// Waits until the gate is of another generation than this odd one. `watch` hears of it, and may end
/// the wait. [`Error::Replaced`] at a gate that is closed for good.
pub(crate) fn for_opening(
    place: &Place,
    attachment: &Attachment,
    slot: Option<&Slot>,
    generation: u32,
    wait: Wait,
    watch: Option<&mut Watch<'_>>,
) -> Result<(), Error> {
    let path = place.path.as_path();
    if is_superseded(generation) {
        return Err(Error::Replaced { path: path.into() });
    }
    if look_after(place, attachment, generation) {
        return Ok(());
    }
    if matches!(wait, Wait::No) {
        return Err(Error::WouldBlock { path: path.into() });
    }
    if attachment.exclusive_thread.load(Ordering::Relaxed) == thread_id() {
        return Err(Error::Deadlock { path: path.into() });
    }
    if let Some(slot) = slot {
        slot.waiting_since.set(monotonic_milliseconds());
    }
    let gate = attachment.gate();
    let result = gate.among_waiters(|| wait_here(place, attachment, generation, wait, watch));
    if let Some(slot) = slot {
        slot.waiting_since.set(0);
    }
    result
}

fn wait_here(
    place: &Place,
    attachment: &Attachment,
    generation: u32,
    wait: Wait,
    mut watch: Option<&mut Watch<'_>>,
) -> Result<(), Error> {
    let gate = attachment.gate();
    let began = Instant::now();
    let mut looked = began;
    loop {
        let mut sleep = until_due(attachment, generation);
        if let Some(remaining) = wait.remaining() {
            sleep = sleep.min(remaining + ROUNDING);
        }
        if let Wait::Interruptibly(_, _, handlers) = wait {
            if handlers.end_calls() {
                return Err(Error::system("futex", &place.path, Errno::EINTR));
            }
            sleep = sleep.min(HANDLERS);
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
            if look_after(place, attachment, generation) {
                return Ok(());
            }
        }
        if let Some(watch) = &mut watch {
            watch.tick(Phase::Gate, &place.path, Vec::new)?;
        }
        if wait.remaining().is_some_and(|remaining| remaining.is_zero()) {
            return Err(Error::TimedOut { path: place.path.clone(), waited: began.elapsed() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Barrier;
    use crate::member::healing::open_for_all;

    /// A gate is closed and somebody holds X, so the waiter can do nothing for itself. Its limit only
    /// ends the test.
    #[test]
    fn a_waiter_goes_on_when_the_gate_opens() {
        let folder = tempfile::tempdir().unwrap();
        let barrier = Barrier::create(folder.path().join("test.barrier")).unwrap();
        let attachment = barrier.inner.attached().unwrap();
        let _x = crate::exclusive::held::Held::try_take(&barrier, 0, false).unwrap().unwrap();
        let closed = attachment.gate().close().unwrap().generation();
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
}
