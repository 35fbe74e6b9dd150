//! Whose locks count.
//!
//! The kernel's list names the process that took a lock. That is who holds one of fcntl(2); one of flock(2), or of an open
//! file description, is held by whoever has that open. Where there are such, the processes that matter are asked for
//! those that hang on their descriptors.

use std::collections::BTreeSet;

use stillpoint::{HeldLock, LockedFileSystems};

use crate::stilling::cover::process::Process;

/// Processes whose locks count, or do not.
#[derive(Clone, Copy, Debug)]
pub enum Whose<'a> {
    /// Those of everybody but these.
    AllBut(&'a BTreeSet<u32>),
    /// Those of these.
    Only(&'a BTreeSet<u32>),
}

impl Whose<'_> {
    /// Those of the locks that count.
    pub fn of(self, held: Vec<HeldLock>, systems: &LockedFileSystems) -> Vec<HeldLock> {
        let (processes, wanted) = match self {
            Whose::AllBut(processes) => (processes, false),
            Whose::Only(processes) => (processes, true),
        };
        let took = |lock: &HeldLock| lock.pid.is_some_and(|pid| processes.contains(&pid));
        let is_unclear = |lock: &HeldLock| lock.kind != "POSIX" && !took(lock);
        let mut hang = BTreeSet::new();
        if held.iter().any(is_unclear) {
            let tables = processes.iter().flat_map(|pid| Process(*pid).tables());
            let theirs = tables.flat_map(|thread| systems.held_by(thread));
            hang.extend(theirs.map(|(_, lock)| lock));
        }
        let are_theirs = |lock: &HeldLock| took(lock) || is_unclear(lock) && hang.contains(lock);
        held.into_iter().filter(|lock| are_theirs(lock) == wanted).collect()
    }
}
