//! Exit statuses: the same numbers that `stillpoint` has, for those of its causes that a group can have.

use std::process::ExitCode;

/// The exit status of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(u8);

impl Exit {
    /// Done.
    pub const SUCCESS: Exit = Exit(0);
    /// The arguments or the configuration make no sense.
    pub const USAGE: Exit = Exit(64);
    /// There is no such host, epoch or file.
    pub const MISSING: Exit = Exit(66);
    /// The engine cannot be reached, or has no quorum.
    pub const UNAVAILABLE: Exit = Exit(69);
    /// A fault of ours.
    pub const INTERNAL: Exit = Exit(70);
    /// A system call failed.
    pub const SYSTEM: Exit = Exit(71);
    /// The name is another machine's, or a file cannot be made.
    pub const CANNOT_CREATE: Exit = Exit(73);
    /// Not everybody was quiet within the limit, or another epoch is under way.
    pub const CONFLICT: Exit = Exit(75);
    /// The engine refused who this is, or what it may do.
    pub const DENIED: Exit = Exit(77);
    /// The epoch was aborted: what was made is not complete.
    pub const LIMIT: Exit = Exit(124);

    /// A command was not found.
    pub const NOT_FOUND: Exit = Exit(127);

    /// The status that a host gave with its reason: each of them is documented, and none is success.
    pub fn of_host(status: u8) -> Exit {
        match status {
            0 => Exit::INTERNAL,
            status => Exit(status),
        }
    }

    /// The number itself.
    pub fn code(self) -> u8 {
        self.0
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.0)
    }
}

/// The same numbers, as they are shown behind the options.
pub const STATUSES: &str = "\
Exit status:
   64  usage: arguments or configuration make no sense
   66  no such file; no host has joined; no epoch is complete
   69  the store does not answer
   70  internal error
   71  a system call failed
   73  cannot create: the name is another machine's
   75  a member is not there or not quiet, or another epoch is under way
   77  permission denied, here or by the store
  124  a pause did not last until its release
  and, of a snapshot that was aborted by a host, the status that its own command gave";
