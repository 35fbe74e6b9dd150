//! Which file system a path lies on, and what is mounted below it.
//!
//! `st_dev` does not tell: on btrfs every subvolume has its own. The device of the mount is one
//! per file system, and `findmnt` of util-linux reads the table that has it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::stat::{major, minor};
use serde::Deserialize;

use crate::exit::{Exit, Failure};
use crate::tool;

/// The mounts of this mount namespace, in the order in which they were made.
pub struct Mounts {
    all: Vec<Mount>,
}

/// One mount.
#[derive(Clone, Debug, Deserialize)]
pub struct Mount {
    pub target: PathBuf,
    /// Major and minor number: one pair for each file system.
    #[serde(rename = "maj:min")]
    pub device: String,
    /// The block device, if it is on one: btrfs has a number of its own instead of its device's. Else what
    /// it comes from.
    pub source: Option<PathBuf>,
    pub fstype: String,
    /// What of the file system is mounted there.
    pub fsroot: PathBuf,
}

impl Mount {
    fn is_on(&self, device: u64) -> bool {
        let of_source = || std::fs::metadata(self.source.as_ref()?).ok();
        self.device == format!("{}:{}", major(device), minor(device))
            || of_source().is_some_and(|source| source.rdev() == device)
    }
}

impl Mounts {
    pub fn read() -> Result<Mounts, Failure> {
        #[derive(Deserialize)]
        struct Table {
            filesystems: Vec<Mount>,
        }
        let columns = "TARGET,MAJ:MIN,SOURCE,FSTYPE,FSROOT";
        let text = tool::ask("findmnt", &["--json", "--list", "--nofsroot", "-o", columns])?;
        let table: Table = serde_json::from_str(&text).map_err(|error| {
            Failure::new(Exit::UNAVAILABLE, format!("findmnt: cannot read its answer: {error}"))
        })?;
        // An automounter's place is nothing yet; what it mounts comes later in the list.
        let all = table.filesystems.into_iter().filter(|mount| mount.fstype != "autofs");
        Ok(Mounts { all: all.collect() })
    }

    /// The mount that an absolute path without symbolic links lies on: the deepest one above it
    /// and, of those at one place, the last.
    pub fn of(&self, path: &Path) -> Option<&Mount> {
        let above = self.all.iter().filter(|mount| path.starts_with(&mount.target));
        above.max_by_key(|mount| mount.target.components().count())
    }

    /// Where the file system on this device is mounted.
    pub fn of_device(&self, device: u64) -> Vec<PathBuf> {
        let on_it = self.all.iter().filter(|mount| mount.is_on(device));
        on_it.map(|mount| mount.target.clone()).collect()
    }

    pub fn same_file_system(&self, a: &Path, b: &Path) -> bool {
        match (self.of(a), self.of(b)) {
            (Some(a), Some(b)) => a.device == b.device,
            _ => false,
        }
    }

    /// The places below a path where something else is mounted.
    pub fn below(&self, path: &Path) -> Vec<&Path> {
        let below = self.all.iter().map(|mount| mount.target.as_path());
        below.filter(|target| *target != path && target.starts_with(path)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(target: &str, device: &str) -> Mount {
        Mount {
            target: target.into(),
            device: device.into(),
            source: None,
            fstype: "ext4".into(),
            fsroot: "/".into(),
        }
    }

    #[test]
    fn the_deepest_and_latest_mount_counts() {
        let mounts = Mounts {
            all: vec![
                mount("/", "8:1"),
                mount("/srv", "8:2"),
                mount("/srv", "8:3"),
                mount("/srv/a/b", "8:4"),
            ],
        };
        assert_eq!(mounts.of(Path::new("/srv/a")).unwrap().device, "8:3");
        assert_eq!(mounts.of(Path::new("/srvx")).unwrap().device, "8:1");
        assert!(!mounts.same_file_system(Path::new("/srv/a"), Path::new("/srv/a/b/c")));
        assert_eq!(mounts.below(Path::new("/srv/a")), [Path::new("/srv/a/b")]);
    }
}
