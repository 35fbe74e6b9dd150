//! The counted slot: shares of a process that stand in no thread's slot.
//!
//! Shares that move between threads and threads that found no slot count in one slot that the process
//! has owned since it opened the barrier. Its word is `2n - 1` for n shares and 0 for none, so that it is odd whenever anybody is
//! inside, and it is changed by compare-and-swap. Counting is not nesting: each entry asks the gate.

use crate::barrier::handle::Barrier;
use crate::error::Error;
use crate::member::attachment::Attachment;
use crate::member::inner::Inner;
use crate::member::process;
use crate::shared::wait::{self, Wait};
use crate::succession::coming_over::{come_over, sign_off_if_left};
use std::time::Duration;

/// Enters through the counted slot. True if it had to wait, and so owes the next waiter a wake-up.
pub(crate) fn enter(inner: &Inner, attachment: &Attachment, wait: Wait) -> Result<bool, Error> {
    let (gate, word) = (attachment.gate(), attachment.counted_word());
    let mut waited = false;
    gate.enter(
        || gate.publish_counted(word),
        || gate.retract_counted(word),
        || inner.cover.holds(&inner.place, attachment).is_some(),
        |generation| {
            waited = true;
            wait::for_opening(&inner.place, attachment, None, generation, wait, None)
        },
    )?;
    Ok(waited)
}

/// A share that may move between threads.
///
/// It stands in the process's counted slot and does not nest: taking a second one while the gate is
/// closed waits, so a task that holds one must not take another. It may be held across an await, for as
/// long as its set of writes takes. It leaves when dropped. In a forked
/// child an inherited one is void.
#[derive(Debug)]
#[must_use = "the share ends when this is dropped"]
pub struct OwnedShared {
    barrier: Barrier,
    incarnation: u64,
    readmitted: bool,
}

impl Barrier {
    /// Enters the shared side with a share that may move between threads. It keeps this thread waiting while
    /// the gate is closed: a task waits by [`Barrier::shared_owned_async`], or the runtime stands still until
    /// the pause ends, with the tasks whose shares the pause waits for.
    ///
    /// # Errors
    /// As [`Barrier::shared`].
    pub fn shared_owned(&self) -> Result<OwnedShared, Error> {
        OwnedShared::enter(self, Wait::Forever)
    }

    /// The same, without waiting.
    ///
    /// # Errors
    /// As [`Barrier::try_shared`].
    pub fn try_shared_owned(&self) -> Result<OwnedShared, Error> {
        OwnedShared::enter(self, Wait::No)
    }

    /// The same, waiting at most `limit`.
    ///
    /// # Errors
    /// As [`Barrier::shared_timeout`].
    pub fn shared_owned_timeout(&self, limit: Duration) -> Result<OwnedShared, Error> {
        OwnedShared::enter(self, Wait::at_most(limit))
    }
}

impl OwnedShared {
    pub(crate) fn enter(barrier: &Barrier, wait: Wait) -> Result<OwnedShared, Error> {
        loop {
            let (inner, attachment) = barrier.here()?;
            match enter(inner, attachment, wait) {
                Err(Error::Replaced { .. }) => come_over(inner)?,
                entered => {
                    let (barrier, incarnation) = (Barrier::at(inner), attachment.incarnation);
                    return Ok(OwnedShared { barrier, incarnation, readmitted: entered? });
                }
            }
        }
    }
}

impl Drop for OwnedShared {
    fn drop(&mut self) {
        if !process::is_current(self.incarnation) {
            return;
        }
        if let Some(attachment) = self.barrier.inner.attachment_of_this_process() {
            attachment.leave_counted(1, self.readmitted);
            sign_off_if_left(attachment);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::sync::Ordering;

    #[test]
    fn one_that_has_waited_owes_a_wake_up() {
        let folder = tempfile::tempdir().unwrap();
        let barrier = Barrier::create(folder.path().join("test.barrier")).unwrap();
        assert!(!barrier.shared_owned().unwrap().readmitted);
        // Nobody holds the exclusive side: the waiter opens the gate by itself.
        barrier.inner.attached().unwrap().gate().close().unwrap();
        assert!(barrier.shared_owned().unwrap().readmitted);
    }

    #[test]
    fn one_of_another_incarnation_is_void() {
        let folder = tempfile::tempdir().unwrap();
        let barrier = Barrier::create(folder.path().join("test.barrier")).unwrap();
        let share = barrier.shared_owned().unwrap();
        let incarnation = share.incarnation + 1;
        drop(OwnedShared { barrier: barrier.clone(), incarnation, readmitted: false });
        let word = barrier.inner.attached().unwrap().counted_word();
        assert_eq!(word.load(Ordering::Relaxed), 1);
        drop(share);
        assert_eq!(word.load(Ordering::Relaxed), 0);
    }
}
