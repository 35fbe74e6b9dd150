//! Write locks on whole file systems: what programs that take no share hold while they write.
//!
//! A file system is known by the device of its mount, as the kernel's table of locks has it. That of a btrfs is one for
//! all its subvolumes, which number their files each for itself, so a lock is told by device and inode for messages,
//! and counted whatever file it is on.

use crate::error::Error;
use crate::report::foreign::device_of_mount;
use crate::report::lock_table::{self, Lock};
use crate::system::standard;
use std::fs::File;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// A write lock that somebody holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldLock {
    /// `POSIX`, `FLOCK` or `OFDLCK`, as proc_locks(5) has it.
    pub kind: String,
    /// The process; `None`: it belongs to an open file description, which may have several.
    pub pid: Option<u32>,
    /// The file's number on its file system.
    pub inode: u64,
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
/// # Ok::<(), stillpoint::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LockedFileSystems {
    devices: Vec<u64>,
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
        Ok(LockedFileSystems { devices })
    }

    /// The write locks that are held there now, as far as this process may see.
    ///
    /// # Errors
    /// [`Error::System`] if the kernel's table cannot be read.
    pub fn held(&self) -> Result<Vec<HeldLock>, Error> {
        let table = lock_table::of_all();
        let table =
            table.map_err(|error| Error::system("read", Path::new("/proc/locks"), error))?;
        let here = |lock: &Lock| lock.exclusive && self.devices.contains(&lock.file.device);
        let described =
            |lock: Lock| HeldLock { inode: lock.file.inode, pid: lock.pid, kind: lock.kind };
        Ok(table.into_iter().filter(here).map(described).collect())
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
