//! The report for people: a few lines on the barrier, and a table of the writers.

use std::fmt::{self, Write};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use stillpoint::{Status, WriterStatus};

use super::uncounted;
use crate::words::output::escaped;
use crate::words::seconds::{display, moment};
use crate::words::table::{self, Cell};
use crate::words::terminal::{Colour, Terminal};
use crate::words::waiting::{self, ABANDONED, UNSEEN, who};

/// Of those who were lost, so many are shown on a terminal.
const LOST_SHOWN: usize = 3;

/// Appends the report on `status` to `out`, in short on a terminal.
pub fn write(out: &mut String, status: &Status, terminal: Option<Terminal>) -> fmt::Result {
    let coloured = |colour: Colour, text: &str| match terminal {
        Some(Terminal { coloured: true, .. }) => colour.paint(text),
        _ => text.to_owned(),
    };
    writeln!(out, "{}", escaped(&status.barrier.display().to_string()))?;
    let gate = match (status.closed, status.wanted) {
        _ if status.abandoned => &coloured(Colour::Doubtful, ABANDONED),
        (true, _) => &coloured(Colour::Doubtful, "closed"),
        (false, true) => "open, wanted by a tool",
        (false, false) => "open",
    };
    writeln!(out, "  gate     {gate}")?;
    if let Some(holder) = &status.holder {
        let limit = match holder.limit {
            Some(limit) => format!("at most {}", display(limit)),
            None => "without a limit".to_string(),
        };
        let who = who(holder.pid, &holder.comm, &holder.label);
        let since = holder.since.map_or("an unknown time".to_string(), moment);
        writeln!(out, "  holder   {who}, since {since}, {limit}")?;
        if holder.stopped {
            writeln!(
                out,
                "           it is stopped: no tool gets in before it is continued or ended"
            )?;
        }
    }
    let dirty = status.dirty;
    match dirty.epoch.wrapping_sub(dirty.acknowledged) {
        0 if uncounted(status) > 0 => writeln!(
            out,
            "  dirty    {}, {} ended inside, as the next pause will count (epoch {})",
            coloured(Colour::Bad, "yes"),
            uncounted(status),
            dirty.epoch
        )?,
        0 => writeln!(out, "  dirty    no (epoch {})", dirty.epoch)?,
        losses => writeln!(
            out,
            "  dirty    {}, {losses} not acknowledged (epoch {}, acknowledged {})",
            coloured(Colour::Bad, "yes"),
            dirty.epoch,
            dirty.acknowledged
        )?,
    }
    let shown = terminal.map_or(usize::MAX, |_| LOST_SHOWN);
    for lost in status.lost.iter().take(shown) {
        let who = waiting::lost(lost);
        let when = lost.when.map_or("at an unknown time".to_string(), moment);
        let acknowledged = if lost.acknowledged { "acknowledged" } else { "not acknowledged" };
        writeln!(out, "  lost     {who}, {when}, {acknowledged}")?;
    }
    if let more @ 1.. = status.lost.len().saturating_sub(shown) {
        writeln!(out, "           and {more} more; --wide shows all")?;
    }
    let stats = &status.stats;
    write!(
        out,
        "  pauses   {}, {} revoked, {} not quiet in time",
        stats.pauses, stats.revocations, stats.drain_timeouts
    )?;
    match stats.pauses {
        0 => writeln!(out)?,
        _ => writeln!(out, ", the last took {}", display(stats.last_pause))?,
    }
    match &status.stragglers {
        Some(users) if users.is_empty() => {}
        Some(users) => {
            let users: Vec<String> = users.iter().map(ToString::to_string).collect();
            let users = users.join(", ");
            writeln!(out, "  removed  a file that stood here before is in use by {users}")?;
            writeln!(out, "           no tool gets in before they have come over")?;
        }
        None => writeln!(out, "  removed  {UNSEEN}")?,
    }
    for user in &status.flock {
        let how = if user.exclusive { "exclusive" } else { "shared" };
        let who = who(user.pid, &user.comm, "");
        writeln!(out, "  flock    {who}, {how}, which keeps every tool out")?;
    }
    if !status.flock.is_empty() && is_open_to_all(&status.barrier) {
        writeln!(out, "           everybody may read this barrier, and so lock it")?;
    }
    let inside = status.writers.iter().filter(|writer| writer.inside).count();
    writeln!(out, "  writers  {}, {inside} inside", status.writers.len())?;
    if !status.writers.is_empty() {
        out.push_str(&table(&status.writers, terminal));
    }
    Ok(())
}

/// Whether others than its owner and its group may read the file.
fn is_open_to_all(barrier: &Path) -> bool {
    fs::metadata(barrier).is_ok_and(|file| file.mode() & 0o004 != 0)
}

/// One row a writer; with all its numbers where nobody has to fit it onto a terminal.
fn table(writers: &[WriterStatus], terminal: Option<Terminal>) -> String {
    let (margin, writers) = ("  ", writers.iter());
    match terminal {
        None => table::table(margin, HEAD, writers.map(row).collect(), None, &[]),
        Some(_) => {
            let rows = writers.map(short_row).collect();
            table::table(margin, SHORT_HEAD, rows, terminal, &SPARE)
        }
    }
}

const HEAD: [&str; 8] = ["SLOT", "PID", "TID", "COMMAND", "LABEL", "SHARES", "FENCE", "STATE"];
const SHORT_HEAD: [&str; 4] = ["PID", "COMMAND", "LABEL", "STATE"];
/// The label, then the command: the process tells both.
const SPARE: [usize; 2] = [2, 1];

fn row(writer: &WriterStatus) -> [Cell; 8] {
    [
        Cell::number(writer.slot),
        Cell::number(writer.pid),
        Cell::number(writer.tid),
        Cell::new(&writer.comm),
        Cell::new(&writer.label),
        Cell::number(writer.shares),
        Cell::new(if writer.is_unfenced { "no" } else { "yes" }),
        state(writer),
    ]
}

fn short_row(writer: &WriterStatus) -> [Cell; 4] {
    let label = if writer.label == writer.comm { "" } else { &writer.label };
    [Cell::number(writer.pid), Cell::new(&writer.comm), Cell::new(label), state(writer)]
}

fn state(writer: &WriterStatus) -> Cell {
    let from = match &*writer.place {
        "" => String::new(),
        place => format!(" from {place}"),
    };
    match (writer.inside, writer.waiting) {
        _ if !writer.alive => Cell::new(format!("gone while inside{from}")).coloured(Colour::Bad),
        (true, _) if writer.inside_at_least.is_zero() => {
            Cell::new(format!("inside{from}, since unknown")).coloured(Colour::Good)
        }
        (true, _) => {
            let since = display(writer.inside_at_least);
            Cell::new(format!("inside{from} for at least {since}")).coloured(Colour::Good)
        }
        (false, Some(waiting)) => {
            Cell::new(format!("waiting for {}", display(waiting))).coloured(Colour::Doubtful)
        }
        (false, None) => Cell::new("outside"),
    }
}
