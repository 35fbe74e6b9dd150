//! A process that stands by to let go of what its tool holds, when the tool cannot.
//!
//! A tool that is stopped (SIGSTOP, Ctrl-Z) holds what it holds until somebody lets it go on. At our own
//! gate the writers see to that themselves; whoever waits for something of the kernel's cannot. So for as long
//! as a tool holds such a thing a process with a session and a timer of its own stands by:
//!
//! * at the limit it says so on the line between them, and then lets go. Its word comes first, so a tool
//!   that finds none at the end knows that it has let go of nothing, whether it still lives or not;
//! * at the end of the line, when the tool has died, it lets go if the kernel does not; then it ends.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::wait::waitpid;
use nix::unistd::{self, ForkResult, Pid};

use super::apart;
use crate::words::exit::Failure;

/// No limit, as a number of milliseconds.
const NONE: u64 = u64::MAX;
/// A writer at our own gate waits that much longer than the limit, too.
const TICK: Duration = Duration::from_millis(100);
/// How long it may take to start.
const START: Duration = Duration::from_secs(10);

/// What is held, and how it is let go of.
pub trait Duty {
    /// Whether it must be let go of when the tool dies. Else the process dies with the tool.
    const OUTLIVES: bool;

    /// The descriptors that it takes.
    fn descriptors(&self) -> Vec<RawFd>;

    /// Done first in the process that stands by; false if it stands less safely than it should.
    fn begin(&mut self) -> bool {
        true
    }

    /// How many bytes the tool says with each limit.
    fn word(&self) -> usize {
        0
    }

    /// What the tool has said.
    fn told(&mut self, _word: &[u8]) {}

    fn let_go(&mut self);
}

/// The tool's end of the line.
#[derive(Debug)]
pub struct StandBy {
    process: Pid,
    line: UnixStream,
    /// What [`Duty::begin`] said.
    pub is_safe: bool,
}

impl StandBy {
    /// Starts it, with a first limit. Returns when it is ready.
    pub fn start(name: &str, duty: impl Duty, limit: Option<Duration>) -> Result<StandBy, Failure> {
        let cannot =
            |error: io::Error| Failure::system(format_args!("cannot start the {name}"), error);
        let (line, other) = UnixStream::pair().map_err(cannot)?;
        let parent = unistd::getpid();
        // SAFETY: this process has one thread.
        match unsafe { unistd::fork() } {
            Err(error) => Err(cannot(error.into())),
            Ok(ForkResult::Child) => {
                drop(line);
                let _ = stand_by(parent, duty, other, limit);
                std::process::exit(0)
            }
            Ok(ForkResult::Parent { child }) => {
                drop(other);
                let mut standing = StandBy { process: child, line, is_safe: false };
                standing.is_safe = standing.wait().map_err(cannot)?;
                Ok(standing)
            }
        }
    }

    fn wait(&self) -> io::Result<bool> {
        if !is_readable(&self.line, Some(START))? {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut safe = [0];
        (&self.line).read_exact(&mut safe)?;
        self.line.set_nonblocking(true)?;
        Ok(safe != [0])
    }

    /// Gives it another limit, from now on, and says a word with it. False if it is not there to hear it.
    pub fn limit(&self, limit: Option<Duration>, word: &[u8]) -> bool {
        let message = [&milliseconds(limit).to_ne_bytes(), word].concat();
        (&self.line).write_all(&message).is_ok()
    }

    /// Whether it has let go, or is about to. Not asked again once this was true.
    pub fn has_let_go(&self) -> bool {
        matches!((&self.line).read(&mut [0]), Ok(1))
    }

    /// Whether it has ended, by whatever.
    pub fn has_ended(&self) -> bool {
        let mut line = [PollFd::new(self.line.as_fd(), PollFlags::POLLIN)];
        let asked = poll(&mut line, PollTimeout::ZERO);
        let hung_up = |found: PollFlags| found.contains(PollFlags::POLLHUP);
        asked.is_ok() && line[0].revents().is_some_and(hung_up)
    }
}

impl Drop for StandBy {
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

/// The process itself: returns when it is no longer needed.
fn stand_by<D: Duty>(
    parent: Pid,
    mut duty: D,
    mut line: UnixStream,
    limit: Option<Duration>,
) -> io::Result<()> {
    // The tool's handlers would speak to the tool.
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)?;
    if !D::OUTLIVES {
        let _ = prctl::set_pdeathsig(Signal::SIGKILL);
        if unistd::getppid() != parent {
            return Ok(());
        }
    }
    let mut deadline = deadline(Instant::now(), milliseconds(limit));
    // What cannot be left is kept; to let go matters more.
    let _ = apart::leave_session();
    let mut kept = duty.descriptors();
    kept.push(line.as_raw_fd());
    let _ = apart::close_all_but(&kept);
    line.write_all(&[duty.begin().into()])?;
    let mut message = vec![0; size_of::<u64>() + duty.word()];
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            let _ = line.write_all(&[1]);
            duty.let_go();
            return Ok(());
        }
        if is_readable(&line, left)? {
            if line.read_exact(&mut message).is_err() {
                if D::OUTLIVES {
                    duty.let_go();
                }
                return Ok(());
            }
            let (limit, word) = message.split_at(size_of::<u64>());
            let limit = limit.try_into().map_or(NONE, u64::from_ne_bytes);
            deadline = self::deadline(Instant::now(), limit);
            duty.told(word);
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
