//! The line to whoever has started this process and tells it each step: his words come on standard input, a line each,
//! and the answers go to standard output.
//!
//! While it is *taut* its end is what TERM would be: he is gone, and nobody stands still for nothing. So is what was
//! not agreed on. Whoever waits asks for signals already, and is told of a cut as of one.
//! Once *slack*, its end says no more than that nothing more will be said.
//!
//! What is started here finds neither end of it: its standard input is empty, and what it prints are errors.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, OnceLock};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::unistd;

use super::inherited;
use crate::words::exit::{Exit, Failure};

/// A line with a member for each of many hosts; nobody sends a longer one.
const LONGEST: usize = 4 << 20;
const PIECE: usize = 64 * 1024;
/// Words that wait: more than there are to be said.
const MOST: usize = 16;

/// Both ends that are ours.
static ENDS: OnceLock<Ends> = OnceLock::new();
static LINE: Mutex<Line> = Mutex::new(Line {
    judge: None,
    pending: Vec::new(),
    lines: VecDeque::new(),
    is_over: false,
    is_taut: false,
    cut: None,
});

struct Ends {
    input: File,
    output: File,
}

/// Why a word ends everything while the line is taut, if it does.
pub type Judge = fn(&[u8]) -> Result<(), Failure>;

struct Line {
    judge: Option<Judge>,
    pending: Vec<u8>,
    lines: VecDeque<Vec<u8>>,
    /// Nothing more will come.
    is_over: bool,
    is_taut: bool,
    /// It was cut while it was taut, for this reason.
    cut: Option<(Exit, String)>,
}

/// Takes standard input and output, and pulls the line taut.
pub fn take(judge: Judge) -> Result<(), Failure> {
    if (0..=1).any(inherited::is_closed) {
        let message = "standard input or output is closed, and nobody tells when to do what";
        return Err(Failure::usage(message));
    }
    let cannot = |error: io::Error| Failure::system("standard input and output", error);
    let null = File::options().read(true).open("/dev/null").map_err(cannot)?;
    let own = |descriptor: BorrowedFd<'_>| descriptor.try_clone_to_owned().map(File::from);
    let ends = Ends {
        input: own(io::stdin().as_fd()).map_err(cannot)?,
        output: own(io::stdout().as_fd()).map_err(cannot)?,
    };
    let replaced =
        unistd::dup2_stdin(&null).and_then(|()| unistd::dup2_stdout(io::stderr().as_fd()));
    replaced.map_err(|error| cannot(error.into()))?;
    let mut line = line();
    (line.judge, line.is_taut) = (Some(judge), ENDS.set(ends).is_ok());
    Ok(())
}

/// Whether somebody tells each step.
pub fn is_there() -> bool {
    ENDS.get().is_some()
}

/// Says a word. False if nobody reads it.
pub fn say(word: &str) -> bool {
    let Some(ends) = ENDS.get() else { return false };
    // One piece, and what is agreed on fits into an empty pipe: who reads nothing is not waited for.
    let is_read = ready(&ends.output, PollFlags::POLLOUT).contains(PollFlags::POLLOUT);
    is_read && (&ends.output).write_all(format!("{word}\n").as_bytes()).is_ok()
}

/// The next of his words that has come, the oldest first.
pub fn next() -> Option<Vec<u8>> {
    let mut line = listen()?;
    line.lines.pop_front()
}

/// Whether nothing more will come.
pub fn is_over() -> bool {
    listen().is_none_or(|line| line.is_over && line.lines.is_empty())
}

/// From now on its end is no reason to end.
pub fn slacken() {
    line().is_taut = false;
}

/// Why it was cut while it was taut.
pub fn cut() -> Option<Failure> {
    let line = listen()?;
    line.cut.as_ref().map(|(exit, why)| Failure::new(*exit, why.clone()))
}

/// The same, as a signal.
pub(super) fn signal() -> Option<i32> {
    // Who has none pays nothing for that.
    ENDS.get()?;
    cut().map(|_| Signal::SIGTERM as i32)
}

/// Where more may come, for who waits for several things.
pub(super) fn descriptor() -> Option<BorrowedFd<'static>> {
    let ends = ENDS.get()?;
    (!line().is_over).then(|| ends.input.as_fd())
}

fn line() -> MutexGuard<'static, Line> {
    LINE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Takes in what has come. Does not wait.
fn listen() -> Option<MutexGuard<'static, Line>> {
    let ends = ENDS.get()?;
    let mut line = line();
    while !line.is_over {
        let found = ready(&ends.input, PollFlags::POLLIN);
        if found.is_empty() {
            break;
        }
        line.hear(&ends.input);
    }
    line.judge_end();
    Some(line)
}

fn ready(file: &File, events: PollFlags) -> PollFlags {
    let mut asked = [PollFd::new(file.as_fd(), events)];
    match poll(&mut asked, PollTimeout::ZERO) {
        Ok(1..) => asked[0].revents().unwrap_or(PollFlags::empty()),
        _ => PollFlags::empty(),
    }
}

impl Line {
    /// Reads once, what there is.
    fn hear(&mut self, mut input: impl Read) {
        let mut piece = vec![0; PIECE];
        match input.read(&mut piece) {
            Ok(count @ 1..) => self.pending.extend(&piece[..count]),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            Ok(_) | Err(_) => self.is_over = true,
        }
        while let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
            let mut word: Vec<u8> = self.pending.drain(..=end).collect();
            word.pop();
            self.judge_word(&word);
            self.lines.push_back(word);
        }
        if self.pending.len() > LONGEST || self.lines.len() > MOST {
            self.judge_word(&[]);
            self.is_over = true;
        }
    }

    fn judge_word(&mut self, word: &[u8]) {
        let Some(judge) = self.judge.filter(|_| self.is_taut && self.cut.is_none()) else {
            return;
        };
        if let Err(failure) = judge(word) {
            self.cut = Some((failure.exit, failure.to_string()));
        }
    }

    fn judge_end(&mut self) {
        if self.is_over && self.is_taut && self.cut.is_none() {
            let why = "whoever told each step is gone".to_owned();
            self.cut = Some((Exit::killed_by(Signal::SIGTERM as i32), why));
        }
    }
}
