//! The barriers of a job that are closed before another one: whether their pauses stand, and how they end.
//!
//! Each has a keeper, the one before it as its child. So the first that is asked knows of all: a keeper ends well only if
//! those before it have.

use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use stillpoint::Status;

use crate::process::signals::Signals;
use crate::words::exit::{Exit, Failure};

/// How often a keeper looks whether those before it have ended.
const TICK: Duration = Duration::from_millis(20);

/// The keepers of the barriers that were closed before this one, by the one that is our child.
pub struct Before {
    pub keeper: Option<Pid>,
    pub tokens: Vec<u8>,
}

impl Before {
    /// Refuses if one of these, which they have closed, is open by now, as its limit has come while this barrier was
    /// waited for.
    pub fn stand(paths: &[PathBuf]) -> anyhow::Result<()> {
        for path in paths {
            let status = Status::read(path)?;
            if !status.closed || status.abandoned {
                let message = format!(
                    "{}: open again, as its limit has come while another barrier was waited for",
                    path.display()
                );
                return Err(Failure::new(Exit::CONFLICT, message).into());
            }
        }
        Ok(())
    }

    /// They would end with us, and are thawed later. Whether all of them have held.
    pub fn outlive(&mut self, signals: &Signals) -> bool {
        let Some(keeper) = self.keeper else { return true };
        while signals.check().is_ok() {
            let ended = waitpid(keeper, Some(WaitPidFlag::WNOHANG));
            if ended != Ok(WaitStatus::StillAlive) {
                self.keeper = None;
                return ended == Ok(WaitStatus::Exited(keeper, 0));
            }
            std::thread::sleep(TICK);
        }
        false
    }
}

impl Drop for Before {
    /// Those before go when this one does, and all gates are open then.
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper {
            let _ = kill(keeper, Signal::SIGTERM);
            while waitpid(keeper, None) == Err(nix::Error::EINTR) {}
        }
    }
}
