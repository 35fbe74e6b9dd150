//! What programs in C know of a seat: the header's own functions enter and leave without a call in the common case.
//!
//! A call into a shared library and back costs two thirds of what entering and leaving do. So `stillpoint.h` has the
//! steps of `express` and of `crossing` once more, for a seat that needs no fence, and the offsets of what they touch;
//! whatever is not the common case is left to the library.
//!
//! The library may change all of it. A program asks once a thread where the word of `current` is, and says which
//! layout it was compiled for. If that is not this one, it is shown a word that leads to nobody's seat, finds no common
//! case, and calls the library each time.

use crate::file::layout::Slot;
use crate::file::taken_at::TakenAt;
use crate::gate::protocol::Gate;
use crate::gate::sync::AtomicPtr;
use crate::seat::{Seat, current};
use crate::system::source_line::KeptLine;
use std::mem::offset_of;

/// The number of the layout below, `STILLPOINT_LAYOUT_` in the header, which is for 64 bits only: whoever changes a
/// line of it, or the order of the steps, raises both.
const LAYOUT: u32 = 1;

#[cfg(target_pointer_width = "64")]
const _: () = {
    assert!(offset_of!(Seat, unfenced_handle) == 8);
    assert!(offset_of!(Seat, own) == 24);
    assert!(offset_of!(Seat, gate) == 32);
    assert!(offset_of!(Seat, depth) == 40);
    assert!(offset_of!(Seat, copy) == 44);
    assert!(offset_of!(Seat, settled) == 48);
    assert!(offset_of!(Seat, readmitted) == 52);
    assert!(offset_of!(Seat, place) + KeptLine::FILE == 64);
    assert!(offset_of!(Slot, word) == 0);
    assert!(offset_of!(Slot, taken_at) + TakenAt::OF == 88);
    assert!(offset_of!(Gate, generation) == 0);
};

/// The word of those who know another layout.
static NOBODYS: AtomicPtr<Seat> = AtomicPtr::new((&raw const current::NOBODY).cast_mut());

/// Where the word is that leads to this thread's seat, for who was compiled for this layout.
pub(crate) fn word(layout: u32) -> *const *const Seat {
    if layout == LAYOUT { current::place() } else { NOBODYS.as_ptr().cast_const().cast() }
}
