//! Exit statuses, and errors that have one: an error of ours carries its status by being a [`Failure`].

use std::fmt;
use std::io;

pub use super::status::Exit;

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
