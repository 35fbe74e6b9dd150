//! Exit statuses.
//!
//! The numbers are those of sysexits(3) and of the shell's habits: 126 and 127 for a command that
//! cannot be run or found, 124 for a limit that was reached, as timeout(1) does, 128 + n for a
//! death by signal n. An error of ours carries its status by being a [`Failure`].

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

/// The exit status of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(u8);

impl Exit {
    pub const SUCCESS: Exit = Exit(0);
    /// The arguments make no sense, or an exclusive was asked for inside a share.
    pub const USAGE: Exit = Exit(64);
    /// The input is damaged, or the barrier is dirty.
    pub const DATA: Exit = Exit(65);
    /// There is no such barrier.
    pub const MISSING: Exit = Exit(66);
    /// File system, provider or privilege are not available here.
    pub const UNAVAILABLE: Exit = Exit(69);
    pub const INTERNAL: Exit = Exit(70);
    pub const SYSTEM: Exit = Exit(71);
    pub const CANNOT_CREATE: Exit = Exit(73);
    /// Not quiet, or the gate closed, within the limit.
    pub const CONFLICT: Exit = Exit(75);
    pub const DENIED: Exit = Exit(77);
    /// The hold limit was reached or the pause revoked.
    pub const LIMIT: Exit = Exit(124);
    pub const CANNOT_EXECUTE: Exit = Exit(126);
    pub const NOT_FOUND: Exit = Exit(127);

    pub const fn new(status: u8) -> Exit {
        Exit(status)
    }

    /// What a shell reports for a process that signal number `signal` ended.
    pub fn killed_by(signal: i32) -> Exit {
        Exit(128_u8.wrapping_add(signal as u8))
    }

    pub fn code(self) -> u8 {
        self.0
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.0)
    }
}

/// The same numbers, as each verb shows them behind its options.
pub const STATUSES: &str = "\
Exit status:
  the command's own, or 128 + n if signal n ended it
   64  usage, or an exclusive asked for inside a share
   65  dirty barrier and --on-dirty keep or fail, a damaged state or manifest, or snapshots at odds
   66  no such barrier, catalogue or snapshot
   69  not available here: file system, provider or privilege
   70  internal error
   71  a system call failed
   73  cannot create
   75  not quiet, or the gate closed, within the limit
   77  permission denied
  124  hold limit reached or pause revoked: do not trust the result
  126  the command cannot be run
  127  the command was not found";

/// An error that knows its exit status. The message is one line: what, which, what to do.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    /// Somebody else has the name that was wanted; another one would do.
    pub is_taken: bool,
    /// A command was ended with nobody knowing what it was doing.
    pub is_loss: bool,
    message: String,
}

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, is_taken: false, is_loss: false, message: message.into() }
    }

    pub fn taken(message: impl Into<String>) -> Failure {
        Failure { is_taken: true, ..Failure::new(Exit::CANNOT_CREATE, message) }
    }

    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Exit::USAGE, message)
    }

    /// A failed system call: `what` says what was being done, to which file.
    pub fn system(what: impl fmt::Display, error: impl Into<io::Error>) -> Failure {
        let error = error.into();
        let exit = match error.kind() {
            io::ErrorKind::PermissionDenied => Exit::DENIED,
            _ => Exit::SYSTEM,
        };
        Failure::new(exit, format!("{what}: {}", reason(&error)))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// A line on standard error that is no error.
pub fn say(text: &str) {
    write_line(6, text);
}

/// A line about what did not go as it should, and is no error either.
pub fn warn(text: &str) {
    write_line(4, &format!("warning: {text}"));
}

/// Writes a line in one piece; that nobody reads it is no reason to fail. The journal is told how much
/// it matters, by the numbers of syslog(3). A line break in a path would begin an entry of its own.
fn write_line(level: u8, text: &str) {
    let level = if is_journal() { format!("<{level}>") } else { String::new() };
    let line = format!("{level}stillpoint: {}\n", text.replace('\n', "\\n"));
    let _ = io::stderr().write_all(line.as_bytes());
}

/// Whether standard error is the journal: systemd.exec(5), `JOURNAL_STREAM`.
pub fn is_journal() -> bool {
    let Some(stream) = std::env::var_os("JOURNAL_STREAM") else {
        return false;
    };
    let place = nix::sys::stat::fstat(io::stderr());
    place.is_ok_and(|place| stream == *format!("{}:{}", place.st_dev, place.st_ino))
}

/// The one line for an error. A reader of our output that has seen enough is none.
pub fn complain(error: &anyhow::Error) {
    if !is_broken_pipe(error) {
        write_line(3, &line(error));
    }
}

/// The error and its causes. Some name their cause themselves; it is not said twice.
pub fn line(error: &anyhow::Error) -> String {
    let mut line = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !line.contains(&cause) {
            line.push_str(": ");
            line.push_str(&cause);
        }
    }
    line
}

pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The text of an operating system's error without the number that std appends.
pub fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => nix::errno::Errno::from_raw(number).desc().to_string(),
        None => error.to_string(),
    }
}

/// Of descriptors, memory or processes.
pub fn is_shortage(error: &io::Error) -> bool {
    use nix::libc::{EAGAIN, EMFILE, ENFILE, ENOMEM};
    matches!(error.raw_os_error(), Some(EAGAIN | EMFILE | ENFILE | ENOMEM))
}
