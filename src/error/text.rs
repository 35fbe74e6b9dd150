//! What each error says: one line, and what to do next.

use crate::error::Error;
use crate::error::name::named;
use crate::error::who::Writer;
use crate::system::proc::is_stopped;
use std::fmt::{self, Display, Formatter};

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

/// What is given by a path has no durable state unless it is told where.
fn state_of(f: &mut Formatter<'_>, barrier: &str) -> fmt::Result {
    match barrier.contains('/') {
        true => f.write_str(", with `--state FILE` if it had that"),
        false => Ok(()),
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Error::Missing { path, folder: None } => {
                let (path, name) = (path.display(), named(path));
                write!(f, "no barrier at {path}: make one with `stillpoint create {name}`")?;
                state_of(f, &name)
            }
            Error::Missing { path, folder: Some(folder) } => {
                let (path, folder) = (path.display(), folder.display());
                write!(
                    f,
                    "no barrier at {path}: there is no folder {folder}; make that, then the barrier with `stillpoint create {path}`"
                )?;
                state_of(f, &path.to_string())
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
            Error::Unavailable { path, source } => {
                write!(
                    f,
                    "{}: membarrier(2), by which a tool sees writers that enter without a fence, cannot be called here ({source}): let it through, or make the barrier with `stillpoint create --fences`",
                    path.display()
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
            | Error::Unavailable { source, .. }
            | Error::System { source, .. } => Some(source),
            Error::Unreachable { source, .. } => Some(source),
            _ => None,
        }
    }
}
