//! Write locks: a share, then the file's lock.
//!
//! The one-line way to wrap every write lock of a program. The share comes first and goes last, so it
//! is the outermost lock, and an attempt that fails leaves nothing held.

use crate::Error;
use crate::barrier::Barrier;
use crate::shared::SharedGuard;
use crate::sync::step;
use std::fs::File;
use std::io::ErrorKind;

/// A share of a barrier and flock(2) `LOCK_EX` on a file, given back in the opposite order.
#[derive(Debug)]
#[must_use = "the lock is given back when this is dropped"]
pub struct WriteLock<'b, 'f> {
    file: &'f File,
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
        let share = barrier.shared()?;
        step("write lock: inside");
        loop {
            match fs2::FileExt::lock_exclusive(file) {
                Ok(()) => {
                    step("write lock: locked");
                    return Ok(WriteLock { file, _share: share });
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::system("flock", barrier.path(), source)),
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
        let share = barrier.try_shared()?;
        match fs2::FileExt::try_lock_exclusive(file) {
            Ok(()) => Ok(WriteLock { file, _share: share }),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                Err(Error::WouldBlock { path: barrier.path().into() })
            }
            Err(source) => Err(Error::system("flock", barrier.path(), source)),
        }
    }
}

impl Drop for WriteLock<'_, '_> {
    fn drop(&mut self) {
        // It cannot fail for a descriptor that was locked; the share ends after it.
        let _ = fs2::FileExt::unlock(self.file);
        step("write lock: unlocked");
    }
}
