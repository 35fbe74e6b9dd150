//! Being a process that orphans are given to, such as the first one of a container.
//!
//! Such a process must reap what it never started, and the first one does not die of any signal's
//! default action. Neither goes with waiting for one command in particular. So it starts itself once
//! more and does nothing but hand signals on, reap whatever ends, and pass the status on in the end.
//! The same where there are children already: of a shell that became this process by exec.

use std::io;

use nix::errno::Errno;
use nix::sys::prctl::get_child_subreaper;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getpid};

use super::signals::Signals;
use crate::words::exit::{Exit, Failure};

/// The status to end with, in a process that has reaped for another one; `None` in one that has the
/// work to do. To be called before anything is opened.
pub fn attend() -> Result<Option<Exit>, Failure> {
    if !is_reaper() {
        return Ok(None);
    }
    // What comes before the handlers are there would be lost on a first process.
    let signals = SigSet::all();
    let unblocked = signals.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK);
    let cannot = |error: Errno| Failure::system("cannot start a process", error);
    let unblocked = unblocked.map_err(cannot)?;
    // SAFETY: this process has one thread.
    let forked = unsafe { fork() };
    let handlers = match forked {
        Ok(ForkResult::Parent { child }) => Some((Signals::watch(), child)),
        _ => None,
    };
    unblocked.thread_set_mask().map_err(cannot)?;
    forked.map_err(cannot)?;
    let Some((signals, child)) = handlers else {
        return Ok(None);
    };
    reap_until_the_end_of(child, signals?)
        .map(Some)
        .map_err(|error| Failure::system(format_args!("waiting for process {child}"), error))
}

fn is_reaper() -> bool {
    let asked = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    getpid().as_raw() == 1
        || get_child_subreaper() == Ok(true)
        || waitid(Id::All, asked) != Err(Errno::ECHILD)
}

fn reap_until_the_end_of(child: Pid, mut signals: Signals) -> io::Result<Exit> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == child => {
                return Ok(Exit::new(status as u8));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                return Ok(Exit::killed_by(signal as i32));
            }
            Ok(WaitStatus::StillAlive) => {}
            Ok(_) | Err(Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
        }
        for received in signals.wait(None)? {
            let signal = Signal::try_from(received.signal)?;
            // What the keyboard sends comes to the child without us.
            if signal != Signal::SIGCHLD && !received.whole_group {
                let _ = kill(child, signal);
            }
        }
    }
}
