//! Which file system a path lies on, and what is mounted below it.
//!
//! `st_dev` does not tell: on btrfs every subvolume has its own, and what is bound to another place has
//! the same there. The device of the mount is one per file system, and `findmnt` of util-linux reads the
//! table that has it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::stat::{major, minor};
use serde::Deserialize;
use serde_json::Value;

use crate::catalogue::manifest::Manifest;
use crate::process::tool;
use crate::words::exit::{Exit, Failure};

/// The mounts of this mount namespace, in the order in which they were made.
pub struct Mounts {
    all: Vec<Mount>,
}

/// One mount.
#[derive(Clone, Debug, Deserialize)]
pub struct Mount {
    /// A number, or its text where `findmnt` is old.
    id: Value,
    /// The mount that it covers a part of.
    parent: Value,
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
    /// What a path that lies on it is called in its file system.
    pub fn name_of(&self, path: &Path) -> Option<PathBuf> {
        let below = path.strip_prefix(&self.target).ok()?;
        // Without a slash at the end for the root of the mount itself.
        Some(self.fsroot.join(below).components().collect())
    }

    /// Is it of this kind, and from this?
    pub fn is_from(&self, kind: &str, source: &str) -> bool {
        self.fstype == kind && self.source.as_deref() == Some(Path::new(source))
    }

    pub fn is_on(&self, device: u64) -> bool {
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
        let columns = "ID,PARENT,TARGET,MAJ:MIN,SOURCE,FSTYPE,FSROOT";
        let text = tool::ask("findmnt", &["--json", "--list", "--nofsroot", "-o", columns])?;
        let table: Table = serde_json::from_str(&text).map_err(|error| {
            Failure::new(Exit::UNAVAILABLE, format!("findmnt: cannot read its answer: {error}"))
        })?;
        Ok(Mounts { all: table.filesystems })
    }

    /// The mount that an absolute path without symbolic links lies on. An automounter's place is
    /// nothing yet; what it has mounted is mounted on that.
    pub fn of(&self, path: &Path) -> Option<&Mount> {
        self.way(path).into_iter().rfind(|mount| mount.fstype != "autofs")
    }

    /// The mounts that the kernel crosses from the root to a path: what was mounted later may have
    /// covered others.
    fn way(&self, path: &Path) -> Vec<&Mount> {
        let mut way = Vec::new();
        loop {
            let next = self.on(way.last().copied()).filter(|next| path.starts_with(&next.target));
            match next.min_by_key(|next| next.target.components().count()) {
                Some(next) => way.push(next),
                None => return way,
            }
        }
    }

    /// What is mounted on this mount, or on none that is in the table.
    fn on<'a>(&'a self, mount: Option<&'a Mount>) -> impl Iterator<Item = &'a Mount> {
        let is_root = |root: &Mount| {
            root.parent == root.id || !self.all.iter().any(|other| other.id == root.parent)
        };
        self.all.iter().filter(move |found| match mount {
            Some(mount) => found.parent == mount.id && found.id != mount.id,
            None => is_root(found),
        })
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

    /// All that is mounted below a path, also in one another, and can be seen there.
    pub fn inside(&self, path: &Path) -> impl Iterator<Item = &Mount> {
        let is_seen =
            |mount: &Mount| self.way(&mount.target).last().is_some_and(|last| last.id == mount.id);
        self.all.iter().filter(move |mount| {
            mount.target != path
                && mount.target.starts_with(path)
                && mount.fstype != "autofs"
                && is_seen(mount)
        })
    }

    /// Where a folder is met by whoever goes through another one and what is mounted in it: by whatever path it
    /// was named, it may be mounted there too.
    pub fn met_in(&self, outer: &Path, folder: &Path) -> Option<PathBuf> {
        let (of_folder, of_outer) = (self.of(folder)?, self.of(outer)?);
        let place = of_folder.name_of(folder)?;
        let whole = (of_outer, outer, of_outer.name_of(outer)?);
        let inside = self.inside(outer);
        let inside = inside.map(|mount| (mount, mount.target.as_path(), mount.fsroot.clone()));
        let met = |(mount, at, root): (&Mount, &Path, PathBuf)| {
            let below =
                place.strip_prefix(root).ok().filter(|_| mount.device == of_folder.device)?;
            // Without a slash at the end for the root of the mount itself.
            let found: PathBuf = at.join(below).components().collect();
            (identity(&found)? == identity(folder)?).then_some(found)
        };
        std::iter::once(whole).chain(inside).find_map(met)
    }

    /// A place below a path where something else is mounted.
    pub fn below(&self, path: &Path) -> Option<&Path> {
        self.all_below(path).map(|mount| mount.target.as_path()).next()
    }

    /// The places below a path where something is mounted that lies on a disk: what a system mounts in
    /// memory is no part of a store.
    pub fn disks_below(&self, path: &Path) -> impl Iterator<Item = &Path> {
        let is_disk =
            |mount: &&Mount| mount.source.as_ref().is_some_and(|source| source.starts_with("/dev"));
        self.all_below(path).filter(is_disk).map(|mount| mount.target.as_path())
    }

    fn all_below(&self, path: &Path) -> impl Iterator<Item = &Mount> {
        let below = self.on(self.way(path).last().copied());
        below.filter(move |mount| mount.target != path && mount.target.starts_with(path))
    }

    /// The same, or the path itself if that is such a place.
    pub fn at_or_below(&self, path: &Path) -> Option<&Path> {
        let at = self.way(path).last().map(|mount| mount.target.as_path());
        at.filter(|target| *target == path).or_else(|| self.below(path))
    }

    /// What is mounted at this very path.
    pub fn at(&self, path: &Path) -> Option<&Mount> {
        self.way(path).last().filter(|mount| mount.target == path).copied()
    }

    /// Those of whole file systems that can be seen where they are mounted.
    pub fn whole(&self) -> impl Iterator<Item = &Mount> {
        let is_seen = |mount: &Mount| self.at(&mount.target).is_some_and(|at| at.id == mount.id);
        self.all.iter().filter(move |mount| mount.fsroot == Path::new("/") && is_seen(mount))
    }

    /// All of them, also what is covered.
    pub fn all(&self) -> impl Iterator<Item = &Mount> {
        self.all.iter()
    }

    /// Whether a snapshot is mounted somewhere.
    pub fn show(&self, manifest: &Manifest) -> bool {
        let Some(path) = &manifest.path else { return false };
        // Most are not, and there may be thousands of both.
        let may_be = |mount: &Mount| mount.fsroot.iter().any(|part| Some(part) == path.file_name());
        self.all.iter().any(may_be) && self.elsewhere(path).is_some()
    }

    /// Where else what is at a path, or some of it, is mounted: it can be seen there, or what covers it goes again.
    pub fn elsewhere(&self, path: &Path) -> Option<&Path> {
        let of_path = self.of(path)?;
        let name = of_path.name_of(path)?;
        let shows = |mount: &&Mount| {
            mount.id != of_path.id
                && mount.device == of_path.device
                && mount.fsroot.starts_with(&name)
        };
        self.all.iter().find(shows).map(|mount| mount.target.as_path())
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(id: u32, parent: u32, target: &str) -> Mount {
        Mount {
            id: id.into(),
            parent: parent.into(),
            target: target.into(),
            device: format!("8:{id}"),
            source: None,
            fstype: "ext4".into(),
            fsroot: "/".into(),
        }
    }

    #[test]
    fn the_mount_that_is_seen_counts() {
        let mut mounts = Mounts {
            all: vec![
                mount(1, 0, "/"),
                mount(2, 1, "/srv"),
                mount(3, 2, "/srv/old"),
                // Over the one before, and what is mounted in it.
                mount(4, 2, "/srv"),
                mount(5, 4, "/srv/a/b"),
                mount(6, 5, "/srv/a/b/c"),
            ],
        };
        let of = |mounts: &Mounts, path: &str| mounts.of(Path::new(path)).unwrap().device.clone();
        let in_it =
            |mounts: &Mounts, path: &str| mounts.at_or_below(Path::new(path)).map(Path::to_owned);
        for parent in [0, 1] {
            // The root of a container has a parent that is not in the table, that of the first
            // namespace may be its own.
            mounts.all[0].parent = parent.into();
            assert_eq!(of(&mounts, "/srv/a"), "8:4");
            assert_eq!(of(&mounts, "/srv/old/x"), "8:4");
            assert_eq!(of(&mounts, "/srvx"), "8:1");
            assert_eq!(of(&mounts, "/srv/a/b/x"), "8:5");
            assert!(!mounts.same_file_system(Path::new("/srv/a"), Path::new("/srv/a/b/c")));
            assert_eq!(mounts.below(Path::new("/srv/a")), Some(Path::new("/srv/a/b")));
            assert_eq!(in_it(&mounts, "/srv/a"), Some("/srv/a/b".into()));
            assert_eq!(in_it(&mounts, "/srv/a/b"), Some("/srv/a/b".into()));
            assert_eq!(in_it(&mounts, "/srv/old"), None);
            let inside = mounts.inside(Path::new("/srv")).map(|mount| mount.device.as_str());
            assert_eq!(inside.collect::<Vec<_>>(), ["8:5", "8:6"]);
        }
        assert_eq!(in_it(&Mounts { all: vec![] }, "/srv"), None);

        // Some of what is on the same file system, at another place.
        let elsewhere =
            |mounts: &Mounts, path: &str| mounts.elsewhere(Path::new(path)).map(Path::to_owned);
        let shown = Mount { device: "8:4".into(), fsroot: "/x/y".into(), ..mount(10, 1, "/mnt") };
        mounts.all.push(shown);
        for (path, found) in [("/srv/x", true), ("/srv/x/y", true), ("/srv/x/y/z", false)] {
            assert_eq!(elsewhere(&mounts, path).is_some(), found, "{path}");
        }
        assert_eq!(elsewhere(&mounts, "/x/y"), None);
        assert!(mounts.at(Path::new("/mnt")).is_some() && mounts.at(Path::new("/mnt/a")).is_none());

        // One that has mounted nothing yet, and one that has.
        let automounter = |id, target| Mount { fstype: "autofs".into(), ..mount(id, 1, target) };
        mounts.all.extend([automounter(7, "/net"), automounter(8, "/auto"), mount(9, 8, "/auto")]);
        assert_eq!(of(&mounts, "/net/x"), "8:1");
        assert_eq!(of(&mounts, "/auto/x"), "8:9");
        assert_eq!(in_it(&mounts, "/net"), Some("/net".into()));
    }
}
