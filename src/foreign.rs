//! Who holds the kernel's locks on a file: flock(2), fcntl(2) of a process, fcntl(2) of a description.
//!
//! The exclusive side takes flock(2) on the barrier file, with the gate still open, so a shell script
//! under `flock -s FILE command` counts as a share: best effort, because flock lets readers starve it,
//! and a script that dies leaves no mark. Tools that take part in another program's locking want to
//! know whom they wait for.
//!
//! The kernel's list of locks, proc_locks(5), names the holder's process, but not for locks of an open
//! file description, which may have several: those are looked for in the open files of all processes
//! that may be seen, proc_pid_fdinfo(5).
//!
//! The list names a file by the device of its file system, which for a file in a btrfs subvolume is not
//! the one that stat(2) tells; the table of mounts has it. Subvolumes number their files each for itself,
//! so there a process is only named if it has this very file open, as far as that can be seen.

use crate::file::Identity;
use crate::layout::LockByte;
use crate::report::Writer;
use crate::standard;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Who holds flock(2) on the file, as far as this process may see.
pub(crate) fn holders(file: Identity) -> Vec<Writer> {
    flocks(file).into_iter().map(|(holder, _)| holder).collect()
}

/// The same, and how.
pub(crate) fn flock_users(file: Identity) -> Vec<FlockUser> {
    let user = |(Writer { pid, comm, .. }, exclusive)| FlockUser { pid, comm, exclusive };
    flocks(file).into_iter().map(user).collect()
}

/// Who holds it, and whether exclusively. `flock -s 9` in a script locks a descriptor of the shell's and
/// ends; the list goes on naming it, and those who have that descriptor are who holds the lock.
fn flocks(file: Identity) -> Vec<(Writer, bool)> {
    let mut holders = Vec::new();
    for Lock { pid, exclusive, .. } in listed(file).filter(|lock| lock.kind == "FLOCK") {
        let Some(pid) = pid else { continue };
        let lives = Path::new(&format!("/proc/{pid}")).exists() && may_have_open(pid, file);
        let mut found = match lives {
            true => Vec::new(),
            false => with_description(file, |lock| lock.kind == "FLOCK" && lock.pid == Some(pid)),
        };
        if found.is_empty() {
            found.push(Writer::of_process(pid));
        }
        holders.extend(found.into_iter().map(|holder| (holder, exclusive)));
    }
    holders
}

/// A process that holds flock(2) on a barrier file. No tool gets in meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlockUser {
    /// Its process id.
    pub pid: u32,
    /// Its name; empty if it has ended and left the lock to others who cannot be seen.
    pub comm: String,
    /// Whether it shares the lock with nobody.
    pub exclusive: bool,
}

/// Who holds a lock of any kind on the file, as far as this process may see. For messages: a process
/// may have given its lock back, and its number to another one, before this returns.
///
/// # Examples
/// ```
/// let file = tempfile::tempfile()?;
/// assert!(stillpoint::lock_holders(&file).is_empty());
/// file.lock()?;
/// assert_eq!(stillpoint::lock_holders(&file)[0].pid, std::process::id());
/// # std::io::Result::Ok(())
/// ```
pub fn lock_holders(file: &File) -> Vec<Writer> {
    let _standard = standard::keep();
    let Ok(metadata) = file.metadata() else {
        return Vec::new();
    };
    let known = Identity { device: metadata.dev(), inode: metadata.ino() };
    let file = Identity { device: device_of_mount(file).unwrap_or(known.device), ..known };
    let mut holders = Vec::new();
    let mut of_descriptions = false;
    for lock in listed(file) {
        match lock.holder() {
            Some(holder) => holders.push(holder),
            None => of_descriptions = true,
        }
    }
    if of_descriptions {
        holders.extend(with_description(file, |lock| lock.pid.is_none()));
    }
    holders.sort_by_key(|holder| holder.pid);
    holders.dedup_by_key(|holder| holder.pid);
    if file != known {
        holders.retain(|holder| may_have_open(holder.pid, known));
    }
    holders
}

/// The processes with a description that has this byte locked.
pub(crate) fn holders_of(file: Identity, byte: LockByte) -> Vec<Writer> {
    let _standard = standard::keep();
    with_description(file, |lock| lock.pid.is_none() && lock.start == byte.offset())
}

/// The device of the file system that the file was opened on, proc_pid_mountinfo(5).
pub(crate) fn device_of_mount(file: &File) -> Option<u64> {
    let descriptor = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).ok()?;
    let mount = descriptor.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim();
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let device = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ');
        (fields.next() == Some(mount)).then(|| fields.nth(1)).flatten()
    })?;
    let (major, minor) = device.split_once(':')?;
    #[allow(clippy::useless_conversion, reason = "its width differs between platforms")]
    Some(nix::sys::stat::makedev(major.parse().ok()?, minor.parse().ok()?).into())
}

/// False if all open files of the process can be seen and this is none of them.
fn may_have_open(pid: u32, file: Identity) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return true;
    };
    let opened = descriptors.flatten().filter_map(|entry| fs::metadata(entry.path()).ok());
    let mut opened = opened.map(|found| Identity { device: found.dev(), inode: found.ino() });
    opened.any(|found| found == file)
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

/// One lock of the kernel's list.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Lock {
    kind: String,
    exclusive: bool,
    pid: Option<u32>,
    /// The first byte that is locked.
    start: i64,
}

impl Lock {
    /// `FLOCK  ADVISORY  READ 1234 08:02:5678 0 EOF`; those of waiters begin with an arrow.
    fn parse(line: &str, file: Identity) -> Option<Lock> {
        let mut fields = line.split_whitespace();
        let kind = fields.next()?;
        let exclusive = fields.nth(1)? == "WRITE";
        let pid = fields.next()?;
        let same = identity(fields.next()?)? == file;
        let start = fields.next()?.parse().ok()?;
        (kind != "->" && same).then(|| Lock {
            kind: kind.into(),
            exclusive,
            pid: pid.parse().ok(),
            start,
        })
    }

    fn holder(&self) -> Option<Writer> {
        self.pid.map(Writer::of_process)
    }
}

/// The kernel hands out its list piece by piece; a lock that is given back in between moves the others up,
/// and one of them over the edge. So it is read more than once.
pub(crate) const READINGS: usize = 3;

fn listed(file: Identity) -> impl Iterator<Item = Lock> {
    let _standard = standard::keep();
    let mut found = BTreeSet::new();
    for _ in 0..READINGS {
        let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
        found.extend(numbered(locks.lines(), file));
    }
    found.into_iter()
}

/// The locks on this file, of lines that begin with a number.
fn numbered<'a>(
    lines: impl Iterator<Item = &'a str>,
    file: Identity,
) -> impl Iterator<Item = Lock> {
    let lines = lines.filter_map(|line| line.split_once(": "));
    lines.filter_map(move |(_, line)| Lock::parse(line, file))
}

/// The processes with a description that has such a lock on the file.
fn with_description(file: Identity, is_such: impl Fn(&Lock) -> bool) -> Vec<Writer> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let holds = |pid: &u32| {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fdinfo"));
        descriptors.into_iter().flatten().flatten().any(|entry| {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            let locks = text.lines().filter(|line| line.starts_with("lock:"));
            numbered(locks, file).any(|lock| is_such(&lock))
        })
    };
    pids.filter(holds).map(Writer::of_process).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc_locks() {
        let device = nix::sys::stat::makedev(0xfe, 0x01);
        let file = Identity { device, inode: 77 };
        let parse =
            |line| Lock::parse(line, file).map(|lock| (lock.kind, lock.exclusive, lock.pid));
        let flock = |exclusive| Some(("FLOCK".to_string(), exclusive, Some(1234)));
        assert_eq!(parse("FLOCK  ADVISORY  READ 1234 fe:01:77 0 EOF"), flock(false));
        assert_eq!(parse("FLOCK  ADVISORY  WRITE 1234 fe:01:77 0 EOF"), flock(true));
        assert_eq!(parse("FLOCK  ADVISORY  READ 1234 fe:01:78 0 EOF"), None);
        let description = Some(("OFDLCK".to_string(), false, None));
        assert_eq!(parse("OFDLCK ADVISORY  READ -1 fe:01:77 0 EOF"), description);
        assert_eq!(parse("-> FLOCK  ADVISORY  WRITE 9 fe:01:77 0 EOF"), None);
        assert_eq!(parse("garbage"), None);
    }

    #[test]
    fn who_holds_the_lock_of_a_description_is_found() {
        let file = tempfile::tempfile().unwrap();
        assert!(lock_holders(&file).is_empty());
        assert!(
            crate::sys::try_lock_byte(
                &file,
                crate::layout::LockByte::Exclusive,
                crate::sys::Mode::Exclusive
            )
            .unwrap()
        );
        let pids: Vec<u32> = lock_holders(&file).iter().map(|holder| holder.pid).collect();
        assert_eq!(pids, [std::process::id()]);
    }
}
