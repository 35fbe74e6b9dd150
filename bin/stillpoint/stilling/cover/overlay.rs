//! Files that lie on an overlay: what is written to them is written below its upper folder, on another file system.
//!
//! Every container has one for its root. The kernel says where the upper folder is as whoever mounted it named it: in our
//! namespace, as a rule, or in that of the process.

use std::fs::File;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc;

use super::mounts::Mounts;
use super::place::where_is;
use crate::process::proc::text::Device;

/// Where something of an overlay lies, as one of those who may have named it sees it.
pub struct Upper {
    pub device: Device,
    pub name: PathBuf,
    /// The device of its files.
    pub part: u64,
}

/// Where a file of an overlay lies that is called so there. None: nobody knows.
pub fn uppers(folder: &Path, name: &Path, pid: u32, mounts: &mut Mounts) -> Vec<Upper> {
    let below = folder.strip_prefix("/").unwrap_or(folder);
    let inside = name.strip_prefix("/").unwrap_or(name);
    let seen = [folder.to_owned(), PathBuf::from(format!("/proc/{pid}/root")).join(below)];
    let upper = |folder: &PathBuf| {
        let options = libc::O_PATH | libc::O_DIRECTORY;
        let opened = File::options().read(true).custom_flags(options).open(folder).ok()?;
        let (device, at) = where_is(&opened, pid, mounts)?;
        Some(Upper { device, name: at.join(inside), part: opened.metadata().ok()?.dev() })
    };
    let found = seen.iter().filter(|folder| folder.is_absolute()).filter_map(upper);
    found.collect()
}

/// Whether a writer through one is stilled by its locks: they are the overlay's, and nobody asks for those.
pub const WHY_NOT_ADOPTED: &str = "it writes by way of an overlay, whose locks are not asked for";
