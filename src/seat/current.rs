//! The seat that this thread used last: the thread-local word that the fast path reads.
//!
//! In a program, a thread-local variable is an offset from the thread pointer. In a shared library the
//! compiler asks the dynamic linker for its address, by a call that costs as much as all of the fast
//! path; the library for C programs would pay it twice a pair. The *initial-exec* model avoids that:
//! the offset stands in the library's own table, and the linker finds room for one more word in what
//! every thread sets aside for libraries (ELF Handling For Thread-Local Storage, 4.3.6). The compiler
//! offers no way to ask for it, so on x86-64 the word is declared and read in assembly. Elsewhere it
//! is an ordinary thread-local variable.
//!
//! Programs in C read it themselves, where they enter and leave without a call (see `published`).
//!
//! # Safety
//!
//! The word leads to `NOBODY` or to a seat, and all of them live for ever. It belongs to its thread, whose signal
//! handlers see either value of a store.

use crate::seat::Seat;

/// The seat of threads that have none: serves no barrier.
pub(crate) static NOBODY: Seat = Seat::new();

#[cfg(target_arch = "x86_64")]
mod word {
    use super::NOBODY;
    use crate::seat::Seat;
    use std::arch::{asm, global_asm};

    global_asm!(
        ".pushsection .tdata.stillpoint_current, \"awT\", @progbits",
        ".hidden stillpoint_current",
        ".globl stillpoint_current",
        ".type stillpoint_current, @object",
        ".size stillpoint_current, 8",
        ".p2align 3",
        "stillpoint_current:",
        ".quad {}",
        ".popsection",
        sym NOBODY,
    );

    #[inline(always)]
    pub fn get() -> *const Seat {
        let seat;
        // SAFETY: reads the word above, at its offset from the thread pointer.
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

    pub fn set(seat: *const Seat) {
        // SAFETY: writes it, likewise.
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

    pub fn place() -> *const *const Seat {
        let place;
        // SAFETY: adds the offset to the thread pointer, which is the first word there too (3.4.6 of the same).
        unsafe {
            asm!(
                "mov {place}, qword ptr fs:[0]",
                "add {place}, qword ptr [rip + stillpoint_current@GOTTPOFF]",
                place = out(reg) place,
                options(pure, readonly, nostack),
            );
        }
        place
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod word {
    use super::NOBODY;
    use crate::seat::Seat;
    use std::cell::Cell;

    thread_local! {
        static SEAT: Cell<*const Seat> = const { Cell::new(&raw const NOBODY) };
    }

    #[inline(always)]
    pub fn get() -> *const Seat {
        SEAT.get()
    }

    pub fn set(seat: *const Seat) {
        SEAT.set(seat);
    }

    pub fn place() -> *const *const Seat {
        SEAT.with(|seat| seat.as_ptr().cast_const())
    }
}

/// The seat that this thread used last.
#[inline(always)]
pub(crate) fn get() -> &'static Seat {
    // SAFETY: see the head of the module.
    unsafe { &*word::get() }
}

/// Makes a seat of this thread the one that the fast path tries first.
pub(crate) fn set(seat: &'static Seat) {
    word::set(seat);
}

/// Where this thread's word is, until it ends.
pub(crate) fn place() -> *const *const Seat {
    word::place()
}
