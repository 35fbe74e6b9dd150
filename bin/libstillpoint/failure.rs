//! What goes wrong, as an errno, and what each errno means here.

use crate::cancel::uncancelled;
use barrier::{Error, ErrorKind};
use nix::errno::Errno;
use std::ffi::{CStr, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A system call's errno as the library gives it. The library's EPERM says that this thread does not hold
/// what it would give back; a system call that is refused says something else.
#[inline(always)]
pub fn of_system_call(errno: Errno) -> Errno {
    if errno == Errno::EPERM { Errno::ENOSYS } else { errno }
}

/// The errno of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure(Errno);

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Failure {
        Failure(errno)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure(
            error.raw_os_error().map_or(Errno::EIO, |told| of_system_call(Errno::from_raw(told))),
        )
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        // A child that has no memory or no descriptors is not out of reach.
        if let Error::Unreachable { source, .. } = error {
            return match *source {
                Error::System { .. } => Failure::from(*source),
                _ => Failure(Errno::ENOTCONN),
            };
        }
        let told = match &error {
            Error::Create { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                Some(Errno::ENOENT as i32)
            }
            Error::System { source, .. } | Error::Create { source, .. } => source.raw_os_error(),
            _ => None,
        };
        Failure(match error.kind() {
            ErrorKind::Missing => Errno::ENOENT,
            ErrorKind::NotABarrier => Errno::EBADMSG,
            ErrorKind::Version => Errno::EPROTO,
            ErrorKind::Unsupported => Errno::ENODEV,
            ErrorKind::Unavailable => Errno::ENOSYS,
            ErrorKind::Insecure | ErrorKind::Denied => Errno::EACCES,
            ErrorKind::Exists => Errno::EEXIST,
            ErrorKind::InUse | ErrorKind::Stragglers => Errno::EBUSY,
            ErrorKind::Replaced => Errno::ESTALE,
            ErrorKind::Full => Errno::EUSERS,
            ErrorKind::BadName => Errno::EINVAL,
            ErrorKind::WouldBlock => Errno::EAGAIN,
            ErrorKind::TimedOut | ErrorKind::NotQuiet | ErrorKind::Busy => Errno::ETIMEDOUT,
            ErrorKind::Deadlock => Errno::EDEADLK,
            ErrorKind::NotHeld => Errno::EPERM,
            ErrorKind::Revoked => Errno::ECANCELED,
            ErrorKind::Cancelled => Errno::EINTR,
            ErrorKind::Unreachable => Errno::ENOTCONN,
            _ => told.map_or(Errno::EIO, |told| of_system_call(Errno::from_raw(told))),
        })
    }
}

/// What a function returns to C. A panic is an error of ours: it stops here. A cancellation waits.
#[inline(always)]
pub fn answer(function: impl FnOnce() -> Result<c_int, Failure>) -> c_int {
    uncancelled(|| match catch_unwind(AssertUnwindSafe(function)) {
        Ok(Ok(value)) => value,
        Ok(Err(Failure(errno))) => -(errno as c_int),
        Err(_) => -(Errno::ENOTRECOVERABLE as c_int),
    })
}

/// What a returned value means for a user of the library.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn stillpoint_strerror(negative_errno: c_int) -> *const c_char {
    let text: &CStr = match Errno::from_raw(negative_errno.saturating_neg()) {
        Errno::UnknownErrno if negative_errno >= 0 => c"success",
        Errno::ENOENT => c"no such barrier: make it with stillpoint create",
        Errno::EBADMSG => c"not a barrier",
        Errno::EPROTO => c"a barrier of a version that this library does not know",
        Errno::EPROTONOSUPPORT => c"the header's interface is not this library's: compile again",
        Errno::ENODEV => c"the file system cannot carry a barrier",
        Errno::EOPNOTSUPP => c"the lock is not of a whole file: take a share, then lock by fcntl(2)",
        Errno::ENOSYS => c"a system call that the library needs is refused here",
        Errno::EACCES => c"no permission: writers need to be in the barrier's group",
        Errno::EEXIST => c"the barrier exists already",
        Errno::EBUSY => c"the barrier is being made anew or retired, or the file before it is still in use",
        Errno::ESTALE => c"another file stands where the barrier was",
        Errno::EUSERS => c"all slots are owned by live processes",
        Errno::EAGAIN => c"the gate is closed, or somebody else holds the lock",
        Errno::ETIMEDOUT => c"not within the limit",
        Errno::EDEADLK => c"this thread would wait for itself",
        Errno::EPERM => c"not held: not by this thread, or not by this cookie",
        Errno::ECANCELED => c"the pause did not last: throw away what was made in it",
        Errno::ENOTCONN => c"this process has changed its root or user and cannot reach the barrier: call stillpoint_join before",
        Errno::EBADF => c"not an open handle, or not an open descriptor",
        Errno::EINVAL => c"invalid argument",
        Errno::EMFILE => c"too many open handles or descriptors",
        Errno::ENOTRECOVERABLE => c"internal error of the library",
        // SAFETY: any number is allowed; what it gives for a known one is never freed.
        _ => return unsafe { nix::libc::strerror(negative_errno.saturating_neg()) },
    };
    text.as_ptr()
}
