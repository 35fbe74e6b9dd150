//! A barrier on a file system that can be frozen.
//!
//! A store into a mapped page of a frozen file system sleeps until that is thawed, and no signal ends
//! it. Entering, leaving, waiting at the gate and opening it are such stores; so while the barrier's
//! own file system is frozen nobody can take part, and the exclusive side can neither end its pause nor
//! be ended. Nothing can be done about that then, and the certificate fails once the limits are
//! over; but it can be said before. It is not refused: what a host or a command will freeze is theirs
//! to know, and a barrier for which none of them freezes anything is sound on any local disk.

use stillpoint::Barrier;

use crate::words::lines;

/// Says what becomes of this barrier if its file system is frozen, if it can be.
pub fn warn(barrier: &Barrier) {
    if !barrier.is_in_memory() {
        lines::warn(&format!(
            "{}: lies on a disk: whoever freezes that file system stops every writer, and the gate, until \
             it is thawed; keep the barrier on a tmpfs, such as /run",
            barrier.path().display()
        ));
    }
}
