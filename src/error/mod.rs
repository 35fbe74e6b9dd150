//! What goes wrong, and by which names it is told.
//!
//! Uses `system`. Right about what is said to people: what is wrong, with which barrier, and what to do.
//!
//! One error type, whose text says what is wrong with which barrier and what to do about it.
use crate::file::open::named;
use crate::report::writer::{Straggler, Writer, is_stopped};
use std::fmt::{self, Display, Formatter};
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
            io::ErrorKind::ReadOnlyFilesystem => "a barrier is written to by all who use it",
            _ => return Error::system(call, path, source),
        };
        Error::Denied { path: path.to_path_buf(), source, needs }
    }

    pub(crate) fn not_a_barrier(path: &Path, reason: impl Into<String>) -> Error {
        Error::NotABarrier { path: path.to_path_buf(), reason: reason.into() }
    }
}

/// Names as many as fit on a line.
fn names<T: Display>(writers: &[T]) -> String {
    const SHOWN: usize = 4;
    if writers.is_empty() {
        return "nobody who could be named".into();
    }
    let mut names: Vec<String> = writers.iter().take(SHOWN).map(T::to_string).collect();
    if writers.len() > SHOWN {
        names.push(format!("and {} more", writers.len() - SHOWN));
    }
    names.join("; ")
}

impl Display for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Error::Missing { path, folder: None } => {
                let (path, name) = (path.display(), named(path));
                write!(f, "no barrier at {path}: make one with `stillpoint create {name}`")
            }
            Error::Missing { path, folder: Some(folder) } => {
                let (path, folder) = (path.display(), folder.display());
                write!(
                    f,
                    "no barrier at {path}: there is no folder {folder}; make that, then the barrier with `stillpoint create {path}`"
                )
            }
            Error::NotABarrier { path, reason } => {
                write!(f, "{} is not a barrier: {reason}", path.display())
            }
            Error::Version { path, found } => {
                let path = path.display();
                write!(
                    f,
                    "{path} has {found}, which this version does not know: use the version that made it, or retire it with that one"
                )
            }
            Error::Unsupported { path, reason } => {
                let path = path.display();
                write!(
                    f,
                    "{path} cannot be a barrier: {reason}; mount a tmpfs there, or give a path on one"
                )
            }
            Error::Insecure { path, reason } => {
                let path = path.display();
                write!(f, "{path} is not safe to use: {reason}")
            }
            Error::Denied { path, source, needs } => {
                write!(f, "{}: {source}: {needs}", path.display())
            }
            Error::Exists { path } => {
                write!(f, "{} exists already", path.display())
            }
            Error::InUse { path, writers } => {
                // In whatever way.
                let users: Vec<_> = writers.iter().map(Writer::name).collect();
                let (path, names) = (path.display(), names(&users));
                let advice = match writers.iter().any(|writer| is_stopped(writer.pid)) {
                    true => "continue or end those that are stopped",
                    false => "wait until they have ended, or end them in good order",
                };
                write!(f, "{path} is in use by {names}: {advice}")
            }
            Error::Replaced { path } => {
                let path = path.display();
                write!(f, "{path} was replaced while it was in use: start again what uses it")
            }
            Error::Stragglers { path, users } => {
                let (path, names) = (path.display(), names(users));
                let advice = match nix::unistd::geteuid().is_root() {
                    true => "wait until they have ended, or start them again",
                    false => {
                        "start them again, or let root run `stillpoint create`, which brings them over"
                    }
                };
                write!(
                    f,
                    "{path}: the file that stood here before is still in use by {names}: {advice}"
                )
            }
            Error::Full { path } => {
                let path = path.display();
                write!(f, "{path}: all slots are owned by live processes: stop some of them")
            }
            Error::Create { path, source } => {
                write!(f, "cannot make the barrier {}: {source}", path.display())
            }
            Error::System { call, path, source } => {
                write!(f, "{}: {call}: {source}", path.display())
            }
            Error::BadName { name, reason } => {
                write!(f, "{name:?} cannot name a barrier: {reason}")
            }
            Error::WouldBlock { path } => {
                write!(f, "{}: held by somebody else: try again later", path.display())
            }
            Error::Pacing { path } => {
                let why = "the gate is left open for the writers between two closings";
                write!(f, "{}: {why}: try again later", path.display())
            }
            Error::TimedOut { path, waited } => {
                let (waited, name) = (waited.as_secs_f64(), named(path));
                write!(
                    f,
                    "{}: the gate stayed closed for {waited:.3} s: see `stillpoint status {name}`",
                    path.display()
                )
            }
            Error::NotQuiet { path, waited, writers } => {
                let (path, waited) = (path.display(), waited.as_secs_f64());
                write!(f, "{path} was not quiet within {waited:.3} s: {}", names(writers))
            }
            Error::Busy { path, holder } => {
                write!(
                    f,
                    "{}: the exclusive side is held by {holder}: try again later",
                    path.display()
                )
            }
            Error::Deadlock { path } => {
                write!(
                    f,
                    "{}: the exclusive side and a share exclude each other, and this caller has one of them: give it back first",
                    path.display()
                )
            }
            Error::NotHeld { path } => {
                write!(
                    f,
                    "{}: not held here: give back what was taken once, in the same process, by the same thread or cookie",
                    path.display()
                )
            }
            Error::Revoked { path, reason } => {
                write!(
                    f,
                    "{}: the pause was not held to its end ({reason}): throw away what was made in it",
                    path.display()
                )
            }
            Error::Cancelled => write!(f, "cancelled; the gate is open"),
            Error::Unreachable { path, source } => {
                let path = path.display();
                write!(
                    f,
                    "{path}: this process has changed its root, its mounts or its user, and cannot reach the barrier ({source}): a forked one calls join before"
                )
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Denied { source, .. }
            | Error::Create { source, .. }
            | Error::System { source, .. } => Some(source),
            Error::Unreachable { source, .. } => Some(source),
            _ => None,
        }
    }
}
