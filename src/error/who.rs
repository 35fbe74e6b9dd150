//! Who is named in errors and reports. `report` finds out who they are.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// A writer that somebody waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Writer {
    /// Its slot; `None` for a user of flock(1) on the barrier file.
    pub slot: Option<u32>,
    /// Its process id, in the pid namespace in which it joined; 0: unknown.
    pub pid: u32,
    /// Its thread id, likewise.
    pub tid: u32,
    /// The name of the thread.
    pub comm: String,
    /// What it calls itself.
    pub label: String,
    /// How long it has been inside, at least.
    pub held: Duration,
    /// Where it took its share, as in [`crate::WriterStatus::place`].
    pub place: String,
    /// The kernel function that it sleeps in, where that may be read.
    pub wait_channel: Option<String>,
}

impl Writer {
    pub(crate) fn name(&self) -> Name<'_> {
        Name { pid: self.pid, comm: &self.comm, label: &self.label }
    }
}

/// Who somebody is, whatever he does.
pub(crate) struct Name<'a> {
    pub(crate) pid: u32,
    pub(crate) comm: &'a str,
    pub(crate) label: &'a str,
}

impl Display for Name<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Name { pid, comm, label } = *self;
        write!(f, "{}[{pid}]", if comm.is_empty() { "?" } else { comm })?;
        match label.is_empty() || label == comm {
            true => Ok(()),
            false => write!(f, " ({label})"),
        }
    }
}

impl Display for Writer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.name().fmt(f)?;
        if self.slot.is_none() {
            write!(f, " holding flock(2) on the barrier file, as whoever may read it can")?;
        } else if !self.place.is_empty() || !self.held.is_zero() {
            write!(f, " inside")?;
        }
        if !self.place.is_empty() {
            write!(f, " from {}", self.place)?;
        }
        if !self.held.is_zero() {
            write!(f, " for at least {:.3} s", self.held.as_secs_f64())?;
        }
        match &self.wait_channel {
            Some(channel) => write!(f, ", in {channel}"),
            None => Ok(()),
        }
    }
}

/// A process that uses a file which stood where the barrier is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Straggler {
    /// Its process id; 0: there is one that cannot be seen from here.
    pub pid: u32,
    /// Its name.
    pub comm: String,
}

impl Display for Straggler {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.pid {
            0 => f.write_str("processes that cannot be seen from here"),
            pid => write!(f, "{}[{pid}]", self.comm),
        }
    }
}
