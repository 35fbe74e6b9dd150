//! Lifelines: locks that last as long as the process, whatever it does with its descriptors.
//!
//! An open-file-description lock lives as long as the description, and a shared map keeps a
//! description alive as a descriptor does. So a lifeline opens the barrier afresh, locks, maps one
//! page of that very description and closes the descriptor. What is left cannot be closed by
//! `closefrom(3)`, duplicated or leaked; it is not inherited (`MADV_DONTFORK`), and it falls at
//! munmap(2), at exec, at exit and at SIGKILL, while a stopped process keeps it. Life is thus proved
//! by the kernel, and no process id, name or time takes part.
//!
//! Open-file-description locks do not conflict within one description. So every lock is *taken* on a
//! fresh description, and a spare descriptor that holds none is only ever used to *ask*. It is
//! compared by device and inode before each use, because the application may have closed it and the
//! number may now be a file of its own.

use crate::error::Error;
use crate::file::byte_lock::{Mode, is_byte_free, try_lock_byte, unlock_all_bytes};
use crate::file::layout::LockByte;
use crate::file::open::{Identity, identity_at, open_fresh};
use crate::gate::sync::{AtomicI32, Ordering, step};
use crate::member::mapping::Mapping;
use crate::member::process::Locked;
use crate::member::signature::Keys;
use crate::member::vantage::Vantage;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use std::fs::File;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::path::PathBuf;

/// Where a barrier is, and which file it must be.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    pub(crate) identity: Identity,
    /// What tells this place from others: see `stragglers`.
    pub(crate) keys: Keys,
    /// From where the path led to it.
    pub(crate) vantage: Vantage,
    /// The spare descriptor, or -1. No lock guards it: a child may be forked at any time.
    spare: AtomicI32,
}

impl Place {
    pub(crate) fn new(path: PathBuf, identity: Identity) -> Place {
        let vantage = Vantage::now();
        let keys = Keys::of(&path, vantage.root);
        Place { path, identity, keys, vantage, spare: AtomicI32::new(-1) }
    }

    /// Whether the path leads to this file. One that cannot be followed from here says nothing.
    pub(crate) fn is_in_place(&self) -> bool {
        !identity_at(&self.path).is_ok_and(|found| found != Some(self.identity))
    }

    /// A fresh description of this very file, writable, as exclusive locks of a description want it.
    pub(crate) fn open_fresh(&self) -> Result<File, Error> {
        open_fresh(&self.path, true, Some(self.identity)).map(|(file, _)| file)
    }

    /// One that can only be read, which is enough to ask, and for flock(2).
    pub(crate) fn open_to_read(&self) -> Result<File, Error> {
        open_fresh(&self.path, false, Some(self.identity)).map(|(file, _)| file)
    }

    /// Whether nobody holds the byte. A question that cannot be asked is answered no.
    pub(crate) fn is_free(&self, byte: LockByte) -> bool {
        let spare = self.spare.load(Ordering::Acquire);
        let Ok(ours) = self.is_ours(spare) else { return false };
        if ours {
            // SAFETY: it was just found open; should the application close it now, the question fails
            // or goes to another file. A wrong answer costs a certificate at worst: whoever acts on
            // a death takes the lock itself.
            let file = unsafe { BorrowedFd::borrow_raw(spare) };
            return is_byte_free(&file, byte);
        }
        let Ok(file) = self.open_to_read() else { return false };
        let free = is_byte_free(&file, byte);
        let fresh = file.as_raw_fd();
        if self.spare.compare_exchange(spare, fresh, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            let _ = file.into_raw_fd();
        }
        free
    }

    /// Whether the descriptor still leads to the barrier. An error leaves that open: taken for a no, it
    /// would have the spare one replaced and never closed.
    fn is_ours(&self, descriptor: RawFd) -> nix::Result<bool> {
        if descriptor < 0 {
            return Ok(false);
        }
        // SAFETY: only fstat(2) is called with it; a closed descriptor is an error there.
        let file = unsafe { BorrowedFd::borrow_raw(descriptor) };
        match nix::sys::stat::fstat(file) {
            #[allow(clippy::unnecessary_cast, reason = "their widths differ between platforms")]
            Ok(found) => {
                let found = Identity { device: found.st_dev as u64, inode: found.st_ino as u64 };
                Ok(found == self.identity)
            }
            Err(Errno::EBADF) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let spare = *self.spare.get_mut();
        if self.is_ours(spare) == Ok(true) {
            let _ = nix::unistd::close(spare);
        }
    }
}

/// A lock, or several, that this process keeps until it drops them or ends.
#[derive(Debug)]
pub(crate) struct Lifeline {
    /// Only for commands that are to keep the lock after us: they inherit a copy of it.
    descriptor: Option<File>,
    _mapping: Mapping,
}

impl Lifeline {
    /// Lets `lock` take what it wants of a file that was opened afresh, and holds on to that; `None` if
    /// `lock` took nothing. The process's lock is held by the caller, so that no child is forked
    /// while the descriptor is open.
    pub(crate) fn hold<T>(
        _process: &Locked,
        place: &Place,
        file: File,
        keep_descriptor: bool,
        lock: impl FnOnce(&File) -> std::io::Result<Option<T>>,
    ) -> Result<Option<(Lifeline, T)>, Error> {
        step("lifeline: opened");
        let locked = lock(&file).map_err(|source| Error::system("lock", &place.path, source))?;
        let Some(locked) = locked else {
            return Ok(None);
        };
        step("lifeline: locked");
        let page = NonZeroUsize::new(4096).expect("4096 is not 0");
        let mapping = Mapping::of_file(&file, page, false)
            .map_err(|source| Error::system("mmap", &place.path, source))?;
        step("lifeline: mapped");
        Ok(Some((
            Lifeline { descriptor: keep_descriptor.then_some(file), _mapping: mapping },
            locked,
        )))
    }

    /// A lifeline that holds one byte exclusively; `None` if somebody else does.
    pub(crate) fn of_byte(
        process: &Locked,
        place: &Place,
        byte: LockByte,
        keep_descriptor: bool,
    ) -> Result<Option<Lifeline>, Error> {
        let held = Lifeline::hold(process, place, place.open_fresh()?, keep_descriptor, |file| {
            if !try_lock_byte(file, byte, Mode::Exclusive)? {
                return Ok(None);
            }
            place.keys.sign(file)?;
            Ok(Some(()))
        })?;
        Ok(held.map(|(lifeline, ())| lifeline))
    }

    /// The descriptor, if it was kept.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.descriptor.as_ref().map(AsFd::as_fd)
    }

    /// The file, if its descriptor was kept.
    pub(crate) fn file(&self) -> Option<&File> {
        self.descriptor.as_ref()
    }

    /// Gives the locks back although others may have inherited the descriptor.
    pub(crate) fn unlock(self) {
        if let Some(file) = &self.descriptor {
            unlock_all_bytes(file);
            let _ = fs2::FileExt::unlock(file);
        }
    }

    /// Leaves the locks to the descriptor alone, which exec will not close.
    pub(crate) fn into_descriptor(self) -> Option<OwnedFd> {
        let descriptor = OwnedFd::from(self.descriptor?);
        // Cannot fail: the descriptor is open.
        let _ = fcntl(&descriptor, FcntlArg::F_SETFD(FdFlag::empty()));
        Some(descriptor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Barrier;

    /// The application has got hold of the spare descriptor and locks by it. The kernel finds no
    /// conflict of a description with itself, so the answer is wrong; what acts on it must not be.
    #[test]
    fn a_wrong_answer_takes_nobody_for_dead() {
        let folder = tempfile::tempdir().unwrap();
        let barrier = Barrier::create(folder.path().join("test.barrier")).unwrap();
        let (place, byte) = (&barrier.inner.place, LockByte::Life(9));
        assert!(place.is_free(byte));
        // SAFETY: the question has just opened it, and nothing closes it meanwhile.
        let spare = unsafe { BorrowedFd::borrow_raw(place.spare.load(Ordering::Relaxed)) };
        assert!(try_lock_byte(&spare, byte, Mode::Shared).unwrap());
        assert!(place.is_free(byte), "asked of the description that holds it");
        let parts = barrier.inner.attached().unwrap().parts;
        parts.slots()[9].word.store(1, Ordering::Relaxed);
        assert!(!crate::member::reclaim::reclaim(place, parts, 9));
        assert_eq!(barrier.dirty().epoch, 0);
    }
}
