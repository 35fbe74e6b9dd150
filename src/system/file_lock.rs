//! Locks on whole files by their descriptors, as programs take them.
//!
//! # Safety
//!
//! flock(2), fcntl(2) and close(2) are called with descriptors that come from outside, as plain
//! numbers: the kernel checks them. std and fs2 lock what they own, and know neither classic nor
//! open-file-description locks.

use nix::errno::Errno;
use nix::libc::{self, c_int, c_short};
use std::os::fd::RawFd;

/// Whose lock it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockKind {
    /// flock(2): the open file description's.
    Flock,
    /// fcntl(2) `F_SETLK`: the process's. Gone when it closes any descriptor of the file.
    Classic,
    /// fcntl(2) `F_OFD_SETLK`: the open file description's.
    Description,
}

impl LockKind {
    /// The system call.
    pub(crate) fn call(self) -> &'static str {
        match self {
            LockKind::Flock => "flock",
            LockKind::Classic | LockKind::Description => "fcntl",
        }
    }
}

/// The lock of one kind that a descriptor leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLock {
    /// The number of the descriptor, open or not.
    pub descriptor: RawFd,
    /// Whose lock it is.
    pub kind: LockKind,
}

impl FileLock {
    /// Locks the file to write.
    #[inline(always)]
    pub(crate) fn write(self, wait: bool) -> Result<(), Errno> {
        self.set(libc::LOCK_EX, libc::F_WRLCK, wait)
    }

    /// Locks the file to read.
    #[inline(always)]
    pub(crate) fn read(self, wait: bool) -> Result<(), Errno> {
        self.set(libc::LOCK_SH, libc::F_RDLCK, wait)
    }

    /// Unlocks it.
    #[inline(always)]
    pub(crate) fn unlock(self) -> Result<(), Errno> {
        self.set(libc::LOCK_UN, libc::F_UNLCK, true)
    }

    #[inline(always)]
    fn set(self, operation: c_int, kind: c_int, wait: bool) -> Result<(), Errno> {
        let command = match (self.kind, wait) {
            (LockKind::Flock, _) => {
                let operation = if wait { operation } else { operation | libc::LOCK_NB };
                // SAFETY: a number that the kernel checks.
                return check(unsafe { libc::flock(self.descriptor, operation) });
            }
            (LockKind::Classic, true) => libc::F_SETLKW,
            (LockKind::Classic, false) => libc::F_SETLK,
            (LockKind::Description, true) => libc::F_OFD_SETLKW,
            (LockKind::Description, false) => libc::F_OFD_SETLK,
        };
        let whole = libc::flock {
            l_type: kind as c_short,
            l_whence: libc::SEEK_SET as c_short,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        // SAFETY: a number that the kernel checks, and a live struct that it only reads.
        check(unsafe { libc::fcntl(self.descriptor, command, &raw const whole) })
    }
}

/// Zero is success. What a kernel says of a lock that somebody else has differs; here it is EAGAIN.
#[inline(always)]
fn check(result: c_int) -> Result<(), Errno> {
    if result == 0 { Ok(()) } else { Err(last_error()) }
}

#[cold]
#[inline(never)]
fn last_error() -> Errno {
    match Errno::last() {
        Errno::EACCES => Errno::EAGAIN,
        error => error,
    }
}

/// Which file a descriptor leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    device: libc::dev_t,
    inode: libc::ino_t,
}

/// The file that a descriptor leads to, if to any.
pub(crate) fn identity(descriptor: RawFd) -> Option<Identity> {
    // SAFETY: a struct of numbers; zeros are valid.
    let mut found: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: a number that the kernel checks, and a live struct that it fills.
    check(unsafe { libc::fstat(descriptor, &raw mut found) }).ok()?;
    Some(Identity { device: found.st_dev, inode: found.st_ino })
}

/// close(2).
///
/// # Safety
/// The descriptor is the caller's to close.
pub(crate) unsafe fn close(descriptor: RawFd) -> Result<(), Errno> {
    // SAFETY: the caller's promise.
    check(unsafe { libc::close(descriptor) })
}
