//! Files whose locks say nothing: programs keep them locked for as long as they live.
//!
//! A lock names its file by the device of the mount and the inode. Where stat(2) tells another device, as in a subvolume
//! of a btrfs, two files may have that name; there the lock is only left out if each descriptor that it hangs on leads
//! to a file that is to be ignored.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use stillpoint::{HeldLock, LockedFileSystems};

use super::holders::{Place, Search, places};

/// A file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Known {
    /// Of the mount.
    device: u64,
    inode: u64,
    /// As stat(2) tells it.
    part: u64,
}

/// What was said to be ignored, and what was found to be.
#[derive(Debug, Default)]
pub struct Ignored {
    /// Files, and folders of files.
    paths: Vec<PathBuf>,
    said: BTreeSet<Known>,
    found: BTreeSet<Known>,
}

impl Ignored {
    pub fn new(paths: &[PathBuf]) -> Ignored {
        Ignored { paths: paths.to_owned(), ..Ignored::default() }
    }

    /// Looks which files that are: programs make new ones.
    pub fn look(&mut self) {
        self.said.clear();
        for path in &self.paths {
            for known in files(path) {
                self.said.insert(known);
            }
        }
    }

    /// One more: `device` of the mount, `part` of stat(2).
    pub fn add(&mut self, device: u64, inode: u64, part: u64) {
        self.found.insert(Known { device, inode, part });
    }

    /// Whether the lock is on such a file.
    pub fn leave_out(&self, lock: &HeldLock, systems: &LockedFileSystems) -> bool {
        if !self.name(lock) {
            return false;
        }
        self.such(lock).any(|known| known.part == known.device) || {
            let places = places(systems, std::slice::from_ref(lock), Search::All);
            let places: Vec<Place> = places.into_values().flatten().collect();
            !places.is_empty() && places.iter().all(|place| self.have(lock, place))
        }
    }

    /// Whether the lock has the name of such a file.
    pub fn name(&self, lock: &HeldLock) -> bool {
        self.such(lock).next().is_some()
    }

    /// Whether the file that the lock hangs on there is one.
    pub fn have(&self, lock: &HeldLock, place: &Place) -> bool {
        let part = place.identity().map(|(part, _)| part);
        self.such(lock).any(|known| Some(known.part) == part)
    }

    /// Those that have the name which the lock has.
    fn such(&self, lock: &HeldLock) -> impl Iterator<Item = &Known> {
        let name = (lock.device, lock.inode);
        self.said.iter().chain(&self.found).filter(move |known| (known.device, known.inode) == name)
    }
}

/// The file, or those in the folder with it. What is not there is not locked.
fn files(path: &Path) -> Vec<Known> {
    let Ok(systems) = LockedFileSystems::of([path]) else {
        return Vec::new();
    };
    let device = systems.devices()[0];
    let known = |found: fs::Metadata| Known { device, inode: found.ino(), part: found.dev() };
    let inside = fs::read_dir(path).into_iter().flatten().flatten();
    let inside = inside.filter_map(|entry| entry.metadata().ok());
    fs::metadata(path).into_iter().chain(inside).map(known).collect()
}
