//! The report for people: a few lines on the barrier, and a table of the writers.

use std::fmt::{self, Write};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use stillpoint::{Status, WriterStatus};

use crate::words::seconds::{display, timestamp};
use crate::words::waiting::{self, UNSEEN, who};

/// Appends the report on `status` to `out`.
pub fn write(out: &mut String, status: &Status) -> fmt::Result {
    writeln!(out, "{}", status.barrier.display())?;
    let gate = match (status.closed, status.wanted) {
        (true, _) => "closed",
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
        let since = holder.since.map_or("an unknown time".to_string(), timestamp);
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
        0 => writeln!(out, "  dirty    no (epoch {})", dirty.epoch)?,
        losses => writeln!(
            out,
            "  dirty    yes, {losses} not acknowledged (epoch {}, acknowledged {})",
            dirty.epoch, dirty.acknowledged
        )?,
    }
    for lost in &status.lost {
        let who = waiting::lost(lost);
        let when = lost.when.map_or("at an unknown time".to_string(), timestamp);
        let acknowledged = if lost.acknowledged { "acknowledged" } else { "not acknowledged" };
        writeln!(out, "  lost     {who}, {when}, {acknowledged}")?;
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
        table(out, &status.writers)?;
    }
    Ok(())
}

/// Whether others than its owner and its group may read the file.
fn is_open_to_all(barrier: &Path) -> bool {
    fs::metadata(barrier).is_ok_and(|file| file.mode() & 0o004 != 0)
}

fn table(out: &mut String, writers: &[WriterStatus]) -> fmt::Result {
    writeln!(
        out,
        "  {:>5}  {:>8}  {:>8}  {:<15}  {:<20}  {:>6}  STATE",
        "SLOT", "PID", "TID", "COMMAND", "LABEL", "SHARES"
    )?;
    for writer in writers {
        let from = match &*writer.place {
            "" => String::new(),
            place => format!(" from {place}"),
        };
        let state = match (writer.inside, writer.waiting) {
            _ if !writer.alive => format!("gone while inside{from}"),
            (true, _) if writer.inside_at_least.is_zero() => {
                format!("inside{from}, since unknown")
            }
            (true, _) => format!("inside{from} for at least {}", display(writer.inside_at_least)),
            (false, Some(waiting)) => format!("waiting for {}", display(waiting)),
            (false, None) => "outside".to_string(),
        };
        writeln!(
            out,
            "  {:>5}  {:>8}  {:>8}  {:<15}  {:<20}  {:>6}  {state}",
            writer.slot, writer.pid, writer.tid, writer.comm, writer.label, writer.shares
        )?;
    }
    Ok(())
}
