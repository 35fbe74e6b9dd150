//! Write locks: a share, then the file's lock.
//!
//! The one-line way to wrap every write lock of a program, by the rules of `wrapped`. Here a guard holds
//! what there the thread's record does.

use crate::barrier::handle::Barrier;
use crate::error::Error;
use crate::gate::sync::step;
use crate::member::process;
use crate::shared::guard::SharedGuard;
use crate::system::file_lock::{FileLock, LockKind};
use nix::errno::Errno;
use nix::libc::EINTR;
use std::fs::File;
use std::os::fd::AsRawFd;

/// A share of a barrier and flock(2) `LOCK_EX` on a file, given back in the opposite order.
///
/// flock(2) locks an open file description, whichever thread asks: two of these by one [`File`] hold one
/// lock together, and the first of them that ends unlocks the file. Threads that are to exclude each
/// other open it once each.
#[derive(Debug)]
#[must_use = "the lock is given back when this is dropped"]
pub struct WriteLock<'b, 'f> {
    file: &'f File,
    incarnation: u64,
    /// Dropped last.
    _share: SharedGuard<'b>,
}

impl<'b, 'f> WriteLock<'b, 'f> {
    /// Waits for both.
    ///
    /// # Errors
    /// [`Error::System`] from flock(2); else as [`Barrier::shared`].
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
        let lock = flock(file);
        let failed = |error| Error::system("flock", barrier.path(), error);
        let share = match barrier.try_shared() {
            Err(Error::WouldBlock { .. }) if wait => {
                lock.unlock().map_err(failed)?;
                barrier.shared()?
            }
            result => result?,
        };
        step("write lock: inside");
        lock.write(wait).map_err(|error| match error {
            Errno::EAGAIN if !wait => Error::WouldBlock { path: barrier.path().into() },
            error => failed(error),
        })?;
        step("write lock: locked");
        Ok(WriteLock { file, incarnation: process::incarnation(), _share: share })
    }
}

fn flock(file: &File) -> FileLock {
    FileLock { descriptor: file.as_raw_fd(), kind: LockKind::Flock }
}

impl Drop for WriteLock<'_, '_> {
    fn drop(&mut self) {
        // A child shares the description, and with it the lock, but that is its parent's.
        if process::is_current(self.incarnation) {
            // Nobody will be there to try again: whatever flock(2) says, the share ends.
            if flock(self.file).unlock() == Err(Errno::EINTR) {
                let _ = flock(self.file).unlock();
            }
            step("write lock: unlocked");
        }
    }
}
