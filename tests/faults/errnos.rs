//! Which system calls belong to the core, and the errors that each may give.
//!
//! The errors are those of the manual pages, for what the core asks of the call, and those of a seccomp
//! filter (EPERM, ENOSYS). Left out are errors of the caller's (EBADF, EFAULT), and calls that do
//! their work whatever they return: strace does not carry out the call that it fails, so a close(2) or
//! munmap(2) that fails and yet has closed or unmapped cannot be shown.

use crate::common::strace::{Call, Trouble};
use std::collections::HashMap;

const OPEN: &[&str] = &[
    "EACCES",
    "EDQUOT",
    "EINTR",
    "EIO",
    "ELOOP",
    "EMFILE",
    "ENFILE",
    "ENODEV",
    "ENOENT",
    "ENOMEM",
    "ENOSPC",
    "ENOSYS",
    "ENOTDIR",
    "ENXIO",
    "EOVERFLOW",
    "EPERM",
    "EROFS",
    "ETXTBSY",
];
const LOCK: &[&str] =
    &["EACCES", "EAGAIN", "EDEADLK", "EINTR", "EINVAL", "EIO", "ENOLCK", "ENOSYS", "EPERM"];
const FLOCK: &[&str] = &["EAGAIN", "EINTR", "EINVAL", "EIO", "ENOLCK", "ENOSYS", "EPERM"];
const MAP: &[&str] =
    &["EACCES", "EAGAIN", "EINVAL", "ENFILE", "ENODEV", "ENOMEM", "ENOSYS", "EOVERFLOW", "EPERM"];
const ADVISE: &[&str] = &["EAGAIN", "EINVAL", "EIO", "ENOMEM", "ENOSYS", "EPERM"];
const FUTEX: &[&str] = &["EAGAIN", "EINTR", "EINVAL", "ENOMEM", "ENOSYS", "EPERM", "ETIMEDOUT"];
const STAT: &[&str] = &["EACCES", "EINTR", "EIO", "ENOMEM", "ENOSYS", "EOVERFLOW", "EPERM"];
const READ: &[&str] = &["EAGAIN", "EINTR", "EIO", "ENOMEM", "ENOSYS", "EPERM"];
const WRITE: &[&str] = &["EDQUOT", "EFBIG", "EINTR", "EIO", "ENOMEM", "ENOSPC", "ENOSYS", "EPERM"];
const ALLOCATE: &[&str] =
    &["EDQUOT", "EFBIG", "EINTR", "EIO", "ENODEV", "ENOSPC", "ENOSYS", "EOPNOTSUPP", "EPERM"];
const NAME: &[&str] = &[
    "EACCES", "EBUSY", "EDQUOT", "EEXIST", "EINVAL", "EIO", "EMLINK", "ENOENT", "ENOMEM", "ENOSPC",
    "ENOSYS", "EPERM", "EROFS", "EXDEV",
];
const OWNER: &[&str] = &["EACCES", "EDQUOT", "EINTR", "EIO", "ENOMEM", "ENOSYS", "EPERM", "EROFS"];
const SYNC: &[&str] = &["EDQUOT", "EINTR", "EIO", "ENOSPC", "EROFS"];
const REFUSED: &[&str] = &["ENOSYS", "EPERM"];

/// How many of its errors a call is tried with, unless `STILLPOINT_FAULTS=all`.
const TRIED: usize = 2;

/// Goes through the errors of each kind of call, so that every error of every kind has its turn at some
/// place, and every place some error.
#[derive(Default)]
pub struct Turns(HashMap<*const &'static str, usize>);

impl Turns {
    /// The next errors for this call.
    pub fn of(&mut self, call: &Call) -> Vec<Trouble> {
        let errnos = of(call);
        let next = self.0.entry(errnos.as_ptr()).or_default();
        let first = *next;
        let all = std::env::var("STILLPOINT_FAULTS").is_ok_and(|much| much == "all");
        let count = if all { errnos.len() } else { errnos.len().min(TRIED) };
        *next += count;
        (first..*next).map(|index| Trouble::Fails(errnos[index % errnos.len()])).collect()
    }
}

/// The errors that this call may give, if it is one of the core's.
pub fn of(call: &Call) -> &'static [&'static str] {
    let (_, arguments) = call.text.split_once('(').unwrap_or_default();
    // The pipes to the test and between the processes.
    if ["0<", "1<", "2<"].iter().any(|start| arguments.starts_with(start))
        || arguments.contains("<pipe:")
    {
        return &[];
    }
    // The participant opens this one itself.
    if call.name == "openat" && arguments.contains(crate::stage::FILE) {
        return &[];
    }
    match call.name.as_str() {
        // Who may not, or has no /proc, leaves a barrier of another boot to others.
        "openat" if arguments.contains("/boot_id") => {
            &["EINTR", "EIO", "EMFILE", "ENFILE", "ENOMEM"]
        }
        "open" | "openat" => OPEN,
        "fcntl" if arguments.contains("F_OFD_") => LOCK,
        "fcntl" if arguments.contains("F_SETFD") => &["EPERM"],
        "flock" => FLOCK,
        // The barrier, or a page of our own; else it is the allocator's or a thread's stack.
        "mmap" if arguments.contains("MAP_SHARED") => MAP,
        "mmap" if arguments.starts_with("NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_A") => {
            MAP
        }
        // What a reader of the status copies the file to.
        "mmap" if arguments.starts_with("NULL, 540672, ") => MAP,
        "madvise" if arguments.contains("FORK") => ADVISE,
        // EFAULT is its answer.
        "madvise" if arguments.contains("POPULATE_READ") => &["EAGAIN", "EINTR", "EINVAL", "EPERM"],
        // Those of mutexes and channels are private; a barrier's are not.
        "futex" if !arguments.contains("_PRIVATE") && !arguments.contains("BITSET") => FUTEX,
        "fstat" | "newfstatat" | "statx" | "fstatfs" | "readlink" | "readlinkat" => STAT,
        "read" if arguments.contains("/boot_id") => &["EAGAIN", "EINTR", "EIO", "ENOMEM", "ENOSYS"],
        "pread64" | "read" => READ,
        "pwrite64" | "write" => WRITE,
        "fallocate" => ALLOCATE,
        "link" | "linkat" | "rename" | "renameat" | "renameat2" | "unlink" | "unlinkat" => NAME,
        "mkdir" | "mkdirat" => NAME,
        "fchown" | "fchmod" | "fchmodat" | "ftruncate" => OWNER,
        "fsync" | "fdatasync" => SYNC,
        "getrandom" => &["EAGAIN", "EINTR", "ENOSYS", "EPERM"],
        "clock_nanosleep" | "nanosleep" => &["EINTR"],
        "membarrier" => &["EINVAL", "ENOMEM", "ENOSYS", "EPERM"],
        "prctl" => REFUSED,
        _ => &[],
    }
}
