//! The process-shared locks of the C library, in a shared map of a file. Never unmapped.

use std::fs::File;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags, mmap};

use crate::contenders::Lock;

/// Room for any of them.
const PAGE: NonZeroUsize = NonZeroUsize::new(4096).expect("not 0");

/// Whom a reader-writer lock prefers when both want it.
#[derive(Clone, Copy)]
pub enum Kind {
    /// The default.
    ReadersFirst,
    WritersFirst,
}

/// `PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP` of glibc's <pthread.h>.
const PREFER_WRITER_NONRECURSIVE: libc::c_int = 2;

/// A process-shared pthread_rwlock.
pub struct ReaderWriter(NonNull<libc::pthread_rwlock_t>);

// SAFETY: the lock is made to be used from everywhere.
unsafe impl Send for ReaderWriter {}
// SAFETY: as above.
unsafe impl Sync for ReaderWriter {}

impl ReaderWriter {
    /// Maps it; makes it if the file is new.
    pub fn new(file: &File, kind: Kind) -> anyhow::Result<ReaderWriter> {
        let (lock, new) = map(file)?;
        if new {
            // SAFETY: the map is larger than a lock, aligned to a page, and nobody uses it yet.
            unsafe {
                let mut attributes = std::mem::zeroed();
                libc::pthread_rwlockattr_init(&mut attributes);
                libc::pthread_rwlockattr_setpshared(&mut attributes, libc::PTHREAD_PROCESS_SHARED);
                if let Kind::WritersFirst = kind {
                    libc::pthread_rwlockattr_setkind_np(
                        &mut attributes,
                        PREFER_WRITER_NONRECURSIVE,
                    );
                }
                libc::pthread_rwlock_init(lock.as_ptr(), &attributes);
            }
        }
        Ok(ReaderWriter(lock))
    }
}

impl Lock for ReaderWriter {
    fn shared(&self, mut inside: impl FnMut()) {
        // SAFETY: `new` mapped an initialised lock, which stays mapped.
        let taken = unsafe { libc::pthread_rwlock_rdlock(self.0.as_ptr()) };
        assert_eq!(taken, 0, "pthread_rwlock_rdlock");
        inside();
        // SAFETY: as above; this thread holds it.
        unsafe { libc::pthread_rwlock_unlock(self.0.as_ptr()) };
    }

    fn alone(&self, mut inside: impl FnMut()) {
        // SAFETY: as in `shared`.
        let taken = unsafe { libc::pthread_rwlock_wrlock(self.0.as_ptr()) };
        assert_eq!(taken, 0, "pthread_rwlock_wrlock");
        inside();
        // SAFETY: as above; this thread holds it.
        unsafe { libc::pthread_rwlock_unlock(self.0.as_ptr()) };
    }
}

/// A process-shared robust pthread_mutex, which survives its holder. It has no shared side: one
/// writer at a time.
pub struct Mutex(NonNull<libc::pthread_mutex_t>);

// SAFETY: the lock is made to be used from everywhere.
unsafe impl Send for Mutex {}
// SAFETY: as above.
unsafe impl Sync for Mutex {}

impl Mutex {
    /// Maps it; makes it if the file is new.
    pub fn new(file: &File) -> anyhow::Result<Mutex> {
        let (lock, new) = map(file)?;
        if new {
            // SAFETY: the map is larger than a lock, aligned to a page, and nobody uses it yet.
            unsafe {
                let mut attributes = std::mem::zeroed();
                libc::pthread_mutexattr_init(&mut attributes);
                libc::pthread_mutexattr_setpshared(&mut attributes, libc::PTHREAD_PROCESS_SHARED);
                libc::pthread_mutexattr_setrobust(&mut attributes, libc::PTHREAD_MUTEX_ROBUST);
                libc::pthread_mutex_init(lock.as_ptr(), &attributes);
            }
        }
        Ok(Mutex(lock))
    }
}

impl Lock for Mutex {
    fn shared(&self, mut inside: impl FnMut()) {
        // SAFETY: `new` mapped an initialised lock, which stays mapped.
        let taken = unsafe { libc::pthread_mutex_lock(self.0.as_ptr()) };
        if taken == libc::EOWNERDEAD {
            // SAFETY: as above; this thread holds it.
            unsafe { libc::pthread_mutex_consistent(self.0.as_ptr()) };
        } else {
            assert_eq!(taken, 0, "pthread_mutex_lock");
        }
        inside();
        // SAFETY: as above; this thread holds it.
        unsafe { libc::pthread_mutex_unlock(self.0.as_ptr()) };
    }

    fn alone(&self, inside: impl FnMut()) {
        self.shared(inside);
    }
}

/// Maps what lies in the file; whether that is new.
fn map<T>(file: &File) -> anyhow::Result<(NonNull<T>, bool)> {
    let new = file.metadata()?.len() == 0;
    file.set_len(PAGE.get() as u64)?;
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new map at a place of the kernel's choice, of a file that nobody truncates.
    let place = unsafe { mmap(None, PAGE, protection, MapFlags::MAP_SHARED, file, 0) }?;
    Ok((place.cast(), new))
}
