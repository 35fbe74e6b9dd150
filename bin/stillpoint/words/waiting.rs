//! What a waiting command tells its user: for whom it waits, and for how long.
//!
//! Only on a terminal, only when the wait can be felt, on the line of [`live`](super::live), which is gone when the
//! wait is over. Scripts and logs get the outcome alone.

use std::path::Path;
use std::time::Duration;

use stillpoint::{Barrier, Lost, Phase, Status, Waiting, Writer, WriterStatus};

use super::lines::warn;
use super::live::Live;
use super::seconds;

/// Writers named on the line.
const NAMED: usize = 3;

/// The line about a wait.
pub struct WaitingLine(Live);

impl WaitingLine {
    pub fn new() -> WaitingLine {
        WaitingLine(Live::new())
    }

    /// For the `progress` of `ExclusiveOptions` and `CommandShareOptions`.
    pub fn show(&mut self, waiting: &Waiting<'_>) {
        if self.0.is_due(waiting.since) {
            self.0.show(&describe(waiting));
        }
    }

    /// The same for the lock of another program; who holds it is only asked when it is shown.
    pub fn show_lock(&mut self, path: &Path, since: Duration, holders: impl FnOnce() -> String) {
        if self.0.is_due(since) {
            let (waited, path) = (seconds::display(since), path.display());
            self.0.show(&format!("waiting {waited} for {}, who has locked {path}", holders()));
        }
    }
}

/// Who says of himself that he closed the gate.
pub fn closer(barrier: &Path) -> Option<String> {
    Some(Status::read(barrier).ok()?.holder?.to_string())
}

/// What is said where it cannot be told whether there are stragglers.
pub const UNSEEN: &str =
    "whether a file that stood here before is still in use cannot be seen by this user";

/// How a gate is whose closer has died.
pub const ABANDONED: &str = "closed by a tool that has died; opens with the next writer or tool";

/// Says so, if it is so: before the gate closes, as nobody may read what is said.
pub fn warn_if_unseen(barrier: &Barrier) {
    if barrier.stragglers().is_none() {
        warn(&format!("{}: {UNSEEN}", barrier.path().display()));
    }
}

/// A process as messages name it. One that an earlier boot lost has no number, and maybe no name.
pub fn who(pid: u32, comm: &str, label: &str) -> String {
    match (pid, label) {
        (0, "") => "unknown".to_string(),
        (0, label) => label.to_string(),
        (_, "") if comm.is_empty() => format!("?[{pid}]"),
        (_, "") => format!("{comm}[{pid}]"),
        (_, label) => format!("{comm}[{pid}] ({label})"),
    }
}

/// A writer that was lost, and where it was inside.
pub fn lost(lost: &Lost) -> String {
    let who = who(lost.pid, &lost.comm, &lost.label);
    if lost.place.is_empty() { who } else { format!("{who} inside from {}", lost.place) }
}

fn describe(waiting: &Waiting<'_>) -> String {
    let why = match waiting.phase {
        Phase::OtherTool => "for another tool's pause to end",
        Phase::Pacing => "to leave the writers time between two pauses",
        Phase::Stragglers => "for users of a file that stood here before",
        Phase::Foreign => "for a user of flock(1) on the barrier file",
        Phase::Draining => "for the writers inside",
        Phase::LongShares => "for long writers, gate open",
        Phase::Predicate => "for locks of others",
        Phase::Gate => "at the closed gate",
        _ => "",
    };
    let mut text = format!("waiting {} {why}", seconds::display(waiting.since));
    let before = match waiting.phase {
        Phase::Gate => "closed by",
        Phase::OtherTool => "held by",
        _ => "",
    };
    let who = if before.is_empty() { None } else { closer(waiting.barrier) };
    if let Some(who) = who {
        text.push_str(&format!(" {before} {who}, {}", waiting.barrier.display()));
    }
    let mut separator = ": ";
    for writer in waiting.writers.iter().take(NAMED) {
        text.push_str(&format!("{separator}{}", present(writer, waiting.barrier)));
        separator = ", ";
    }
    if let more @ 1.. = waiting.writers.len().saturating_sub(NAMED) {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// A writer by the name of who is inside now: a command whose wrapper has ended goes on in its place.
pub fn present(writer: &Writer, barrier: &Path) -> Writer {
    let status = Status::read(barrier).ok();
    let writers = status.iter().flat_map(|status| &status.writers);
    let mut inside = writers.filter(|other| other.inside && Some(other.slot) == writer.slot);
    let mut present = writer.clone();
    let other = inside.next().filter(|other| other.pid != writer.pid);
    if let Some(WriterStatus { pid, tid, comm, .. }) = other {
        (present.pid, present.tid) = (*pid, *tid);
        present.comm.clone_from(comm);
        present.wait_channel = None;
    }
    present
}
