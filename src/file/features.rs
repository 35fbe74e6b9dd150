//! Whether writers of a barrier may enter without a fence.
//!
//! One bit of the header says so, and who does not know it leaves the file alone: a tool that does not have writers
//! pass a fence would not see them. It is decided when the barrier is made, and anew in each boot, for another kernel
//! may not offer what it takes (`system::membarrier`). One of a layout before that bit stays as it is: tools of its
//! version are about.

use crate::file::layout::{COMPAT_FENCES, Header, INCOMPAT_UNFENCED, MINOR_WITH_FENCES};
use crate::gate::sync::Ordering;
use crate::system::membarrier;

/// What a barrier says of itself: what one must know, and what one may ignore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Features {
    pub(crate) incompat: u32,
    pub(crate) compat: u32,
}

impl Features {
    /// Those of a new barrier; `fences`: whoever makes it wants every writer to keep its own.
    pub(crate) fn of_new(fences: bool) -> Features {
        let unfenced = !fences && membarrier::is_offered();
        Features {
            incompat: if unfenced { INCOMPAT_UNFENCED } else { 0 },
            compat: if fences { COMPAT_FENCES } else { 0 },
        }
    }
}

impl Header {
    /// Decides anew in another boot, for who is alone with the file.
    pub(crate) fn decide_features(&self) {
        let compat = self.compat.load(Ordering::Relaxed);
        let is_older = self.minor.load(Ordering::Relaxed) < MINOR_WITH_FENCES;
        let fences = is_older || compat & COMPAT_FENCES != 0;
        self.incompat.store(Features::of_new(fences).incompat, Ordering::Relaxed);
    }
}
