//! Exit statuses: the numbers.
//!
//! They are those of sysexits(3) and of the shell's habits: 126 and 127 for a command that cannot be run or found, 124
//! for a limit that was reached, as timeout(1) does, 128 + n for a death by signal n. `stillpoint-cluster` has the same.

use std::process::ExitCode;

/// The exit status of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(u8);

impl Exit {
    /// Done.
    pub const SUCCESS: Exit = Exit(0);
    /// The arguments make no sense, or an exclusive was asked for inside a share.
    pub const USAGE: Exit = Exit(64);
    /// The input is damaged, or the barrier is dirty.
    pub const DATA: Exit = Exit(65);
    /// What is named is not there.
    pub const MISSING: Exit = Exit(66);
    /// File system, provider, privilege or store are not available here.
    pub const UNAVAILABLE: Exit = Exit(69);
    /// A fault of ours.
    pub const INTERNAL: Exit = Exit(70);
    /// A system call failed.
    pub const SYSTEM: Exit = Exit(71);
    /// A file cannot be made, or a name is somebody else's.
    pub const CANNOT_CREATE: Exit = Exit(73);
    /// Not quiet, or the gate closed, within the limit; or somebody else is at it.
    pub const CONFLICT: Exit = Exit(75);
    /// It may not be done.
    pub const DENIED: Exit = Exit(77);
    /// The hold limit was reached or the pause revoked.
    pub const LIMIT: Exit = Exit(124);
    /// A command cannot be run.
    pub const CANNOT_EXECUTE: Exit = Exit(126);
    /// A command was not found.
    pub const NOT_FOUND: Exit = Exit(127);

    /// That of a command of somebody else's.
    pub const fn new(status: u8) -> Exit {
        Exit(status)
    }

    /// What a shell reports for a process that signal number `signal` ended.
    pub fn killed_by(signal: i32) -> Exit {
        Exit(128_u8.wrapping_add(signal as u8))
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
