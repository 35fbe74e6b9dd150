//! The C library beside the Rust interface and beside flock(2).

use std::ffi::c_int;

use nix::libc::{self, LOCK_EX, LOCK_UN};

use crate::contenders::Contender;
use crate::library::{FILE, Library};

impl Contender for Library {
    fn pairs(&self, count: u64) {
        Library::pairs(self, count);
    }

    fn share(&self, _inside: &mut dyn FnMut()) {
        unreachable!("pairs only");
    }

    fn exclusive(&self, _inside: &mut dyn FnMut()) {
        unreachable!("pairs only");
    }
}

/// Pairs inside a share.
pub struct NestedInC<'a>(pub &'a Library);

impl Contender for NestedInC<'_> {
    fn pairs(&self, count: u64) {
        self.0.nested_pairs(count);
    }

    fn share(&self, _inside: &mut dyn FnMut()) {
        unreachable!("pairs only");
    }

    fn exclusive(&self, _inside: &mut dyn FnMut()) {
        unreachable!("pairs only");
    }
}

/// Shares that are counted, as event loops take them.
pub struct Counted<'a>(pub &'a Library);

impl Contender for Counted<'_> {
    fn pairs(&self, count: u64) {
        for _ in 0..count {
            self.share(&mut || {});
        }
    }

    #[inline(always)]
    fn share(&self, inside: &mut dyn FnMut()) {
        let Counted(library) = self;
        let mut cookie = 0;
        // SAFETY: an open handle, a place for the cookie, and a string that is never freed.
        let begun = unsafe { (library.begin)(library.handle, &raw mut cookie, FILE.as_ptr(), 1) };
        assert_eq!(begun, 0);
        inside();
        // SAFETY: an open handle.
        assert_eq!(unsafe { (library.end)(library.handle, cookie) }, 0);
    }

    fn exclusive(&self, _inside: &mut dyn FnMut()) {
        unreachable!("pairs only");
    }
}

/// A file's write lock: by flock(2) alone, or with a share by the library.
pub struct WriteLock<'a> {
    pub descriptor: c_int,
    pub library: Option<&'a Library>,
}

impl WriteLock<'_> {
    #[inline(always)]
    fn lock(&self, operation: c_int) {
        let result = match self.library {
            Some(library) => library.flock(self.descriptor, operation),
            // SAFETY: an open descriptor.
            None => unsafe { libc::flock(self.descriptor, operation) },
        };
        assert_eq!(result, 0);
    }
}

impl Contender for WriteLock<'_> {
    fn pairs(&self, count: u64) {
        for _ in 0..count {
            self.lock(LOCK_EX);
            self.lock(LOCK_UN);
        }
    }

    fn share(&self, inside: &mut dyn FnMut()) {
        inside();
    }

    fn exclusive(&self, inside: &mut dyn FnMut()) {
        self.lock(LOCK_EX);
        inside();
        self.lock(LOCK_UN);
    }
}
