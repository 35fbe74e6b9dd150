//! A handle for "none configured", so that programs need no wrapper: `STILLPOINT_OPTIONAL`.
//!
//! Where there is no barrier the functions do nothing and succeed, and locks are locked as without this
//! library. But whoever makes the barrier later, and takes snapshots, relies on the program that has been
//! running all the while. So nothing is remembered: whatever begins something (a share, a write lock)
//! looks, and from the first look that finds the barrier on, the handle is one like any other. A look is
//! one system call, and little beside the writes that follow; an interval between looks would save that,
//! and be a time in which snapshots are torn and called clean.
//!
//! What began without a barrier ends without one: giving back what was never taken succeeds.

use crate::failure::Failure;
use barrier::{Barrier, ErrorKind, Options};
use std::io;
use std::path::PathBuf;

/// What to look for, and how to open it.
pub struct Wish {
    how: Options,
    /// Absolute: the program may change its folder.
    path: PathBuf,
}

impl Wish {
    /// # Errors
    /// If the current folder is needed, and is not to be had.
    pub fn new(how: Options, path: PathBuf) -> io::Result<Wish> {
        Ok(Wish { how, path: std::path::absolute(path)? })
    }

    /// The barrier, if it is there now. One that is there and cannot be opened is an error: a missing
    /// barrier harms nobody, but writers who cannot take part in one do.
    pub fn look(&self) -> Result<Option<Barrier>, Failure> {
        let missing = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
        if self.path.symlink_metadata().is_err_and(|error| missing.contains(&error.kind())) {
            return Ok(None);
        }
        match self.how.open(&self.path) {
            Err(error) if error.kind() == ErrorKind::Missing => Ok(None),
            opened => Ok(Some(opened?)),
        }
    }
}
