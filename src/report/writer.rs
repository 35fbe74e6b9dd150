//! Who is named in reports: writers, as the barrier and the kernel know them.
//!
//! Everything here is for people. Process ids and names come from the file, where anybody in the
//! barrier's group could have written them, and nothing is decided by them.

use crate::error::who::Writer;
use crate::file::layout::{KIND_COUNTED, Slot, printable};
use crate::gate::sync::Ordering;
use crate::system::calls::monotonic_milliseconds;
use crate::system::proc::wait_channel;
use crate::system::standard;
use std::time::Duration;

impl Writer {
    /// The owner of a slot.
    pub(crate) fn of_slot(index: usize, slot: &Slot, word: u32, held: Duration) -> Writer {
        let pid = slot.pid.load(Ordering::Relaxed);
        Writer {
            slot: u32::try_from(index).ok(),
            pid,
            tid: slot.tid.load(Ordering::Relaxed),
            comm: slot.comm.get(),
            label: slot.label.get(),
            held,
            place: slot.taken_at(word),
            wait_channel: wait_channel(pid),
        }
    }

    /// A process known by its id alone.
    pub(crate) fn of_process(pid: u32) -> Writer {
        let _standard = standard::keep();
        // Any program may call itself anything, in bytes that are no text.
        let comm = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
        let comm = comm.strip_suffix(b"\n").unwrap_or(&comm);
        Writer {
            slot: None,
            pid,
            tid: pid,
            comm: printable(comm),
            label: String::new(),
            held: Duration::ZERO,
            place: String::new(),
            wait_channel: wait_channel(pid),
        }
    }
}

impl Slot {
    /// Remembers since when this word has been seen here.
    pub(crate) fn see(&self, word: u32) {
        if self.seen_word.load(Ordering::Relaxed) != word {
            self.seen_since.set(monotonic_milliseconds());
            self.seen_word.store(word, Ordering::Relaxed);
        }
    }

    /// How long ago this share was first seen here; zero: not known. Words of counted slots come again,
    /// so one that was seen before need not be the same share.
    pub(crate) fn seen_for(&self, word: u32) -> Duration {
        let seen = self.seen_word.load(Ordering::Relaxed) == word;
        if !seen || self.kind.load(Ordering::Relaxed) == KIND_COUNTED {
            return Duration::ZERO;
        }
        let now = monotonic_milliseconds();
        Duration::from_millis(now.saturating_sub(self.seen_since.get()))
    }
}
