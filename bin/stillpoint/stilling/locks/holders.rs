//! Whose descriptors a lock hangs on.
//!
//! The kernel's list names who took it. That process is asked first; a lock of an open file description has no such
//! name, and the taker of one of flock(2) may have ended: then all processes are looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::RawFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use stillpoint::{HeldLock, LockedFileSystems, Status};

use crate::process::proc;
use crate::stilling::cover::process::Process;

/// A descriptor of a process.
#[derive(Clone, Debug)]
pub struct Place {
    pub pid: u32,
    /// That whose table of descriptors it is in.
    thread: u32,
    descriptor: RawFd,
}

impl Place {
    fn file(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", self.thread, self.descriptor).into()
    }

    /// Device and inode of its file, as stat(2) has them.
    pub fn identity(&self) -> Option<(u64, u64)> {
        let found = fs::metadata(self.file()).ok()?;
        Some((found.dev(), found.ino()))
    }

    /// The name of its file.
    pub fn path(&self) -> Option<String> {
        Some(fs::read_link(self.file()).ok()?.display().to_string())
    }

    /// Whether its file is a barrier, whose members keep parts of it locked.
    pub fn is_of_barrier(&self) -> bool {
        let Ok(path) = fs::read_link(self.file()) else {
            return false;
        };
        let found = fs::metadata(&path).ok().map(|found| (found.dev(), found.ino()));
        found.is_some() && found == self.identity() && Status::read(&path).is_ok()
    }
}

/// How much is to be found out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// One place of each lock.
    First,
    /// All places.
    All,
}

/// Where each of these locks hangs, as far as that can be seen.
pub fn places(
    systems: &LockedFileSystems,
    locks: &[HeldLock],
    search: Search,
) -> BTreeMap<HeldLock, Vec<Place>> {
    let mut found: BTreeMap<HeldLock, Vec<Place>> = BTreeMap::new();
    let mut look_at = |pid: u32| {
        for thread in Process(pid).tables() {
            for (descriptor, lock) in systems.held_by(thread) {
                if locks.contains(&lock) {
                    found.entry(lock).or_default().push(Place { pid, thread, descriptor });
                }
            }
        }
        found.len() == locks.len()
    };
    let takers: BTreeSet<u32> = locks.iter().filter_map(|lock| lock.pid).collect();
    // A taker that still has it has what it is on.
    let are_found = takers.iter().fold(false, |_, pid| look_at(*pid));
    if !are_found {
        let all = proc::all().unwrap_or_default().into_iter().map(|process| process.0);
        let mut others: Vec<u32> = all.filter(|pid| !takers.contains(pid)).collect();
        // Who came last is who it is about, more often than not.
        others.sort_unstable_by_key(|pid| std::cmp::Reverse(*pid));
        for pid in others {
            if look_at(pid) && search == Search::First {
                break;
            }
        }
    }
    found
}
