//! A line of source code: where a share was taken, in Rust or in C.
//!
//! # Safety
//!
//! The name of the file is a C string that is never freed, as string literals are; whoever makes one
//! of a bare pointer promises that.

use std::ffi::{CStr, c_char};
use std::fmt::{self, Display, Formatter};
use std::panic::Location;

/// A line of a file, or of none that is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SourceLine {
    file: *const c_char,
    line: u32,
}

// SAFETY: what is never freed nor changed can be read by any thread.
unsafe impl Send for SourceLine {}

impl SourceLine {
    /// A line of a C program.
    ///
    /// # Safety
    /// `file` is null or leads to a string that ends with a zero byte and is never freed.
    pub(crate) unsafe fn new(file: *const c_char, line: u32) -> SourceLine {
        SourceLine { file, line }
    }

    /// Whether it is one.
    pub(crate) fn is_known(self) -> bool {
        !self.file.is_null()
    }

    /// What `new` makes one of.
    #[inline(always)]
    pub(crate) fn parts(self) -> (*const c_char, u32) {
        (self.file, self.line)
    }
}

impl From<&'static Location<'static>> for SourceLine {
    fn from(location: &'static Location<'static>) -> SourceLine {
        SourceLine { file: location.file_as_c_str().as_ptr(), line: location.line() }
    }
}

impl Display for SourceLine {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.file.is_null() {
            return f.write_str("an unknown line");
        }
        // SAFETY: a string that is never freed, by construction.
        let file = unsafe { CStr::from_ptr(self.file) };
        write!(f, "{}:{}", file.to_string_lossy(), self.line)
    }
}
