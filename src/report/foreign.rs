//! Who holds the kernel's locks on a file: flock(2), fcntl(2) of a process, fcntl(2) of a description.
//!
//! The exclusive side takes flock(2) on the barrier file, with the gate still open, so a shell script
//! under `flock -s FILE command` counts as a share: best effort, because flock lets readers starve it,
//! and a script that dies leaves no mark. Tools that take part in another program's locking want to
//! know whom they wait for.
//!
//! The kernel's list of locks names the holder's process, but not for locks of an open file description: see
//! `lock_table`.
//!
//! The list names a file by the device of its file system, which for a file in a btrfs subvolume is not
//! the one that stat(2) tells; the table of mounts has it. Subvolumes number their files each for itself,
//! so there a process is only named if it has this very file open, as far as that can be seen.

use crate::error::who::Writer;
use crate::file::layout::LockByte;
use crate::file::open::Identity;
use crate::report::lock_table::{self, Lock};
use crate::system::standard;
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
    for Lock { pid, exclusive, .. } in listed(file).filter(Lock::is_flock) {
        let Some(pid) = pid else { continue };
        let lives = Path::new(&format!("/proc/{pid}")).exists() && may_have_open(pid, file);
        let mut found = match lives {
            true => Vec::new(),
            false => with_description(file, |lock| lock.is_flock() && lock.pid == Some(pid)),
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
        match lock.pid {
            Some(pid) => holders.push(Writer::of_process(pid)),
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
    with_description(file, |lock| lock.pid.is_none() && lock.first == byte.offset())
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

/// The locks on this file.
fn listed(file: Identity) -> impl Iterator<Item = Lock> {
    lock_table::those(|lock| lock.file == file).unwrap_or_default().into_iter()
}

/// The processes with a description that has such a lock on the file.
fn with_description(file: Identity, is_such: impl Fn(&Lock) -> bool) -> Vec<Writer> {
    let holds = |pid: &u32| {
        let mut locks = lock_table::of_descriptors(*pid).flat_map(|(_, locks)| locks);
        locks.any(|lock| lock.file == file && is_such(&lock))
    };
    lock_table::processes().filter(holds).map(Writer::of_process).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_the_lock_of_a_description_is_found() {
        let file = tempfile::tempfile().unwrap();
        assert!(lock_holders(&file).is_empty());
        assert!(
            crate::file::byte_lock::try_lock_byte(
                &file,
                crate::file::layout::LockByte::Exclusive,
                crate::file::byte_lock::Mode::Exclusive
            )
            .unwrap()
        );
        let pids: Vec<u32> = lock_holders(&file).iter().map(|holder| holder.pid).collect();
        assert_eq!(pids, [std::process::id()]);
    }
}
