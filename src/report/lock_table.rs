//! The kernel's table of locks: proc_locks(5) for those of everybody, proc_pid_fdinfo(5) for those that hang on
//! a process's descriptors.
//!
//! The first names the process of a lock, but not for locks of an open file description, which may have
//! several: these are found by the second, in the processes that may be seen.

use crate::file::open::Identity;
use crate::system::standard;
use std::collections::BTreeSet;
use std::fs::{self, DirEntry, File};
use std::io::{self, Read};

/// More than a piece has, which is a page.
const PIECE: usize = 1 << 16;
/// How much of the list is asked for first, when it is read for the first time, and again.
///
/// The kernel hands it out piece by piece. Each is of one moment, and the next begins so many locks from the top: one
/// that is given back in between moves the others up, and one of them over the edge. So a list of several pieces is
/// read more than once, with its edges elsewhere: a lock that is held all the time stays unseen only if each time,
/// between two pieces, just as many locks were given back as it takes to move it over the edge, and at some edge those
/// are at least ten.
const FIRST_PIECES: [usize; 3] = [PIECE, 1365, 2730];

/// One lock.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lock {
    pub(crate) kind: String,
    pub(crate) exclusive: bool,
    /// The process; `None`: it is one of an open file description.
    pub(crate) pid: Option<u32>,
    /// The file, by the device of its file system.
    pub(crate) file: Identity,
    /// The first byte that is locked.
    pub(crate) first: i64,
    /// The last; `None`: to the end.
    pub(crate) last: Option<i64>,
}

impl Lock {
    /// `1: FLOCK  ADVISORY  READ 1234 08:02:5678 0 EOF`; those of waiters have an arrow behind the number.
    fn parse(line: &str) -> Option<Lock> {
        let (_, line) = line.split_once(": ")?;
        let mut fields = line.split_whitespace();
        let kind = fields.next().filter(|kind| *kind != "->")?;
        let exclusive = fields.nth(1)? == "WRITE";
        let pid = fields.next()?.parse().ok();
        let file = identity(fields.next()?)?;
        let first = fields.next()?.parse().ok()?;
        let last = fields.next().and_then(|last| last.parse().ok());
        Some(Lock { kind: kind.into(), exclusive, pid, file, first, last })
    }

    /// Whether it is one of flock(2).
    pub(crate) fn is_flock(&self) -> bool {
        self.kind == "FLOCK"
    }

    /// Whether it is one to write, of flock(2) or fcntl(2): no lease, which is about opening a file.
    pub(crate) fn is_to_write(&self) -> bool {
        self.exclusive && matches!(self.kind.as_str(), "POSIX" | "FLOCK" | "OFDLCK")
    }

    /// Whether it is one of fcntl(2) that belongs to an open file description.
    pub(crate) fn is_of_description(&self) -> bool {
        self.kind == "OFDLCK"
    }
}

/// A file as the kernel's lists have it: `00:1b:59448`.
pub(crate) fn identity(text: &str) -> Option<Identity> {
    let mut fields = text.split(':');
    let mut device = || u64::from_str_radix(fields.next()?, 16).ok();
    let (major, minor) = (device()?, device()?);
    let inode = fields.next()?.parse().ok()?;
    let device = nix::sys::stat::makedev(major, minor);
    #[allow(clippy::unnecessary_cast, reason = "its width differs between platforms")]
    Some(Identity { device: device as u64, inode })
}

/// Everybody's locks.
pub(crate) fn of_all() -> io::Result<BTreeSet<Lock>> {
    those(|_| true)
}

/// Those of everybody's locks that are such.
pub(crate) fn those(is_such: impl Fn(&Lock) -> bool) -> io::Result<BTreeSet<Lock>> {
    let _standard = standard::keep();
    let mut found = BTreeSet::new();
    for first in FIRST_PIECES {
        let (list, pieces) = list(first)?;
        found.extend(list.lines().filter_map(Lock::parse).filter(&is_such));
        if pieces < 2 {
            break;
        }
    }
    Ok(found)
}

/// The list, and of how many pieces it was put together.
fn list(first: usize) -> io::Result<(String, usize)> {
    let mut file = File::open("/proc/locks")?;
    let (mut list, mut end, mut pieces) = (Vec::new(), 0, 0);
    loop {
        list.resize(end + if pieces == 0 { first } else { PIECE }, 0);
        match file.read(&mut list[end..]) {
            Ok(0) => break,
            Ok(length) => (end, pieces) = (end + length, pieces + 1),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    list.truncate(end);
    Ok((String::from_utf8_lossy(&list).into_owned(), pieces))
}

/// The descriptors of a process that may be seen, each with the locks that hang on it.
pub(crate) fn of_descriptors(pid: u32) -> impl Iterator<Item = (DirEntry, Vec<Lock>)> {
    let entries = fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten();
    entries.map(|entry| {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.strip_prefix("lock:"));
        let locks = lines.filter_map(Lock::parse).collect();
        (entry, locks)
    })
}

/// Whether the list has the locks of all processes: in a pid namespace those are left out that belong to a process which
/// has no number there, or has ended.
pub(crate) fn is_of_all_processes() -> bool {
    /// That of the first namespace, `PROC_PID_INIT_INO`.
    const FIRST: &str = "pid:[4026531836]";
    let _standard = standard::keep();
    fs::read_link("/proc/self/ns/pid").is_ok_and(|name| name.as_os_str() == FIRST)
}

/// All processes that can be seen.
pub(crate) fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_table() {
        let file = |minor, inode| {
            let device = nix::sys::stat::makedev(0xfe, minor);
            #[allow(clippy::unnecessary_cast, reason = "its width differs between platforms")]
            Identity { device: device as u64, inode }
        };
        let lock = |kind: &str, exclusive, pid, inode, first, last| {
            let (kind, file) = (kind.to_string(), file(1, inode));
            Some(Lock { kind, exclusive, pid, file, first, last })
        };
        for (line, parsed) in [
            (
                "1: FLOCK  ADVISORY  READ 9 fe:01:77 0 EOF",
                lock("FLOCK", false, Some(9), 77, 0, None),
            ),
            (
                "2: FLOCK  ADVISORY  WRITE 9 fe:01:78 0 EOF",
                lock("FLOCK", true, Some(9), 78, 0, None),
            ),
            (
                "3: OFDLCK ADVISORY  READ -1 fe:01:77 5 6",
                lock("OFDLCK", false, None, 77, 5, Some(6)),
            ),
            ("4: -> FLOCK  ADVISORY  WRITE 9 fe:01:77 0 EOF", None),
            ("5: -> OFDLCK ADVISORY  READ -1 fe:01:77 1 1", None),
            ("garbage", None),
        ] {
            assert!(Lock::parse(line) == parsed, "{line}");
        }
    }
}
