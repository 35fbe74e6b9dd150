//! Writers that were lost: the dirty epoch, and taking their slots back.
//!
//! A slot whose life byte can be locked has no living owner. If its word is odd, the owner was lost
//! inside a share, and what it was writing may be half done: the dirty epoch grows. The mark comes
//! first and the word after it, so a reclaimer that dies between them leaves a slot that is found
//! odd again: a loss is counted twice at worst, and never forgotten. Both joining and reclaiming hold
//! the life byte, on a description of their own, so they never meet in one slot.

use crate::barrier::handle::Inner;
use crate::file::layout::{DirtyRecord, FLAG_UNWATCHED, KIND_FREE, LOST, LockByte, Parts, Slot};
use crate::gate::protocol::is_inside;
use crate::gate::sync::{Ordering, step};
use crate::member::process::{self, Locked};
use crate::system::calls::{Mode, try_lock_byte};
use std::time::SystemTime;

/// Who is written into the ring of the lost.
pub(crate) struct Loss<'a> {
    pub(crate) pid: u32,
    pub(crate) comm: &'a str,
    pub(crate) label: &'a str,
    /// Where it had taken its share, if that is known.
    pub(crate) place: &'a str,
}

impl<'a> Loss<'a> {
    /// One of which no more is known than what it was.
    pub(crate) fn of_nobody(label: &'a str) -> Loss<'a> {
        Loss { pid: 0, comm: "", label, place: "" }
    }
}

impl DirtyRecord {
    /// Raises the epoch and remembers why.
    pub(crate) fn raise(&self, loss: &Loss<'_>) {
        let before = self.epoch.fetch_add(1, Ordering::AcqRel);
        step("reclaim: epoch raised");
        self.write(before.wrapping_add(1), loss, Some(SystemTime::now()));
    }

    /// Raises the epoch beyond this one, if it is behind. Whom the records of those between are about, nobody
    /// knows here.
    pub(crate) fn raise_beyond(&self, epoch: u32, loss: &Loss<'_>) {
        let mut now = self.epoch.load(Ordering::Acquire);
        let last = loop {
            let last = if epoch.wrapping_sub(now) as i32 > 0 { epoch } else { now };
            let raised = last.wrapping_add(1);
            match self.epoch.compare_exchange(now, raised, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break last,
                Err(moved) => now = moved,
            }
        };
        for back in 0..last.wrapping_sub(now).min(LOST) {
            self.write(last.wrapping_sub(back), &Loss::of_nobody(""), None);
        }
        self.write(last.wrapping_add(1), loss, Some(SystemTime::now()));
    }

    /// Says who it was that raised the epoch to this, and when that was found out.
    pub(crate) fn write(&self, epoch: u32, loss: &Loss<'_>, when: Option<SystemTime>) {
        let (record, taken_at) = self.records(epoch);
        record.pid.store(loss.pid, Ordering::Relaxed);
        record.comm.set(loss.comm);
        record.label.set(loss.label);
        record.when.set_time(when);
        taken_at.write(epoch, loss.place);
    }
}

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
pub(crate) fn reclaim(inner: &Inner, parts: Parts, index: usize) -> bool {
    let slot = &parts.slots()[index];
    if !is_inside(slot.word.load(Ordering::Acquire)) {
        return true;
    }
    let byte = LockByte::Life(u32::try_from(index).unwrap_or(u32::MAX));
    if !inner.place.is_free(byte) {
        return false;
    }
    let process: Locked = process::lock();
    let Ok(fresh) = inner.place.open_fresh() else {
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
