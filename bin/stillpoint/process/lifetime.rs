//! How long somebody lives who reads what is pinned for him: a process, and whom it leaves behind.
//!
//! A backup tool that is killed may leave the program that reads in its place. Nothing leads from the one to
//! the other any more but the process group that both were started in. A group may live on for other
//! reasons, though, as that of a script which starts one backup after another; so once the process has
//! ended, that counts for a week only.

use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::killpg;
use nix::unistd::{Pid, getpgrp};

use super::proc::Process;

const REST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A process that lived when this was made, and our own process group.
pub struct Lifetime {
    process: Pid,
    birth: u64,
    group: Pid,
    ended: Option<Instant>,
}

impl Lifetime {
    /// `None` if there is no such process.
    pub fn of(process: Pid) -> Option<Lifetime> {
        Some(Lifetime { process, birth: birth(process)?, group: getpgrp(), ended: None })
    }

    /// Whether the process has ended, and the rest of the group too.
    pub fn is_over(&mut self) -> bool {
        // The number may be somebody else's by now.
        if self.ended.is_none() && birth(self.process) == Some(self.birth) {
            return false;
        }
        let ended = *self.ended.get_or_insert_with(Instant::now);
        ended.elapsed() > REST || self.is_group_empty()
    }

    fn is_group_empty(&self) -> bool {
        // A leader outside of our pid namespace has no number here.
        self.group.as_raw() == 0 || killpg(self.group, None) == Err(Errno::ESRCH)
    }
}

/// When a process was started, as long as it lives.
fn birth(process: Pid) -> Option<u64> {
    let stat = Process(u32::try_from(process.as_raw()).ok()?).stat()?;
    (!stat.is_ended()).then_some(stat.started)
}
