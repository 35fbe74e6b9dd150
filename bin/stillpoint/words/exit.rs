//! Exit statuses.
//!
//! The numbers are those of sysexits(3) and of the shell's habits: 126 and 127 for a command that
//! cannot be run or found, 124 for a limit that was reached, as timeout(1) does, 128 + n for a
//! death by signal n. An error of ours carries its status by being a [`Failure`].

use std::fmt;
use std::io;
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
   65  dirty barrier, or writers not covered, where not allowed; a damaged file; snapshots at odds
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
