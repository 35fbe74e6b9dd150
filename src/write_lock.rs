//! Write locks: a share, then the file's lock.
//!
//! The one-line way to wrap every write lock of a program, by the rules of `wrapped`.

use crate::Error;
use crate::barrier::Barrier;
use crate::file_lock::{FileLock, LockKind};
use crate::process;
use crate::wrapped::LockRequest;
use nix::libc::EINTR;
use std::fs::File;
use std::marker::PhantomData;
use std::os::fd::AsRawFd;
use std::panic::Location;

/// A share of a barrier and flock(2) `LOCK_EX` on a file, given back in the opposite order.
#[derive(Debug)]
#[must_use = "the lock is given back when this is dropped"]
pub struct WriteLock<'b, 'f> {
    barrier: &'b Barrier,
    file: &'f File,
    incarnation: u64,
    /// It belongs to its thread, as its share does.
    not_send: PhantomData<*const ()>,
}

impl<'b, 'f> WriteLock<'b, 'f> {
    /// Waits for both.
    ///
    /// # Errors
    /// [`Error::System`] from flock(2); [`Error::NotHeld`] if another thread holds one by this very
    /// file; else as [`Barrier::shared`].
    ///
    /// # Examples
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let barrier = stillpoint::Barrier::create(folder.path().join("spool.barrier"))?;
    /// # let mailbox = std::fs::File::create(folder.path().join("mailbox")).unwrap();
    /// let lock = stillpoint::WriteLock::acquire(&barrier, &mailbox)?;
    /// assert_eq!(barrier.depth(), 1);
    /// # Ok::<(), stillpoint::Error>(())
    /// ```
    #[track_caller]
    pub fn acquire(barrier: &'b Barrier, file: &'f File) -> Result<Self, Error> {
        loop {
            match WriteLock::lock(barrier, file, true) {
                Err(Error::System { source, .. }) if source.raw_os_error() == Some(EINTR) => {}
                result => return result,
            }
        }
    }

    /// Takes both without waiting, or neither.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] if the gate is closed or the file is locked; else as
    /// [`WriteLock::acquire`].
    #[track_caller]
    pub fn try_acquire(barrier: &'b Barrier, file: &'f File) -> Result<Self, Error> {
        WriteLock::lock(barrier, file, false)
    }

    #[track_caller]
    fn lock(barrier: &'b Barrier, file: &'f File, wait: bool) -> Result<Self, Error> {
        let place = Location::caller().into();
        barrier.lock_file_at(flock(file), LockRequest::Write, wait, place)?;
        let incarnation = process::incarnation();
        Ok(WriteLock { barrier, file, incarnation, not_send: PhantomData })
    }
}

fn flock(file: &File) -> FileLock {
    FileLock { descriptor: file.as_raw_fd(), kind: LockKind::Flock }
}

impl Drop for WriteLock<'_, '_> {
    fn drop(&mut self) {
        // A child shares the description, and with it the lock, but that is its parent's.
        if process::is_current(self.incarnation) {
            self.barrier.end_lock(flock(self.file));
        }
    }
}
