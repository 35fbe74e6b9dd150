//! The counted slot: shares of a process that stand in no thread's slot.
//!
//! Shares that move between threads and threads that found no slot count in one slot that the process
//! has owned since it opened the barrier. Its word is `2n - 1` for n shares and 0 for none, so that it is odd whenever anybody is
//! inside, and it is changed by compare-and-swap. Counting is not nesting: each entry asks the gate.

use crate::barrier::handle::{Barrier, Inner};
use crate::error::Error;
use crate::gate::protocol::is_closed;
use crate::gate::sync::AtomicU32;
use crate::member::join::Attachment;
use crate::member::process;
use crate::shared::wait::{self, Wait};
use crate::succession::coming_over::{come_over, sign_off_if_left};

/// Enters through the counted slot. True if it had to wait, and so owes the next waiter a wake-up.
pub(crate) fn enter(inner: &Inner, attachment: &Attachment, wait: Wait) -> Result<bool, Error> {
    let (gate, word) = (attachment.gate(), word(attachment));
    let mut waited = false;
    gate.enter(
        || gate.publish_counted(word),
        || gate.retract_counted(word),
        || inner.cover.holds(inner, attachment).is_some(),
        |generation| {
            waited = true;
            wait::for_opening(inner, attachment, None, generation, wait, None)
        },
    )?;
    Ok(waited)
}

/// Leaves `shares` shares of the counted slot, and wakes the next waiter if that is owed.
pub(crate) fn leave(attachment: &Attachment, shares: u32, readmitted: bool) {
    let gate = attachment.gate();
    if is_closed(gate.leave_counted(word(attachment), shares)) || readmitted {
        gate.tell(readmitted);
    }
}

fn word(attachment: &Attachment) -> &AtomicU32 {
    &attachment.slot(attachment.counted).word
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
            leave(attachment, 1, self.readmitted);
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
        let word = word(barrier.inner.attached().unwrap());
        assert_eq!(word.load(Ordering::Relaxed), 1);
        drop(share);
        assert_eq!(word.load(Ordering::Relaxed), 0);
    }
}
