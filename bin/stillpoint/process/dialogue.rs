//! Children that are talked to: lines to their standard input, lines from their standard output and error.
//!
//! Nobody is waited for longer than was said: what is written fits into the pipe or fails, and what is read is what
//! has come, a bounded piece at a time. A child is in a session of its own, has the standard descriptors only and its
//! signals at their defaults: it holds nothing of ours, and when we are gone its input ends. It is
//! reaped last. Until then its number is its own, and that of its group too, so what is ended is what was
//! started.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::child::ended::{Ended, is_ended};
use super::{child, inherited};
use crate::words::exit::Failure;

/// A longer line is cut into several.
const LINE: usize = 4096;
/// At one reading.
const PIECE: usize = 16 * 1024;
/// Lines of standard error that are kept.
const KEPT: usize = 20;
/// How much of a line is shown.
const SHOWN: usize = 200;
/// From the end of the input to TERM, and from TERM to KILL.
const GRACE: Duration = Duration::from_secs(2);
/// Whoever closes a descriptor by ending has ended by then.
const MOMENT: Duration = Duration::from_millis(20);
const TICK: Duration = Duration::from_millis(1);

/// A child, until it is dropped or ended.
#[derive(Debug)]
pub struct Dialogue {
    child: Child,
    input: Option<ChildStdin>,
    output: Stream<ChildStdout>,
    errors: Stream<ChildStderr>,
    kept: Vec<String>,
    counted: usize,
    last: Option<String>,
}

impl Dialogue {
    pub fn start(command: &mut Command) -> Result<Dialogue, Failure> {
        let mut child = child::spawn(command, |command| {
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            inherited::begin_anew(command);
        })?;
        // Just asked for.
        let (input, output, errors) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let dialogue = Dialogue {
            child,
            input,
            output: Stream { source: output, pending: Vec::new() },
            errors: Stream { source: errors, pending: Vec::new() },
            kept: Vec::new(),
            counted: 0,
            last: None,
        };
        let input = dialogue.input.iter().map(AsFd::as_fd);
        for descriptor in input.chain(dialogue.descriptors()) {
            fcntl(descriptor, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
                .map_err(|error| Failure::system("cannot use a pipe", error))?;
        }
        Ok(dialogue)
    }

    /// False if it takes nothing: it reads nothing, or has closed its input.
    pub fn say(&mut self, line: &str) -> bool {
        let line = format!("{line}\n");
        // So little comes whole or not at all: pipe(7).
        self.input
            .as_mut()
            .is_some_and(|input| input.write(line.as_bytes()).is_ok_and(|sent| sent == line.len()))
    }

    /// Nothing more is said.
    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// The lines that have come; more may be waiting.
    pub fn hear(&mut self) -> Vec<Vec<u8>> {
        self.hear_errors();
        self.output.lines()
    }

    /// Whether no line will come any more.
    pub fn is_silent(&self) -> bool {
        self.output.source.is_none()
    }

    /// How it has ended, if it has.
    pub fn ended(&self) -> Option<Ended> {
        let how = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(self.pid()), how) {
            Ok(WaitStatus::Exited(_, status)) => Some(Ended::Exited(status as u8)),
            Ok(WaitStatus::Signaled(_, signal, _)) => Some(Ended::Killed(signal as i32)),
            _ => None,
        }
    }

    /// Whether others that it has started run on without it.
    pub fn has_left_others(&self) -> bool {
        !is_ended(self.pid())
    }

    /// How it ended, and what it said last on standard error. For one that is silent, or about to be.
    pub fn epitaph(&mut self) -> String {
        self.has_ended_soon();
        let how = match self.ended() {
            Some(Ended::Killed(signal)) => format!("was ended by signal {signal}"),
            Some(ended) => format!("ended with status {}", ended.exit().code()),
            None => "has closed its standard output".to_owned(),
        };
        self.with_last_words(how)
    }

    /// A text, and what it said last on standard error, which then is no complaint any more.
    pub fn with_last_words(&mut self, text: String) -> String {
        self.hear_errors();
        if self.kept.last() == self.last.as_ref() {
            self.kept.pop();
        }
        match &self.last {
            Some(last) => format!("{text}: {last}"),
            None => text,
        }
    }

    /// What it said on standard error since this was asked last, a line each.
    pub fn take_complaints(&mut self) -> Vec<String> {
        std::mem::take(&mut self.kept)
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// To it and to what it has started.
    pub fn signal(&self, signal: Signal) {
        // It is not reaped, so the number is no other's.
        let _ = killpg(self.pid(), signal);
    }

    fn has_ended_soon(&self) -> bool {
        let since = Instant::now();
        while self.ended().is_none() && since.elapsed() < MOMENT {
            std::thread::sleep(TICK);
        }
        self.ended().is_some()
    }

    fn hear_errors(&mut self) {
        for line in self.errors.lines() {
            let line = shown(&line);
            if line.is_empty() {
                continue;
            }
            self.counted += 1;
            match self.counted {
                ..=KEPT => self.kept.push(line.clone()),
                count if count == KEPT + 1 => self.kept.push("... (more is not shown)".to_owned()),
                _ => {}
            }
            self.last = Some(line);
        }
    }

    fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let output = self.output.source.iter().map(AsFd::as_fd);
        output.chain(self.errors.source.iter().map(AsFd::as_fd))
    }
}

/// Returns when there is something to hear from one of them, or after `limit`.
pub fn wait<'a>(dialogues: impl Iterator<Item = &'a Dialogue>, limit: Duration) {
    let descriptors = dialogues.flat_map(Dialogue::descriptors);
    let mut ready: Vec<PollFd> =
        descriptors.map(|descriptor| PollFd::new(descriptor, PollFlags::POLLIN)).collect();
    // Rounded up, lest the last millisecond be a busy loop.
    let limit = PollTimeout::try_from(limit.as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX);
    // A signal is a reason to look around, too.
    let _ = poll(&mut ready, limit);
}

/// Ends the input of all of them, and then those that do not end: by TERM, by KILL.
pub fn end(dialogues: &mut [Dialogue]) {
    dialogues.iter_mut().for_each(Dialogue::close_input);
    for signal in [None, Some(Signal::SIGTERM), Some(Signal::SIGKILL)] {
        if let Some(signal) = signal {
            let running = dialogues.iter().filter(|dialogue| dialogue.ended().is_none());
            for dialogue in running {
                dialogue.signal(signal);
                dialogue.signal(Signal::SIGCONT);
            }
        }
        let since = Instant::now();
        while dialogues.iter().any(|dialogue| dialogue.ended().is_none()) {
            if since.elapsed() > GRACE {
                break;
            }
            // What is not read keeps it from ending.
            dialogues.iter_mut().for_each(|dialogue| drop(dialogue.hear()));
            std::thread::sleep(TICK);
        }
    }
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        // What it left behind is nobody's.
        self.signal(Signal::SIGKILL);
        if self.has_ended_soon() {
            let _ = self.child.wait();
        }
    }
}

/// What is read of a child, line by line.
#[derive(Debug)]
struct Stream<R> {
    source: Option<R>,
    pending: Vec<u8>,
}

impl<R: Read> Stream<R> {
    /// What stands at the end is a line without a line break, too.
    fn lines(&mut self) -> Vec<Vec<u8>> {
        let mut piece = [0; PIECE];
        match self.source.as_mut().map(|source| source.read(&mut piece)) {
            None => return Vec::new(),
            Some(Err(error)) if is_for_now(&error) => return Vec::new(),
            Some(Ok(count @ 1..)) => self.pending.extend(&piece[..count]),
            Some(_) => self.source = None,
        }
        let mut lines: Vec<Vec<u8>> =
            self.pending.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        self.pending = lines.pop().unwrap_or_default();
        let is_over = self.source.is_none() && !self.pending.is_empty();
        if is_over || self.pending.len() > LINE {
            lines.push(std::mem::take(&mut self.pending));
        }
        lines
    }
}

fn is_for_now(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// The beginning of somebody else's line, with nothing in it that a terminal would obey.
pub fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(&line[..line.len().min(SHOWN + 1)]);
    let mut shown = String::new();
    for character in text.trim_end().chars() {
        if shown.len() >= SHOWN {
            shown.push_str("...");
            break;
        }
        match character.is_control() {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_and_bounded() {
        let text: Vec<u8> = [&b"one\ntwo\n"[..], &[b'x'; LINE + 1], b"\nend"].concat();
        let mut stream = Stream { source: Some(&text[..]), pending: Vec::new() };
        let lines = stream.lines();
        assert_eq!((&lines[0][..], &lines[1][..]), (&b"one"[..], &b"two"[..]));
        assert_eq!(lines[2].len(), LINE + 1);
        assert_eq!(stream.lines(), [b"end".to_vec()]);
        assert!(stream.source.is_none());
        assert!(stream.lines().is_empty());
        let endless = vec![b'x'; 10 * PIECE];
        let mut stream = Stream { source: Some(&endless[..]), pending: Vec::new() };
        assert_eq!(stream.lines(), [vec![b'x'; PIECE]], "nothing is kept that may grow");
        assert!(stream.pending.is_empty());
    }

    #[test]
    fn what_is_shown_moves_no_cursor() {
        assert_eq!(shown(b"plain \xc3\xa4"), "plain \u{e4}");
        assert_eq!(shown(b"\x1b[2Jx\r"), "\\u{1b}[2Jx");
        assert_eq!(shown(&[0xff]), "\u{fffd}");
        assert_eq!(shown(&[b'x'; 1000]).len(), SHOWN + 3);
        assert!(shown(&[0; 1000]).len() < SHOWN + 10);
    }
}
