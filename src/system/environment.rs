//! Environment variables, for programs that may trust their environment.
//!
//! A set-user-ID or set-group-ID program, or one with capabilities of its own, is started by somebody who
//! may less than it may. To that user no variable lends the difference: each counts as not set, as
//! secure_getenv(3) has it. What such a program needs it is told by its own code; the folder of barriers is
//! the standard one.
//!
//! # Safety
//!
//! getauxval(3) reads what the kernel told the process when it began, and has no wrapper.

use nix::libc;
use std::ffi::OsString;

/// The value of an environment variable, if it is set and not empty; `None` in a process whose
/// environment is not to be trusted, as secure_getenv(3) decides.
pub fn variable(name: &str) -> Option<OsString> {
    if is_untrusted() {
        return None;
    }
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Whether this process may more than whoever started it, by the set-user-ID or set-group-ID bit of its
/// file, its capabilities, or a security module's word: `AT_SECURE`, getauxval(3).
pub fn is_untrusted() -> bool {
    // SAFETY: a lookup in what the process was started with.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}
