//! Write locks on whole file systems: what programs that take no share hold while they write.
//!
//! A file system is known by the device of its mount, as the kernel's table of locks has it. That of a btrfs is one for
//! all its subvolumes, which number their files each for itself: device and inode of a lock there tell no file for sure,
//! and its holder's descriptors do.
//!
//! In a pid namespace the table leaves out what the descriptors of the processes there show: a lock of flock(2) whose
//! taker has ended, as in `flock 9`.

use crate::error::Error;
use crate::report::foreign::device_of_mount;
use crate::report::lock_table::{self, Lock};
use crate::system::standard;
use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::RawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// A write lock that somebody holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct HeldLock {
    /// `POSIX`, `FLOCK` or `OFDLCK`, as proc_locks(5) has it.
    pub kind: String,
    /// The process that took it; `None`: it belongs to an open file description, which several may have. Whoever took
    /// one of flock(2) may have ended, and others have it.
    pub pid: Option<u32>,
    /// The device of the file system.
    pub device: u64,
    /// The file's number on its file system, or in its subvolume.
    pub inode: u64,
    /// The first byte that is locked.
    pub first: i64,
    /// The last; `None`: to the end.
    pub last: Option<i64>,
}

impl From<Lock> for HeldLock {
    fn from(lock: Lock) -> HeldLock {
        let Lock { kind, pid, file, first, last, .. } = lock;
        HeldLock { kind, pid, device: file.device, inode: file.inode, first, last }
    }
}

/// File systems whose write locks are asked for.
///
/// # Examples
/// ```
/// let folder = tempfile::tempdir()?;
/// let systems = stillpoint::LockedFileSystems::of([folder.path()])?;
/// let file = std::fs::File::create(folder.path().join("mbox"))?;
/// file.lock()?;
/// let own = std::process::id();
/// assert!(systems.held()?.iter().any(|lock| lock.kind == "FLOCK" && lock.pid == Some(own)));
/// assert!(systems.held_by(own).iter().any(|(_, lock)| lock.kind == "FLOCK"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct LockedFileSystems {
    devices: Vec<u64>,
    all: bool,
}

impl LockedFileSystems {
    /// Those that these paths lie on.
    ///
    /// # Errors
    /// [`Error::System`] if one cannot be looked at.
    pub fn of<P: AsRef<Path>>(
        paths: impl IntoIterator<Item = P>,
    ) -> Result<LockedFileSystems, Error> {
        let mut devices = Vec::new();
        for path in paths {
            let path = path.as_ref();
            let device = device_of(path).map_err(|error| Error::system("open", path, error))?;
            devices.push(device);
        }
        Ok(LockedFileSystems { devices, all: false })
    }

    /// All that there are.
    pub fn all() -> LockedFileSystems {
        LockedFileSystems { devices: Vec::new(), all: true }
    }

    /// Their devices, one for each path.
    pub fn devices(&self) -> &[u64] {
        &self.devices
    }

    /// The write locks that are held there now, as far as this process may see. One that was held all the time
    /// meanwhile is among them.
    ///
    /// # Errors
    /// [`Error::System`] if the kernel's table cannot be read.
    pub fn held(&self) -> Result<Vec<HeldLock>, Error> {
        let table = lock_table::those(|lock| self.have(lock));
        let table =
            table.map_err(|error| Error::system("read", Path::new("/proc/locks"), error))?;
        let mut held: BTreeSet<HeldLock> = table.into_iter().map(HeldLock::from).collect();
        if !lock_table::is_of_all_processes() {
            let _standard = standard::keep();
            let left_out = lock_table::processes().flat_map(|pid| self.held_by(pid));
            held.extend(left_out.map(|(_, lock)| lock));
        }
        Ok(held.into_iter().collect())
    }

    /// Those of them that hang on descriptors of a process, with these.
    pub fn held_by(&self, pid: u32) -> Vec<(RawFd, HeldLock)> {
        let _standard = standard::keep();
        let mut found = Vec::new();
        for (entry, locks) in lock_table::of_descriptors(pid) {
            let name = entry.file_name();
            let Some(number) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            let locks = locks.into_iter().filter(|lock| self.have(lock));
            found.extend(locks.map(|lock| (number, HeldLock::from(lock))));
        }
        found
    }

    fn have(&self, lock: &Lock) -> bool {
        lock.is_to_write() && (self.all || self.devices.contains(&lock.file.device))
    }
}

fn device_of(path: &Path) -> std::io::Result<u64> {
    let _standard = standard::keep();
    let file = File::options().read(true).custom_flags(nix::libc::O_PATH).open(path)?;
    Ok(match device_of_mount(&file) {
        Some(device) => device,
        None => file.metadata()?.dev(),
    })
}
