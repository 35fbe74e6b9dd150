//! A process that gives the locks of others back when their tool cannot.
//!
//! A tool that is stopped (SIGSTOP, Ctrl-Z) holds what it holds until somebody lets it go on. At our own
//! gate the writers see to that themselves; whoever waits for a lock of the kernel's cannot. So for as long
//! as a snapshot takes and holds such locks a process with a session and a timer of its own stands by.
//! It has the very open file descriptions that the tool locks, and to unlock one of those unlocks it for both:
//!
//! * at the limit it says so on the line between them, and then unlocks. Its word comes first, so a tool
//!   that finds none at the end knows that everybody was kept out until then, whether the watchdog still lives
//!   or not: descriptors that it loses unlock nothing, for the tool has them too;
//! * when the tool dies, it dies: the kernel kills it, and if the kernel was not to be asked, the end of the
//!   line tells it. With the last of the two the locks fall.
//!
//! The tool keeps the locks when the watchdog is killed, and has them taken away by nobody when both are
//! stopped, as by a frozen control group. Then they last until one of the two goes on.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::wait::waitpid;
use nix::unistd::{self, ForkResult, Pid};

use super::locking::unlock;
use crate::process::apart;
use crate::words::exit::Failure;

/// No limit, as a number of milliseconds.
const NONE: u64 = u64::MAX;
/// A writer at our own gate waits that much longer than the limit, too.
const TICK: Duration = Duration::from_millis(100);

/// The tool's end of the line.
#[derive(Debug)]
pub struct Watchdog {
    process: Pid,
    line: UnixStream,
}

impl Watchdog {
    /// Starts it for these files, which are open and not locked yet, with a first limit.
    pub fn start(files: &[File], limit: Option<Duration>) -> Result<Watchdog, Failure> {
        let cannot = |what: &'static str| move |error| Failure::system(what, error);
        let (line, other) = UnixStream::pair().map_err(cannot("socketpair"))?;
        line.set_nonblocking(true).map_err(cannot("socketpair"))?;
        let parent = unistd::getpid();
        // SAFETY: this process has one thread.
        match unsafe { unistd::fork() } {
            Err(error) => Err(Failure::system("cannot start the watchdog of the locks", error)),
            Ok(ForkResult::Child) => {
                drop(line);
                let _ = stand_by(parent, files, other, limit);
                std::process::exit(0)
            }
            Ok(ForkResult::Parent { child }) => Ok(Watchdog { process: child, line }),
        }
    }

    /// Gives the locks another limit, from now on.
    pub fn limit(&self, limit: Option<Duration>) {
        // One that is dead has no use for it.
        let _ = (&self.line).write_all(&milliseconds(limit).to_ne_bytes());
    }

    /// Whether it has given the locks back, or is about to.
    pub fn has_let_go(&self) -> bool {
        matches!((&self.line).read(&mut [0]), Ok(1))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // It may be stopped, and leaves nothing behind. Without a line it ends by itself.
        let _ = self.line.shutdown(Shutdown::Both);
        if kill(self.process, Signal::SIGKILL).is_err() {
            return;
        }
        while waitpid(self.process, None) == Err(nix::Error::EINTR) {}
    }
}

fn milliseconds(limit: Option<Duration>) -> u64 {
    let limit = limit.and_then(|limit| u64::try_from(limit.saturating_add(TICK).as_millis()).ok());
    limit.unwrap_or(NONE)
}

/// The watchdog itself: returns when it is no longer needed.
fn stand_by(
    parent: Pid,
    files: &[File],
    mut line: UnixStream,
    limit: Option<Duration>,
) -> io::Result<()> {
    // The tool's handlers would speak to the tool.
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)?;
    let _ = prctl::set_pdeathsig(Signal::SIGKILL);
    if unistd::getppid() != parent {
        return Ok(());
    }
    let since = Instant::now();
    let mut deadline = deadline(since, milliseconds(limit));
    // What cannot be left is kept; the locks matter more.
    let _ = apart::leave_session();
    let mut kept: Vec<_> = files.iter().map(AsRawFd::as_raw_fd).collect();
    kept.push(line.as_raw_fd());
    let _ = apart::close_all_but(&kept);
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            line.write_all(&[1])?;
            files.iter().for_each(unlock);
            return Ok(());
        }
        if is_readable(&line, left)? {
            let mut limit = [0; 8];
            line.read_exact(&mut limit)?;
            deadline = self::deadline(Instant::now(), u64::from_ne_bytes(limit));
        }
    }
}

fn deadline(from: Instant, milliseconds: u64) -> Option<Instant> {
    match milliseconds {
        NONE => None,
        limit => from.checked_add(Duration::from_millis(limit)),
    }
}

fn is_readable(line: &UnixStream, limit: Option<Duration>) -> io::Result<bool> {
    let timeout = match limit {
        None => PollTimeout::NONE,
        // Rounded up, lest the last millisecond be a busy loop.
        Some(limit) => {
            PollTimeout::try_from(limit.as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX)
        }
    };
    match poll(&mut [PollFd::new(line.as_fd(), PollFlags::POLLIN)], timeout) {
        Err(nix::Error::EINTR) => Ok(false),
        ready => Ok(ready? > 0),
    }
}
