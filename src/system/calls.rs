//! The system calls that have no safe wrapper, and the ones that need care.
//!
//! # Safety
//!
//! `futex(2)`, `membarrier(2)`, `pthread_atfork(3)`, `statx(2)`, `sigpending(2)`, `getrandom(2)` and `ioctl_iflags(2)` have no wrapper in
//! nix; each is called here with pointers to live memory only. Everything else goes through nix, std or fs2.

use nix::libc;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
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

/// `membarrier(2)`: what the kernel answers to a command. See `membarrier`.
pub(crate) fn membarrier(command: i32) -> io::Result<i32> {
    // SAFETY: it takes numbers, and touches no memory of this process.
    match unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) } {
        -1 => Err(io::Error::last_os_error()),
        answer => Ok(i32::try_from(answer).unwrap_or(0)),
    }
}

/// The root folder of this process.
pub(crate) struct Root {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    /// What it stands on, by a number that no other mount has, in whatever namespace; `None` before Linux 5.8.
    pub(crate) mount: Option<u64>,
}

/// `statx(2)`, of which std does not give the mount away.
pub(crate) fn root() -> io::Result<Root> {
    const MOUNT: u32 = 0x1000;
    /// The same, and not to be given again; from Linux 6.8.
    const MOUNT_FOR_EVER: u32 = 0x4000;
    let mut about = MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: a valid string, and a place for the answer, of which zeros are one.
    let about = unsafe {
        let (asked, root) = (libc::STATX_INO | MOUNT | MOUNT_FOR_EVER, c"/".as_ptr());
        if libc::syscall(libc::SYS_statx, libc::AT_FDCWD, root, 0, asked, about.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        about.assume_init()
    };
    let knows_mount = about.stx_mask & (MOUNT | MOUNT_FOR_EVER) != 0;
    Ok(Root {
        device: libc::makedev(about.stx_dev_major, about.stx_dev_minor),
        inode: about.stx_ino,
        mount: knows_mount.then_some(about.stx_mnt_id),
    })
}

/// Signals that are pending, and would not be but for not being in this set: whether there are any, and whether the
/// handler of one ends system calls. `sigpending(2)`, and `sigaction(2)` without `SA_RESTART`; nix knows neither
/// real-time signals nor how to ask.
pub(crate) fn signals_due(before: &libc::sigset_t) -> (bool, bool) {
    let mut pending = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: a place for the answer, which is whole if the call succeeds.
    let pending = unsafe {
        if libc::sigpending(pending.as_mut_ptr()) != 0 {
            return (false, false);
        }
        pending.assume_init()
    };
    // SAFETY: sets that are whole.
    let is_in = |set, signal| unsafe { libc::sigismember(set, signal) == 1 };
    let due = |signal: &i32| is_in(&raw const pending, *signal) && !is_in(before, *signal);
    let mut due = (1..=libc::SIGRTMAX()).filter(due).peekable();
    (due.peek().is_some(), due.any(ends_calls))
}

/// Whether its handler does.
fn ends_calls(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: nothing is set, and there is a place for the answer, which is whole if the call succeeds.
    let action = unsafe {
        if libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) != 0 {
            return false;
        }
        action.assume_init()
    };
    let is_handled = ![libc::SIG_DFL, libc::SIG_IGN].contains(&action.sa_sigaction);
    is_handled && action.sa_flags & libc::SA_RESTART == 0
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
    u64::try_from(monotonic().as_millis()).unwrap_or(u64::MAX).max(1)
}

fn monotonic() -> Duration {
    use nix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
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

/// The kernel's number of this thread.
pub(crate) fn thread_id() -> u32 {
    u32::try_from(nix::unistd::gettid().as_raw()).unwrap_or(0)
}

/// The name of this thread, as the kernel has it.
pub(crate) fn comm() -> String {
    nix::sys::prctl::get_name()
        .map_or_else(|_| String::new(), |name| name.to_string_lossy().into_owned())
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
