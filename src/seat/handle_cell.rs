//! What a handle of another language stands for: the number of a barrier, in a place that is never freed.
//!
//! The fast path is given a bare pointer there, which may be anything. Each thread remembers the place by which it came
//! last (see `current`), and a pointer that equals that one is the only one that is followed. So a wrong handle costs
//! nothing to refuse, and a right one two comparisons: of the pointer, and of the number with the seat's. The number
//! tells whether the handle has been closed, or opened anew for something else.

use crate::gate::sync::{AtomicU64, Ordering};

/// No barrier's number.
const NONE: u64 = u64::MAX;

/// The barrier that a handle stands for, or none.
#[derive(Debug)]
pub struct HandleCell(AtomicU64);

impl HandleCell {
    /// None.
    pub const fn closed() -> HandleCell {
        HandleCell(AtomicU64::new(NONE))
    }

    /// It is the one of this number.
    pub(crate) fn set(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }

    /// It is none any more.
    pub fn close(&self) {
        self.set(NONE);
    }

    /// The barrier's number; none's is never that of a seat.
    #[inline(always)]
    pub(crate) fn number(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
