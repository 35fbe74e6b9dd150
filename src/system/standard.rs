//! Numbers 0, 1 and 2 are the program's.
//!
//! open(2) gives the lowest number that is free. In a program that has closed its standard streams that
//! is one of those, and the next message that some part of it writes to number 2 would go to what this
//! library has just opened: over the head of the barrier, say. So whatever is opened here is opened while
//! these numbers are taken: where one is free, by a descriptor of the root folder that can neither be read
//! nor written (`O_PATH`, open(2)), which answers as a closed number does, and is closed again after.
//!
//! # Safety
//!
//! A number is closed here only if it is one that was opened here and still is none but a path.

use crate::system::signals::AllBlocked;
use nix::errno::Errno;
use nix::libc;
use std::sync::atomic::{AtomicU32, Ordering};

const STANDARD: usize = 3;

/// How many rely on the descriptor that stands in for each number; [`CHANGING`] for a moment.
static TAKEN: [AtomicU32; STANDARD] = [const { AtomicU32::new(0) }; STANDARD];
/// Somebody is looking whether the number is free.
const CHANGING: u32 = u32::MAX;

/// While this is held, nothing that is opened becomes a standard stream.
#[must_use = "the numbers are free again when this is dropped"]
pub(crate) struct Kept([bool; STANDARD]);

/// Takes those of the three numbers that are free.
pub(crate) fn keep() -> Kept {
    let mut kept = Kept([false; STANDARD]);
    let own = |number: usize| TAKEN[number].load(Ordering::Acquire) == 0 && is_open(number);
    if (0..STANDARD).all(own) {
        return kept;
    }
    // No handler may wait here for the thread that it interrupted.
    let _unblocked = AllBlocked::new();
    for number in 0..STANDARD {
        kept.0[number] = take(number);
    }
    kept
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.0.contains(&true) {
            let _unblocked = AllBlocked::new();
            (0..STANDARD).filter(|number| self.0[*number]).for_each(give_back);
        }
    }
}

/// True if the number is taken now, for this caller too; false if it is the program's own.
fn take(number: usize) -> bool {
    let taken = &TAKEN[number];
    // Bounded: a child may have been forked while somebody was changing it.
    for _ in 0..1000 {
        match taken.load(Ordering::Acquire) {
            CHANGING => std::thread::yield_now(),
            0 if swap(taken, 0, CHANGING) => {
                let made = !is_open(number) && stand_in(number);
                taken.store(u32::from(made), Ordering::Release);
                return made;
            }
            0 => {}
            count if swap(taken, count, count + 1) => return true,
            _ => {}
        }
    }
    false
}

fn give_back(number: usize) {
    let taken = &TAKEN[number];
    for _ in 0..1000 {
        match taken.load(Ordering::Acquire) {
            CHANGING => std::thread::yield_now(),
            1 if swap(taken, 1, CHANGING) => {
                if is_path(number) {
                    // SAFETY: see the head of the module.
                    unsafe { libc::close(number as libc::c_int) };
                }
                taken.store(0, Ordering::Release);
                return;
            }
            0 => return,
            1 => {}
            count if swap(taken, count, count - 1) => return,
            _ => {}
        }
    }
}

fn swap(taken: &AtomicU32, from: u32, to: u32) -> bool {
    taken.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
}

fn flags(number: usize, command: libc::c_int) -> Option<libc::c_int> {
    // SAFETY: a number that the kernel checks; nothing is changed.
    Errno::result(unsafe { libc::fcntl(number as libc::c_int, command) }).ok()
}

fn is_open(number: usize) -> bool {
    flags(number, libc::F_GETFD).is_some()
}

fn is_path(number: usize) -> bool {
    flags(number, libc::F_GETFL).is_some_and(|flags| flags & libc::O_PATH != 0)
}

/// Opens the root folder as this very number; false if another one was the lowest that was free, or if
/// there is none for the process any more.
fn stand_in(number: usize) -> bool {
    // SAFETY: a valid string.
    let opened = unsafe { libc::open(c"/".as_ptr(), libc::O_PATH | libc::O_CLOEXEC) };
    if opened >= 0 && opened != number as libc::c_int {
        // SAFETY: it was just opened.
        unsafe { libc::close(opened) };
    }
    opened == number as libc::c_int
}
