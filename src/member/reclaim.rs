//! Writers that were lost: taking their slots back.
//!
//! A slot whose life byte can be locked has no living owner. If its word is odd, the owner was lost
//! inside a share, and what it was writing may be half done: the dirty epoch grows. The mark comes
//! first and the word after it, so a reclaimer that dies between them leaves a slot that is found
//! odd again: a loss is counted twice at worst, and never forgotten. Both joining and reclaiming hold
//! the life byte, on a description of their own, so they never meet in one slot.

use crate::file::byte_lock::{Mode, try_lock_byte};
use crate::file::layout::{DirtyRecord, FLAG_UNWATCHED, KIND_FREE, LockByte, Parts, Slot};
use crate::file::losses::Loss;
use crate::gate::protocol::is_inside;
use crate::gate::sync::{Ordering, step};
use crate::member::lifeline::Place;
use crate::member::process::{self, Locked};

impl Slot {
    /// Settles what the last owner left. The caller holds the life byte, or is the owner.
    pub(crate) fn settle(&self, dirty: &DirtyRecord) {
        let word = self.word.load(Ordering::Acquire);
        if is_inside(word) {
            if self.flags.load(Ordering::Relaxed) & FLAG_UNWATCHED == 0 {
                dirty.raise(&Loss {
                    pid: self.pid.load(Ordering::Relaxed),
                    comm: &self.comm.get(),
                    label: &self.label.get(),
                    place: &self.taken_at(word),
                });
            }
            step("reclaim: loss recorded");
            self.word.store(word.wrapping_add(1), Ordering::Release);
        }
        step("reclaim: word even");
        self.flags.store(0, Ordering::Relaxed);
        self.pid.store(0, Ordering::Relaxed);
        self.tid.store(0, Ordering::Relaxed);
        self.waiting_since.set(0);
        self.kind.store(KIND_FREE, Ordering::Relaxed);
    }
}

/// Takes the slot back if its owner is dead. True if nobody is inside it any more.
pub(crate) fn reclaim(place: &Place, parts: Parts, index: usize) -> bool {
    let slot = &parts.slots()[index];
    if !is_inside(slot.word.load(Ordering::Acquire)) {
        return true;
    }
    let byte = LockByte::Life(u32::try_from(index).unwrap_or(u32::MAX));
    if !place.is_free(byte) {
        return false;
    }
    let process: Locked = process::lock();
    let Ok(fresh) = place.open_fresh() else {
        return false;
    };
    if !try_lock_byte(&fresh, byte, Mode::Exclusive).unwrap_or(false) {
        return false;
    }
    step("reclaim: locked");
    slot.settle(parts.dirty());
    step("reclaim: settled");
    // The lock falls with the description, before anybody may fork again.
    drop(fresh);
    drop(process);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::sync::AtomicU32;

    /// Word and epoch in one place: the ring shows which word the epoch, when it was raised, was.
    #[test]
    fn the_mark_comes_before_the_word() {
        const WORDS: usize = size_of::<DirtyRecord>() / 4;
        let memory = [const { AtomicU32::new(0) }; WORDS];
        // SAFETY: both are atomics only, no larger than this memory and aligned as it is.
        let (slot, dirty) =
            unsafe { (&*memory.as_ptr().cast::<Slot>(), &*memory.as_ptr().cast::<DirtyRecord>()) };
        slot.word.store(5, Ordering::Relaxed);
        slot.settle(dirty);
        assert_eq!(memory[0].load(Ordering::Relaxed), 6);
        assert_ne!(dirty.ring[5].when.get(), 0, "the word was even before the mark");
    }
}
