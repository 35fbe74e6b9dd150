//! Write locks that adopted programs hold: the predicate of the exclusive side.
//!
//! An adopted program is inside a share only while it asks for a lock; that it holds one the kernel says. With nobody
//! inside, nobody let in meanwhile, and no write lock in the kernel's table, no section between locks is under way, and
//! none begins before the gate opens.

use std::path::PathBuf;

use stillpoint::{HeldLock, LockedFileSystems};

use crate::words::exit::{Exit, Failure};
use crate::words::waiting::who;

/// The file systems that are asked about.
#[derive(Debug)]
pub struct Locks {
    systems: LockedFileSystems,
    /// Those that were held when they were last asked about.
    last: Vec<HeldLock>,
}

impl Locks {
    pub fn on(paths: &[PathBuf]) -> Result<Locks, Failure> {
        let systems = LockedFileSystems::of(paths);
        let systems = systems.map_err(|error| Failure::new(Exit::MISSING, error.to_string()))?;
        let locks = Locks { systems, last: Vec::new() };
        // A table that cannot be read is said now, and not when writers wait.
        match locks.systems.held() {
            Ok(_) => Ok(locks),
            Err(error) => Err(Failure::new(Exit::UNAVAILABLE, error.to_string())),
        }
    }

    /// Whether no write lock is held but our own.
    pub fn are_free(&mut self) -> bool {
        let own = Some(std::process::id());
        match self.systems.held() {
            Ok(held) => self.last = held.into_iter().filter(|lock| lock.pid != own).collect(),
            Err(_) => return false,
        }
        self.last.is_empty()
    }

    /// Who held one when it was last asked.
    pub fn in_the_way(&self) -> Vec<String> {
        let named = |lock: &HeldLock| {
            let holder = lock.pid.map_or_else(|| "somebody".to_owned(), |pid| who(pid, "", ""));
            format!("{} WRITE lock of {holder} on inode {}", lock.kind, lock.inode)
        };
        self.last.iter().map(named).collect()
    }
}
