//! How this process ends: with the status of its error, or by the signal that it received.
//!
//! The library's errors have a status by their kind, ours carry it as a
//! [`Failure`].

use std::io;

use nix::unistd::getpid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use stillpoint::ErrorKind;

use super::signals::received;
use crate::words::exit::{Exit, Failure};
use crate::words::lines::{complain, is_broken_pipe, line};

/// The status for an error; `conflict` (75, or what `-E` says) for all that means "not now".
pub fn from_error(error: &anyhow::Error, conflict: Exit) -> Exit {
    if is_broken_pipe(error) {
        return Exit::SUCCESS;
    }
    for cause in error.chain() {
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            return if failure.exit == Exit::CONFLICT { conflict } else { failure.exit };
        }
        if let Some(error) = cause.downcast_ref::<stillpoint::Error>() {
            return from_kind(error.kind(), conflict);
        }
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            return match error.kind() {
                io::ErrorKind::PermissionDenied => Exit::DENIED,
                _ => Exit::SYSTEM,
            };
        }
    }
    Exit::INTERNAL
}

/// Gives a "not now" the status `conflict`; other errors keep theirs.
pub fn with_conflict(error: anyhow::Error, conflict: Exit) -> anyhow::Error {
    match from_error(&error, conflict) {
        exit if exit == conflict => Failure::new(conflict, line(&error)).into(),
        _ => error,
    }
}

fn from_kind(kind: ErrorKind, conflict: Exit) -> Exit {
    match kind {
        ErrorKind::Missing | ErrorKind::NotABarrier => Exit::MISSING,
        ErrorKind::Version | ErrorKind::Unsupported | ErrorKind::Unavailable => Exit::UNAVAILABLE,
        ErrorKind::Insecure | ErrorKind::Denied => Exit::DENIED,
        ErrorKind::Exists | ErrorKind::Create => Exit::CANNOT_CREATE,
        ErrorKind::Full | ErrorKind::System => Exit::SYSTEM,
        ErrorKind::BadName | ErrorKind::Deadlock | ErrorKind::NotHeld => Exit::USAGE,
        ErrorKind::WouldBlock
        | ErrorKind::TimedOut
        | ErrorKind::NotQuiet
        | ErrorKind::Busy
        | ErrorKind::InUse
        | ErrorKind::Replaced
        | ErrorKind::Stragglers => conflict,
        ErrorKind::Revoked => Exit::LIMIT,
        ErrorKind::Cancelled => received().map_or(Exit::INTERNAL, Exit::killed_by),
        _ => Exit::INTERNAL,
    }
}

/// Says what went wrong, and what to end with; does not return where that is the signal that it received.
pub fn of(result: anyhow::Result<Exit>) -> Exit {
    let exit = result.unwrap_or_else(|error| {
        complain(&error);
        from_error(&error, Exit::CONFLICT)
    });
    die_of_it(exit.code());
    exit
}

/// Ends the process by the signal it received, where `status` says that it ended for that reason:
/// a shell loop or systemd must be able to see that, which 128 + n alone does not tell them. The
/// first process of a container has no default action to die of, and nobody outside who could tell.
fn die_of_it(status: u8) {
    let is_meant = |signal: &i32| {
        matches!(*signal, SIGINT | SIGTERM | SIGHUP) && i32::from(status) == 128 + *signal
    };
    if let Some(signal) = received().filter(is_meant).filter(|_| getpid().as_raw() != 1) {
        // Does not return unless the signal cannot be raised; then the status has to do.
        let _ = signal_hook::low_level::emulate_default_handler(signal);
    }
}
