//! Who is named in reports: writers, as the barrier and the kernel know them.
//!
//! Everything here is for people. Process ids and names come from the file, where anybody in the
//! barrier's group could have written them, and nothing is decided by them.

use crate::file::layout::{Slot, printable};
use crate::gate::sync::Ordering;
use crate::system::standard;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// The letter of what a process does, of proc_pid_stat(5); `None`: there is none that can be seen.
pub(crate) fn state_of(pid: u32) -> Option<char> {
    let _standard = standard::keep();
    let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let stat = String::from_utf8_lossy(&stat);
    // Behind the name, which may hold anything.
    stat.rsplit(") ").next()?.chars().next()
}

/// Whether a process is stopped, by SIGSTOP say.
pub(crate) fn is_stopped(pid: u32) -> bool {
    state_of(pid).is_some_and(|state| matches!(state, 'T' | 't'))
}

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
    /// The owner of a slot.
    pub(crate) fn of_slot(index: usize, slot: &Slot, word: u32, held: Duration) -> Writer {
        let pid = slot.pid.load(Ordering::Relaxed);
        Writer {
            slot: u32::try_from(index).ok(),
            pid,
            tid: slot.tid.load(Ordering::Relaxed),
            comm: slot.comm.get(),
            label: slot.label.get(),
            held,
            place: slot.taken_at(word),
            wait_channel: wait_channel(pid),
        }
    }

    pub(crate) fn name(&self) -> Name<'_> {
        Name { pid: self.pid, comm: &self.comm, label: &self.label }
    }

    /// A process known by its id alone.
    pub(crate) fn of_process(pid: u32) -> Writer {
        let _standard = standard::keep();
        // Any program may call itself anything, in bytes that are no text.
        let comm = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
        let comm = comm.strip_suffix(b"\n").unwrap_or(&comm);
        Writer {
            slot: None,
            pid,
            tid: pid,
            comm: printable(comm),
            label: String::new(),
            held: Duration::ZERO,
            place: String::new(),
            wait_channel: wait_channel(pid),
        }
    }
}

/// proc(5): the kernel function that the process sleeps in.
fn wait_channel(pid: u32) -> Option<String> {
    let _standard = standard::keep();
    let name = std::fs::read_to_string(format!("/proc/{pid}/wchan")).ok()?;
    let name = name.trim();
    (!name.is_empty() && name != "0").then(|| name.to_string())
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
