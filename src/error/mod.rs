//! What goes wrong: one error type, and the names that its text is made of.
//!
//! Uses `system`. Right about what is said to people: what is wrong, with which barrier, and what to do.

pub(crate) mod name;
mod text;
pub(crate) mod who;

use crate::error::who::{Straggler, Writer};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a barrier could not be opened, entered, quieted or released.
///
/// The text is one line and says what to do next. [`Error::kind`] is for matching.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// There is no barrier at this path. Nobody creates one unless told to.
    Missing {
        /// Where it was looked for.
        path: PathBuf,
        /// The folder of that path, if it is missing too and nobody makes it with a barrier.
        folder: Option<PathBuf>,
    },
    /// There is something at this path, but it is no barrier.
    NotABarrier {
        /// Where.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The barrier has a layout that this version does not know.
    Version {
        /// Where.
        path: PathBuf,
        /// What it says of itself.
        found: String,
    },
    /// The file system cannot carry a barrier.
    Unsupported {
        /// Where.
        path: PathBuf,
        /// Which file system, or what it lacks.
        reason: String,
    },
    /// Writers may be inside without a fence of their own, and this tool cannot have them pass one. The gate is open.
    Unavailable {
        /// Which barrier.
        path: PathBuf,
        /// What the kernel said of membarrier(2).
        source: io::Error,
    },
    /// Somebody who should not could replace the barrier.
    Insecure {
        /// Where.
        path: PathBuf,
        /// How.
        reason: String,
    },
    /// This user may not do that with the barrier.
    Denied {
        /// Where.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
        /// What it takes.
        needs: &'static str,
    },
    /// A barrier was to be made where one is.
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// The barrier was to be retired or made anew while processes have it open.
    InUse {
        /// Where.
        path: PathBuf,
        /// Who.
        writers: Vec<Writer>,
    },
    /// Another file stands where this barrier was, which was removed or renamed while it was in use.
    Replaced {
        /// Where.
        path: PathBuf,
    },
    /// A file that stood here before was removed or renamed while it was in use, and still is.
    Stragglers {
        /// Where.
        path: PathBuf,
        /// By whom.
        users: Vec<Straggler>,
    },
    /// Every slot is owned by a live process.
    Full {
        /// Where.
        path: PathBuf,
    },
    /// The barrier could not be made.
    Create {
        /// Where.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A system call failed that should not.
    System {
        /// Which.
        call: &'static str,
        /// On which barrier.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// No barrier can have this name.
    BadName {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The gate is closed, or somebody holds the lock, and the caller would not wait.
    WouldBlock {
        /// Which barrier or file.
        path: PathBuf,
    },
    /// Nobody holds it, but the gate is left open for the writers for a while between two closings.
    Pacing {
        /// Which barrier.
        path: PathBuf,
    },
    /// The gate did not open within the caller's time.
    TimedOut {
        /// Which barrier.
        path: PathBuf,
        /// How long the caller waited.
        waited: Duration,
    },
    /// The writers inside did not leave within the limits. The gate is open again.
    NotQuiet {
        /// Which barrier.
        path: PathBuf,
        /// How long it was tried.
        waited: Duration,
        /// Who was inside at the end.
        writers: Vec<Writer>,
    },
    /// Another tool has the exclusive side.
    Busy {
        /// Which barrier.
        path: PathBuf,
        /// Who it says it is.
        holder: String,
    },
    /// The caller would wait for itself: it asks for the exclusive side inside a share (its own, or
    /// that of the command it runs under), or for a share in the thread that has the exclusive side.
    Deadlock {
        /// Which barrier.
        path: PathBuf,
    },
    /// This thread does not hold what it was to give back.
    NotHeld {
        /// Which barrier.
        path: PathBuf,
    },
    /// The pause did not last until its release: throw away what was made in it.
    Revoked {
        /// Which barrier.
        path: PathBuf,
        /// How that is known.
        reason: String,
    },
    /// The caller's `cancel` was set. The gate is open again.
    Cancelled,
    /// A process that has changed its root, its mounts or its user cannot reach the barrier by its path any
    /// more. A forked child should have called [`Barrier::join`](crate::Barrier::join) before.
    Unreachable {
        /// Which barrier.
        path: PathBuf,
        /// What stood in the way.
        source: Box<Error>,
    },
}

/// What kind of [`Error`] it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each is the variant of Error with its name")]
pub enum ErrorKind {
    Missing,
    NotABarrier,
    Version,
    Unsupported,
    Unavailable,
    Insecure,
    Denied,
    Exists,
    InUse,
    Replaced,
    Stragglers,
    Full,
    Create,
    System,
    BadName,
    WouldBlock,
    TimedOut,
    NotQuiet,
    Busy,
    Deadlock,
    NotHeld,
    Revoked,
    Cancelled,
    Unreachable,
}

impl Error {
    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Missing { .. } => ErrorKind::Missing,
            Error::NotABarrier { .. } => ErrorKind::NotABarrier,
            Error::Version { .. } => ErrorKind::Version,
            Error::Unsupported { .. } => ErrorKind::Unsupported,
            Error::Unavailable { .. } => ErrorKind::Unavailable,
            Error::Insecure { .. } => ErrorKind::Insecure,
            Error::Denied { .. } => ErrorKind::Denied,
            Error::Exists { .. } => ErrorKind::Exists,
            Error::InUse { .. } => ErrorKind::InUse,
            Error::Replaced { .. } => ErrorKind::Replaced,
            Error::Stragglers { .. } => ErrorKind::Stragglers,
            Error::Full { .. } => ErrorKind::Full,
            Error::Create { .. } => ErrorKind::Create,
            Error::System { .. } => ErrorKind::System,
            Error::BadName { .. } => ErrorKind::BadName,
            Error::WouldBlock { .. } | Error::Pacing { .. } => ErrorKind::WouldBlock,
            Error::TimedOut { .. } => ErrorKind::TimedOut,
            Error::NotQuiet { .. } => ErrorKind::NotQuiet,
            Error::Busy { .. } => ErrorKind::Busy,
            Error::Deadlock { .. } => ErrorKind::Deadlock,
            Error::NotHeld { .. } => ErrorKind::NotHeld,
            Error::Revoked { .. } => ErrorKind::Revoked,
            Error::Cancelled => ErrorKind::Cancelled,
            Error::Unreachable { .. } => ErrorKind::Unreachable,
        }
    }

    pub(crate) fn system(call: &'static str, path: &Path, source: impl Into<io::Error>) -> Error {
        Error::System { call, path: path.to_path_buf(), source: source.into() }
    }

    /// A call that failed: [`Error::Denied`] where this user may not do it, and then `needs` says what
    /// it takes.
    pub(crate) fn refused(
        call: &'static str,
        path: &Path,
        source: io::Error,
        needs: &'static str,
    ) -> Error {
        let needs = match source.kind() {
            io::ErrorKind::PermissionDenied => needs,
            io::ErrorKind::ReadOnlyFilesystem => {
                "a barrier is written to by all who use it; a unit that is shut in needs ReadWritePaths= for its folder"
            }
            _ => return Error::system(call, path, source),
        };
        Error::Denied { path: path.to_path_buf(), source, needs }
    }

    pub(crate) fn not_a_barrier(path: &Path, reason: impl Into<String>) -> Error {
        Error::NotABarrier { path: path.to_path_buf(), reason: reason.into() }
    }
}
