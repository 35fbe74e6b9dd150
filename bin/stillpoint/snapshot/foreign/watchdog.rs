//! A process that gives the locks of others back when their tool cannot.
//!
//! It has the very open file descriptions that the tool locks, and to unlock one of those unlocks it for both.
//! Descriptors that it loses unlock nothing, for the tool has them too. When the tool dies, it dies: the kernel
//! kills it, and if the kernel was not to be asked, the end of the line tells it. With the last of the two the
//! locks fall.
//!
//! The tool keeps the locks when the watchdog is killed, and has them taken away by nobody when both are
//! stopped, as by a frozen control group. Then they last until one of the two goes on.

use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use super::locking::unlock;
use crate::process::standby::{Duty, StandBy};
use crate::words::exit::Failure;

/// The tool's end of the line.
#[derive(Debug)]
pub struct Watchdog(StandBy);

impl Watchdog {
    /// Starts it for these files, which are open and not locked yet, with a first limit.
    pub fn start(files: &[File], limit: Option<Duration>) -> Result<Watchdog, Failure> {
        StandBy::start("watchdog of the locks", Locks(files), limit).map(Watchdog)
    }

    /// Gives the locks another limit, from now on.
    pub fn limit(&self, limit: Option<Duration>) {
        // One that is dead has no use for it.
        self.0.limit(limit, &[]);
    }

    /// Whether it has given the locks back, or is about to.
    pub fn has_let_go(&self) -> bool {
        self.0.has_let_go()
    }
}

struct Locks<'a>(&'a [File]);

impl Duty for Locks<'_> {
    const OUTLIVES: bool = false;

    fn descriptors(&self) -> Vec<RawFd> {
        self.0.iter().map(AsRawFd::as_raw_fd).collect()
    }

    fn let_go(&mut self) {
        self.0.iter().for_each(unlock);
    }
}
