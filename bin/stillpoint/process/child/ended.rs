//! How a command has ended, and whether what it has started has.

use std::path::PathBuf;

use nix::errno::Errno;
use nix::sys::signal::killpg;
use nix::unistd::{Pid, getpid};

use crate::process::proc::{self, Process};
use crate::words::exit::Exit;

/// By itself, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Exited(u8),
    Killed(i32),
    /// It was still running at the limit and has been ended.
    AtLimit,
}

impl Ended {
    /// The status to pass on.
    pub fn exit(self) -> Exit {
        match self {
            Ended::Exited(status) => Exit::new(status),
            Ended::Killed(signal) => Exit::killed_by(signal),
            Ended::AtLimit => Exit::LIMIT,
        }
    }
}

/// Whether nothing of a process group runs any more. What has ended and was not reaped yet, as it is no
/// child of ours, is in nobody's way.
pub fn is_ended(group: Pid) -> bool {
    if killpg(group, None) == Err(Errno::ESRCH) {
        return true;
    }
    // That of another pid namespace has other numbers.
    let is_ours = |link: PathBuf| *link.as_os_str() == *getpid().to_string();
    if !std::fs::read_link("/proc/self").is_ok_and(is_ours) {
        return false;
    }
    let Ok(processes) = proc::all() else {
        return false;
    };
    let mut ended = false;
    for stat in processes.into_iter().filter_map(Process::stat) {
        if stat.group == group.as_raw() {
            match stat.is_ended() {
                true => ended = true,
                false => return false,
            }
        }
    }
    ended
}
