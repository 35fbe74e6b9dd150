//! Whether two threads have one table of descriptors.
//!
//! Threads of a process share it as a rule, but each may get one of its own: unshare(2). The kernel says so of any two
//! that may be looked into.

use nix::libc::{SYS_kcmp, syscall};

/// Compares tables of descriptors: kcmp(2).
const FILES: i32 = 2;

/// By their numbers. `None`: that may not be asked, or one has ended.
pub fn are_shared(one: u32, other: u32) -> Option<bool> {
    // SAFETY: numbers, and nothing is written.
    match unsafe { syscall(SYS_kcmp, one, other, FILES, 0, 0) } {
        0 => Some(true),
        1.. => Some(false),
        _ => None,
    }
}
