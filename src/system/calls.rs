//! The system calls that have no safe wrapper, and the ones that need care.
//!
//! # Safety
//!
//! `futex(2)`, `pthread_atfork(3)`, `getrandom(2)` and `ioctl_iflags(2)` have no wrapper in nix; each is called
//! here with pointers to live memory only. Everything else goes through nix, std or fs2.

use crate::file::layout::LockByte;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// `futex(FUTEX_WAIT)`: sleeps while `word` is `expected`, at most `limit`. Wakes early on signals,
/// and for no reason: callers look again. At once if there is no word any more. See futex(2).
pub(crate) fn futex_wait(word: *const AtomicU32, expected: u32, limit: Option<Duration>) {
    let limit = limit.map(|limit| libc::timespec {
        // Its width differs between platforms; nobody waits longer than 68 years.
        tv_sec: i32::try_from(limit.as_secs()).unwrap_or(i32::MAX).into(),
        tv_nsec: limit.subsec_nanos().into(),
    });
    let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the time-out is live for the whole call; the kernel reads both, and checks the address.
    unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAIT, expected, limit) };
}

/// `futex(FUTEX_WAKE)`: wakes at most `count` waiters, the longest waiting first. See futex(2).
pub(crate) fn futex_wake(word: &AtomicU32, count: u32) {
    // SAFETY: the kernel takes the address as a key and does not write.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count) };
}

/// How a byte is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Shared,
    Exclusive,
}

fn range(kind: libc::c_int, byte: LockByte) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: byte.offset(),
        l_len: 1,
        l_pid: 0,
    }
}

/// `fcntl(F_OFD_SETLK)`: locks a byte for this open file description without waiting. False if
/// somebody else holds it. Never `F_SETLK`, whose locks fall when the process closes any descriptor
/// of the file. See fcntl_locking(2).
pub(crate) fn try_lock_byte(file: &impl AsFd, byte: LockByte, mode: Mode) -> io::Result<bool> {
    let kind = match mode {
        Mode::Shared => libc::F_RDLCK,
        Mode::Exclusive => libc::F_WRLCK,
    };
    loop {
        match fcntl(file.as_fd(), FcntlArg::F_OFD_SETLK(&range(kind, byte))) {
            Ok(_) => return Ok(true),
            Err(Errno::EAGAIN | Errno::EACCES) => return Ok(false),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// `fcntl(F_OFD_SETLK, F_UNLCK)`: gives every byte lock of this description back, for everybody
/// who shares the description.
pub(crate) fn unlock_all_bytes(file: &impl AsFd) {
    let whole = libc::flock { l_start: 0, l_len: 0, ..range(libc::F_UNLCK, LockByte::Exclusive) };
    let _ = fcntl(file.as_fd(), FcntlArg::F_OFD_SETLK(&whole));
}

/// `fcntl(F_OFD_GETLK)`: how others hold the byte, if they do, as far as the question can be asked.
pub(crate) fn lock_on(file: &impl AsFd, byte: LockByte) -> Option<Mode> {
    let mut question = range(libc::F_WRLCK, byte);
    fcntl(file.as_fd(), FcntlArg::F_OFD_GETLK(&mut question)).ok()?;
    match i32::from(question.l_type) {
        libc::F_RDLCK => Some(Mode::Shared),
        libc::F_WRLCK => Some(Mode::Exclusive),
        _ => None,
    }
}

/// `fcntl(F_OFD_GETLK)`: whether nobody but this description holds a lock on the byte. Any error
/// counts as held: nobody is taken for dead because a question could not be asked.
pub(crate) fn is_byte_free(file: &impl AsFd, byte: LockByte) -> bool {
    let mut question = range(libc::F_WRLCK, byte);
    fcntl(file.as_fd(), FcntlArg::F_OFD_GETLK(&mut question)).is_ok()
        && i32::from(question.l_type) == libc::F_UNLCK
}

/// `fcntl(F_OFD_GETLK)`: whether nobody but this description holds a lock on any byte. Any error counts
/// as held.
pub(crate) fn is_unlocked(file: &impl AsFd) -> bool {
    let mut question =
        libc::flock { l_start: 0, l_len: 0, ..range(libc::F_WRLCK, LockByte::Exclusive) };
    fcntl(file.as_fd(), FcntlArg::F_OFD_GETLK(&mut question)).is_ok()
        && i32::from(question.l_type) == libc::F_UNLCK
}

/// `getrandom(2)`: four random words.
pub(crate) fn random() -> io::Result<[u32; 4]> {
    let mut words = [0u32; 4];
    loop {
        // SAFETY: the buffer is live and as long as said; 16 bytes are always given whole.
        match unsafe { libc::getrandom(words.as_mut_ptr().cast(), size_of_val(&words), 0) } {
            16 => return Ok(words),
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    }
}

/// `FS_IOC_SETFLAGS`: lets an empty file be written where it was written before, on a file system (btrfs) that
/// takes new space each time, of which a full disk has none. As far as that can be had. See ioctl_iflags(2).
pub(crate) fn write_in_place(file: &File) {
    const NOCOW: libc::c_int = 0x0080_0000;
    let mut flags: libc::c_int = 0;
    // SAFETY: the kernel writes an int, whatever the number of the call says of its size.
    if unsafe { libc::ioctl(file.as_raw_fd(), libc::FS_IOC_GETFLAGS, &raw mut flags) } == 0 {
        flags |= NOCOW;
        // SAFETY: it reads one.
        unsafe { libc::ioctl(file.as_raw_fd(), libc::FS_IOC_SETFLAGS, &raw const flags) };
    }
}

/// Milliseconds of the monotonic clock, at least 1.
pub(crate) fn monotonic_milliseconds() -> u64 {
    use nix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(1, |now| {
        let seconds = u64::try_from(now.tv_sec()).unwrap_or(0);
        let nanoseconds = u64::try_from(now.tv_nsec()).unwrap_or(0);
        (seconds * 1000 + nanoseconds / 1_000_000).max(1)
    })
}

/// A moment of the clock that also counts while the machine is suspended.
///
/// A certificate says that a pause lasted no longer than it might. What is snapshotted may lie elsewhere
/// (a volume of another machine, a host around this one), and it was not suspended with us; so nothing
/// that the monotonic clock leaves out may hide in a pause. Waiters compare durations of their own and
/// need none of this.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment(Duration);

impl Moment {
    pub(crate) fn now() -> Moment {
        Moment(since_boot().unwrap_or_default())
    }

    /// How long ago it was; longer than any limit if that cannot be known.
    pub(crate) fn elapsed(self) -> Duration {
        since_boot().and_then(|now| now.checked_sub(self.0)).unwrap_or(Duration::MAX)
    }
}

fn since_boot() -> Option<Duration> {
    use nix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::CLOCK_BOOTTIME).ok().map(Duration::from)
}

/// `pthread_atfork(3)`.
pub(crate) fn at_fork(
    prepare: unsafe extern "C" fn(),
    parent: unsafe extern "C" fn(),
    child: unsafe extern "C" fn(),
) -> io::Result<()> {
    // SAFETY: the handlers are functions of this library, which stays resident.
    match unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::OpenOptionsExt;

    #[test]
    fn a_question_that_cannot_be_asked_is_answered_no() {
        // fcntl(2): a descriptor that only stands for a path knows no locks.
        let path = File::options().read(true).custom_flags(libc::O_PATH).open("/").unwrap();
        assert!(!is_byte_free(&path, LockByte::Exclusive));
    }
}
