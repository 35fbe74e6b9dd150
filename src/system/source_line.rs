//! A line of source code: where a share was taken, in Rust or in C.
//!
//! Each interface gives what it has at no cost: the address of a place that the compiler laid down, or
//! the name of a file and a number. A seat keeps that, and whoever is asked for text makes it.
//!
//! # Safety
//!
//! The name of a C program's file is a string that is never freed, as string literals are; whoever makes
//! one of a bare pointer promises that. A seat may be read while its thread changes it: each pointer in it
//! is good whenever it is not null, whatever the other fields are.

use std::ffi::{CStr, c_char};
use std::fmt::{self, Display, Formatter};
use std::mem::offset_of;
use std::panic::Location;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// A line of a file, or of none that is known. Two words, so that it is handed on in registers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SourceLine {
    /// A place of Rust, or the name of a C program's file; null: nobody said where.
    at: *const (),
    line: u64,
}

/// Stands where there is a place of Rust: no line of C.
const OF_RUST: u64 = 1 << 32;

// SAFETY: what is never freed nor changed can be read by any thread.
unsafe impl Send for SourceLine {}

impl SourceLine {
    /// A line of a C program; 0: the name has it at its end, or there is none.
    ///
    /// # Safety
    /// `file` is null or leads to a string that ends with a zero byte and is never freed.
    #[inline(always)]
    pub(crate) unsafe fn new(file: *const c_char, line: u32) -> SourceLine {
        SourceLine { at: file.cast(), line: line.into() }
    }

    /// Whether it is one.
    pub(crate) fn is_known(self) -> bool {
        !self.at.is_null()
    }

    /// The file and the line, if they are known; 0: the name says all there is to say.
    pub(crate) fn parts(self) -> Option<(&'static [u8], u32)> {
        if self.line == OF_RUST {
            // SAFETY: it was made of one that lives for ever.
            let location = unsafe { &*self.at.cast::<Location<'static>>() };
            return Some((location.file().as_bytes(), location.line()));
        }
        let file = self.at.cast::<c_char>();
        // SAFETY: a string that is never freed, by construction.
        (!file.is_null()).then(|| (unsafe { CStr::from_ptr(file) }.to_bytes(), self.line as u32))
    }
}

impl From<&'static Location<'static>> for SourceLine {
    #[inline(always)]
    fn from(location: &'static Location<'static>) -> SourceLine {
        SourceLine { at: ptr::from_ref(location).cast(), line: OF_RUST }
    }
}

impl Display for SourceLine {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.parts() {
            Some((file, 0)) => f.write_str(&String::from_utf8_lossy(file)),
            Some((file, line)) => write!(f, "{}:{line}", String::from_utf8_lossy(file)),
            None => f.write_str("an unknown line"),
        }
    }
}

/// The one that a seat keeps.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct KeptLine {
    /// Null: it is not of Rust.
    location: AtomicPtr<Location<'static>>,
    /// [`NOWHERE`]: it is not of C.
    file: AtomicPtr<c_char>,
    line: AtomicU32,
}

/// Where no line of C is kept: not null, which stands for an unknown one.
static NOWHERE: c_char = 0;

impl KeptLine {
    /// Where the file's name is.
    pub(crate) const FILE: usize = offset_of!(KeptLine, file);

    pub(crate) const fn new() -> KeptLine {
        KeptLine {
            location: AtomicPtr::new(ptr::null_mut()),
            file: AtomicPtr::new((&raw const NOWHERE).cast_mut()),
            line: AtomicU32::new(0),
        }
    }

    /// Whether it is this one.
    #[inline(always)]
    pub(crate) fn is(&self, place: SourceLine) -> bool {
        if place.line == OF_RUST {
            return ptr::eq(self.location.load(Ordering::Relaxed).cast(), place.at);
        }
        ptr::eq(self.file.load(Ordering::Relaxed).cast(), place.at)
            && self.line.load(Ordering::Relaxed) == place.line as u32
    }

    pub(crate) fn set(&self, place: SourceLine) {
        self.forget();
        let at = place.at.cast_mut();
        if place.line == OF_RUST {
            self.location.store(at.cast(), Ordering::Relaxed);
        } else {
            self.line.store(place.line as u32, Ordering::Relaxed);
            self.file.store(at.cast(), Ordering::Relaxed);
        }
    }

    /// It is none from now on, not even an unknown one.
    pub(crate) fn forget(&self) {
        self.location.store(ptr::null_mut(), Ordering::Relaxed);
        self.file.store((&raw const NOWHERE).cast_mut(), Ordering::Relaxed);
    }

    /// The one that was set, if any.
    pub(crate) fn get(&self) -> Option<SourceLine> {
        // SAFETY: null or that of a place, and those live for ever.
        if let Some(location) = unsafe { self.location.load(Ordering::Relaxed).as_ref() } {
            return Some(location.into());
        }
        let file = self.file.load(Ordering::Relaxed).cast_const();
        // SAFETY: the file of the one that was set.
        (!file.is_null() && !ptr::eq(file, &NOWHERE))
            .then(|| unsafe { SourceLine::new(file, self.line.load(Ordering::Relaxed)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_told_from_another_in_either_language() {
        let (kept, here, there) = (KeptLine::new(), Location::caller(), other());
        // SAFETY: a string that is never freed.
        let of_c = |line| unsafe { SourceLine::new(c"deliver.c".as_ptr(), line) };
        // SAFETY: null.
        let unknown = unsafe { SourceLine::new(ptr::null(), 0) };
        kept.set(here.into());
        assert!(kept.is(here.into()) && !kept.is(there.into()) && !kept.is(unknown));
        assert_eq!(kept.get().unwrap().parts().unwrap().1, here.line());
        let c = of_c(7);
        kept.set(c);
        assert!(kept.is(c) && !kept.is(here.into()) && !kept.is(unknown));
        assert_eq!(kept.get().unwrap().to_string(), "deliver.c:7");
        assert_eq!(of_c(0).to_string(), "deliver.c");
        kept.forget();
        // SAFETY: null.
        let far = unsafe { SourceLine::new(ptr::null(), u32::MAX) };
        assert!(!kept.is(unknown) && !kept.is(far) && !kept.is(c) && kept.get().is_none());
        kept.set(unknown);
        assert!(kept.is(unknown) && kept.get().is_none());
    }

    #[track_caller]
    fn caller() -> &'static Location<'static> {
        Location::caller()
    }

    fn other() -> &'static Location<'static> {
        caller()
    }
}
