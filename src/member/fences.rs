//! Fences of writers: who may leave them out, and how a closer has those pass one who do.
//!
//! What a writer leaves out, each closer pays for with a call (`system::membarrier`). Nobody is left out of that
//! call, and nobody who cannot make it takes an unfenced writer for one that is not there:
//!
//! * A *writer* may be unfenced only where the header that it joined with says that there may be such; and once this
//!   address space is registered. That is remembered when the call has returned, and for this incarnation
//!   only: a forked child registers anew. Seats that are registered from then on are unfenced; those that were before
//!   keep their fence. All this happens while the process joins, and never in a thread's first share, where the kernel
//!   might wait for all processors; and outside the process's lock.
//! * A *closer* makes the call after each closing, whatever it sees in the file. Where that has no such writers an error
//!   is nothing; else it is the end of that attempt.
//!
//! That a slot says that its owner is unfenced is for people: the flag may be on its way as long as the word is.

use crate::error::Error;
use crate::gate::sync::{AtomicBool, AtomicU64, Ordering, step};
use crate::member::attachment::Attachment;
use crate::member::process;
use crate::seat::FastPath;
use crate::system::membarrier;
use std::path::Path;

/// Whether this process wants its fences.
static KEPT: AtomicBool = AtomicBool::new(false);
/// The incarnation that is registered; 0: none.
static REGISTERED: AtomicU64 = AtomicU64::new(0);

/// Has shares of this process keep their fences: it does not register with membarrier(2). For programs that take few
/// shares, and for those that are going to forbid themselves that call; to be called before they open a barrier.
pub fn keep_fences() {
    KEPT.store(true, Ordering::Relaxed);
}

/// Whether this address space is registered; registers it if it is not.
fn is_registered() -> bool {
    let incarnation = process::incarnation();
    if REGISTERED.load(Ordering::Acquire) == incarnation {
        return true;
    }
    if !process::wipes_seats() || !membarrier::is_offered() || membarrier::register().is_err() {
        return false;
    }
    step("join: registered for fences");
    REGISTERED.store(incarnation, Ordering::Release);
    true
}

/// What one attachment has of that.
#[derive(Debug)]
pub(crate) struct Fences {
    /// The header says that writers may be unfenced.
    optional: bool,
    /// Those of this process are, from now on.
    left_out: AtomicBool,
}

impl Fences {
    pub(crate) fn new(optional: bool) -> Fences {
        Fences { optional, left_out: AtomicBool::new(false) }
    }

    pub(crate) fn may_be_left_out(&self) -> bool {
        self.optional
    }

    /// Whether threads of this process may enter without one.
    pub(crate) fn are_left_out(&self) -> bool {
        self.left_out.load(Ordering::Acquire)
    }

    /// Leaves them out, in seats that are registered from now on, if this process may.
    pub(crate) fn leave_out(&self) {
        if self.optional && !self.are_left_out() && !KEPT.load(Ordering::Relaxed) && is_registered()
        {
            self.left_out.store(true, Ordering::Release);
        }
    }

    /// How the fast path may use a new seat.
    pub(crate) fn of_seat(&self) -> FastPath {
        match (process::wipes_seats(), self.are_left_out()) {
            (false, _) => FastPath::None,
            (true, false) => FastPath::Fenced,
            (true, true) => FastPath::Unfenced,
        }
    }
}

impl Attachment {
    /// Has every unfenced writer pass a fence. For who has just closed the gate, and for who is going to.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if this process cannot, and there may be such writers.
    pub(crate) fn fence_writers(&self, path: &Path) -> Result<(), Error> {
        match membarrier::fence_all() {
            Err(source) if self.fences.may_be_left_out() => {
                Err(Error::Unavailable { path: path.into(), source })
            }
            _ => Ok(()),
        }
    }
}
