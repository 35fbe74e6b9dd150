//! The seat that this thread used last, and the handle by which it did: the two thread-local words that the fast path
//! reads.
//!
//! In a program, a thread-local variable is an offset from the thread pointer. In a shared library the
//! compiler asks the dynamic linker for its address, by a call that costs as much as all of the fast
//! path; the library for C programs would pay it twice a pair. The *initial-exec* model avoids that:
//! the offset stands in the library's own table, and the linker finds room for two more words in what
//! every thread sets aside for libraries (ELF Handling For Thread-Local Storage, 4.3.6). The compiler
//! offers no way to ask for it, so on x86-64 the words are declared and read in assembly. Elsewhere they
//! are an ordinary thread-local variable.
//!
//! # Safety
//!
//! The words lead to `NOBODY` or to a seat, and to a cell, and all of them live for ever. They belong to their thread,
//! whose signal handlers see either value of a store. Either word is good whatever the other one is: the numbers that
//! they lead to say whether they go together.

use crate::seat::Seat;
use crate::seat::handle_cell::HandleCell;

/// The seat of threads that have none: serves no barrier.
pub(crate) static NOBODY: Seat = Seat::new();
/// The cell of threads that have used no handle.
static NO_HANDLE: HandleCell = HandleCell::closed();

#[cfg(target_arch = "x86_64")]
mod words {
    use super::{NO_HANDLE, NOBODY};
    use crate::seat::Seat;
    use crate::seat::handle_cell::HandleCell;
    use std::arch::{asm, global_asm};

    global_asm!(
        ".pushsection .tdata.stillpoint_current, \"awT\", @progbits",
        ".hidden stillpoint_current",
        ".globl stillpoint_current",
        ".type stillpoint_current, @object",
        ".size stillpoint_current, 16",
        ".p2align 4",
        "stillpoint_current:",
        ".quad {}",
        ".quad {}",
        ".popsection",
        sym NOBODY,
        sym NO_HANDLE,
    );

    #[inline(always)]
    pub fn seat() -> *const Seat {
        let seat;
        // SAFETY: reads the first word above, at its offset from the thread pointer.
        unsafe {
            asm!(
                "mov {seat}, qword ptr [rip + stillpoint_current@GOTTPOFF]",
                "mov {seat}, qword ptr fs:[{seat}]",
                seat = out(reg) seat,
                options(pure, readonly, nostack, preserves_flags),
            );
        }
        seat
    }

    #[inline(always)]
    pub fn both() -> (*const Seat, *const HandleCell) {
        let (seat, cell);
        // SAFETY: reads both, as above.
        unsafe {
            asm!(
                "mov {seat}, qword ptr [rip + stillpoint_current@GOTTPOFF]",
                "mov {cell}, qword ptr fs:[{seat} + 8]",
                "mov {seat}, qword ptr fs:[{seat}]",
                seat = out(reg) seat,
                cell = out(reg) cell,
                options(pure, readonly, nostack, preserves_flags),
            );
        }
        (seat, cell)
    }

    pub fn set_seat(seat: *const Seat) {
        // SAFETY: writes the first, at its offset from the thread pointer.
        unsafe {
            asm!(
                "mov {offset}, qword ptr [rip + stillpoint_current@GOTTPOFF]",
                "mov qword ptr fs:[{offset}], {seat}",
                offset = out(reg) _,
                seat = in(reg) seat,
                options(nostack, preserves_flags),
            );
        }
    }

    pub fn set_cell(cell: *const HandleCell) {
        // SAFETY: writes the second, likewise.
        unsafe {
            asm!(
                "mov {offset}, qword ptr [rip + stillpoint_current@GOTTPOFF]",
                "mov qword ptr fs:[{offset} + 8], {cell}",
                offset = out(reg) _,
                cell = in(reg) cell,
                options(nostack, preserves_flags),
            );
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod words {
    use super::{NO_HANDLE, NOBODY};
    use crate::seat::Seat;
    use crate::seat::handle_cell::HandleCell;
    use std::cell::Cell;

    thread_local! {
        static SEAT: Cell<*const Seat> = const { Cell::new(&raw const NOBODY) };
        static CELL: Cell<*const HandleCell> = const { Cell::new(&raw const NO_HANDLE) };
    }

    #[inline(always)]
    pub fn seat() -> *const Seat {
        SEAT.get()
    }

    #[inline(always)]
    pub fn both() -> (*const Seat, *const HandleCell) {
        (SEAT.get(), CELL.get())
    }

    pub fn set_seat(seat: *const Seat) {
        SEAT.set(seat);
    }

    pub fn set_cell(cell: *const HandleCell) {
        CELL.set(cell);
    }
}

/// The seat that this thread used last.
#[inline(always)]
pub(crate) fn get() -> &'static Seat {
    // SAFETY: see the head of the module.
    unsafe { &*words::seat() }
}

/// The same if it serves the barrier of this handle, and the thread used that one last. The pointer may be anything.
#[inline(always)]
pub(crate) fn get_by(handle: *const HandleCell) -> Option<&'static Seat> {
    let (seat, cell) = words::both();
    if handle != cell {
        return None;
    }
    // SAFETY: see the head of the module.
    let (seat, cell) = unsafe { (&*seat, &*cell) };
    seat.serves(cell.number()).then_some(seat)
}

/// Makes a seat of this thread the one that the fast path tries first.
pub(crate) fn set(seat: &'static Seat) {
    words::set_seat(seat);
}

/// Makes this the handle that the fast path knows.
pub(crate) fn remember(handle: &'static HandleCell) {
    words::set_cell(handle);
}
