//! The folders that data is taken from, known by what they are called in their file systems: a process may see them
//! elsewhere, in another namespace or through another mount.
//!
//! A nested subvolume of a btrfs has files below such a folder that are no part of what is taken from there.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc;

use super::mounts::Mounts;
use crate::process::proc::mount_of;
use crate::process::proc::text::Device;

/// How much of what is below a folder is taken with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What is on its file system, and of a btrfs in its subvolume.
    Folder,
    /// That, and what is mounted inside, and nested subvolumes.
    Mounts,
    /// All of its file system, also what is not below it.
    FileSystem,
}

/// One folder.
#[derive(Debug)]
pub struct Place {
    pub path: PathBuf,
    pub device: Device,
    name: PathBuf,
    /// The device that its files have, where their file system has several.
    subvolume: Option<u64>,
    is_one_of_many: bool,
}

/// File systems whose files have other devices than their mount.
const OF_MANY: [&str; 1] = ["btrfs"];

impl Place {
    /// `None`: it cannot be told where that is.
    pub fn of(path: &Path, mounts: &mut Mounts) -> Option<Place> {
        let path = path.canonicalize().ok()?;
        let file = File::options().read(true).custom_flags(libc::O_PATH).open(&path).ok()?;
        let mount = mounts.of(mount_of(&file)?, std::process::id())?;
        let is_one_of_many = OF_MANY.contains(&mount.kind.as_str());
        Some(Place {
            device: mount.device,
            name: mount.name_of(&path)?,
            subvolume: is_one_of_many
                .then(|| file.metadata().map(|found| found.dev()).ok())
                .flatten(),
            is_one_of_many,
            path,
        })
    }

    /// With no more and no less than that.
    pub fn with(mut self, extent: Extent) -> Place {
        if extent != Extent::Folder {
            self.subvolume = None;
        }
        if extent == Extent::FileSystem {
            self.name = "/".into();
        }
        self
    }

    /// Whether a file of this file system lies in it. One that has no name may.
    pub fn may_have(&self, name: Option<&Path>) -> bool {
        name.is_none_or(|name| name.starts_with(&self.name))
    }

    /// Can no file of this device lie on its file system? One that has several shows them as what has no disk.
    pub fn is_elsewhere(&self, device: Device) -> bool {
        device != self.device && !(self.is_one_of_many && device.0 == 0)
    }

    /// Whether a file below it is part of it.
    pub fn is_on(&self, device: u64) -> bool {
        self.subvolume.is_none_or(|subvolume| subvolume == device)
    }
}

/// The file system that an open file lies on, and what it is called there. It was opened where this process or the other
/// one sees it.
pub fn where_is(file: &File, pid: u32, mounts: &mut Mounts) -> Option<(Device, PathBuf)> {
    let name = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    let mount = mounts.of(mount_of(file)?, pid)?;
    Some((mount.device, mount.name_of(&name)?))
}
