//! The six functions.
//!
//! Only what asks for a write lock goes through the gate; all else is libc's alone. libc's lockf(3) calls the
//! kernel by itself, so it has hooks of its own.
//!
//! # Safety
//!
//! Rust cannot define a function with variable arguments, and need not: on the platforms of Linux an argument
//! of the size of a register arrives in the same place, and one that was not given is not used.

use crate::libc::{self as real, FCNTL, FCNTL64, Function, UNDERSCORES_FCNTL};
use crate::passage::{Call, pass};
use nix::libc::{self, c_int, c_short, off_t, off64_t};

/// Numbers of fcntl(2) that differ between the widths of a file's length, where there are two.
const SETLK64: c_int = if cfg!(target_pointer_width = "32") { 13 } else { libc::F_SETLK };
const SETLKW64: c_int = if cfg!(target_pointer_width = "32") { 14 } else { libc::F_SETLKW };

/// # Safety
/// As fcntl(2).
#[inline(always)]
unsafe fn fcntl_by(by: &Function, descriptor: c_int, command: c_int, argument: usize) -> c_int {
    // SAFETY: the caller's promise.
    let ask = || unsafe { real::fcntl(by, descriptor, command, argument) };
    #[allow(unreachable_patterns, reason = "two numbers are one on most platforms")]
    let waits = match command {
        libc::F_SETLK | SETLK64 | libc::F_OFD_SETLK => false,
        libc::F_SETLKW | SETLKW64 | libc::F_OFD_SETLKW => true,
        _ => return ask(),
    };
    // What kind of lock it is to be stands first, in both widths.
    let kind = argument as *const c_short;
    // SAFETY: the caller's promise: null is the kernel's to refuse.
    if kind.is_null() || c_int::from(unsafe { *kind }) != libc::F_WRLCK {
        return ask();
    }
    pass(Call { descriptor, waits, may_be_cancelled: waits }, ask)
}

/// fcntl(2).
///
/// # Safety
/// As fcntl(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn fcntl(fd: c_int, command: c_int, argument: usize) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { fcntl_by(&FCNTL, fd, command, argument) }
}

/// fcntl(2).
///
/// # Safety
/// As fcntl(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn fcntl64(fd: c_int, command: c_int, argument: usize) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { fcntl_by(&FCNTL64, fd, command, argument) }
}

/// fcntl(2).
///
/// # Safety
/// As fcntl(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __fcntl(fd: c_int, command: c_int, argument: usize) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { fcntl_by(&UNDERSCORES_FCNTL, fd, command, argument) }
}

/// flock(2), which is no cancellation point.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn flock(fd: c_int, operation: c_int) -> c_int {
    let ask = || real::flock(fd, operation);
    if operation & !libc::LOCK_NB != libc::LOCK_EX {
        return ask();
    }
    let waits = operation & libc::LOCK_NB == 0;
    pass(Call { descriptor: fd, waits, may_be_cancelled: false }, ask)
}

#[inline(always)]
fn lockf_by(descriptor: c_int, command: c_int, ask: impl Fn() -> c_int) -> c_int {
    let waits = match command {
        libc::F_LOCK => true,
        libc::F_TLOCK => false,
        _ => return ask(),
    };
    pass(Call { descriptor, waits, may_be_cancelled: waits }, ask)
}

/// lockf(3).
#[unsafe(no_mangle)]
pub extern "C-unwind" fn lockf(fd: c_int, command: c_int, length: off_t) -> c_int {
    lockf_by(fd, command, || real::lockf(fd, command, length))
}

/// lockf(3).
#[unsafe(no_mangle)]
pub extern "C-unwind" fn lockf64(fd: c_int, command: c_int, length: off64_t) -> c_int {
    lockf_by(fd, command, || real::lockf64(fd, command, length))
}
