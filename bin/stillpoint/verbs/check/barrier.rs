//! The barrier itself: is it there, where it should be, and the one that its state and its users know?

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::statfs::{FsType, TMPFS_MAGIC, statfs};
use stillpoint::{ErrorKind, Status};

use super::finding::{Findings, Level};
use crate::barrier::state::{State, place};
use crate::files::names::without_links;
use crate::words::exit::Exit;
use crate::words::seconds::display;
use crate::words::waiting::who;

/// ramfs(5), which has no name in nix.
const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);
/// Longer than that nobody waits for a healthy tool.
const LONG: Duration = Duration::from_secs(120);

/// Its path, as manifests have it.
pub fn check(path: &Path, user: bool, findings: &mut Findings) -> PathBuf {
    let status = match Status::read(path) {
        Ok(status) => status,
        Err(error) => {
            let shown = without_links(path);
            let level = match error.kind() {
                ErrorKind::Missing | ErrorKind::NotABarrier => Level::Critical,
                _ => Level::Unknown,
            };
            let users = Status::users_without_barrier(path);
            let users: Vec<String> = users.iter().map(ToString::to_string).collect();
            let users = match users.is_empty() {
                true => String::new(),
                false => format!("; in use, without any effect: {}", users.join(", ")),
            };
            findings.add(level, "barrier", "", format!("{error}{users}"));
            return shown;
        }
    };
    let shown = status.barrier.display().to_string();
    let mut add = |level, check, message: String| findings.add(level, check, &shown, message);
    match statfs(&status.barrier).map(|found| found.filesystem_type()) {
        Ok(TMPFS_MAGIC | RAMFS_MAGIC) => add(Level::Ok, "barrier", "is there, in memory".into()),
        Ok(_) => add(
            Level::Warning,
            "barrier",
            "lies on a disk: whoever freezes that stops every writer; keep it on a tmpfs, such as /run"
                .into(),
        ),
        Err(error) => add(Level::Unseen, "barrier", format!("on which file system: {}", error.desc())),
    }
    state(&status, user, &mut add);
    match &status.stragglers {
        Some(others) if !others.is_empty() => {
            let names: Vec<String> = others.iter().map(ToString::to_string).collect();
            add(
                Level::Critical,
                "members",
                format!(
                    "{} use another file that was in its place, and no pause stops them; as root: stillpoint create, or start them again",
                    names.join(", ")
                ),
            );
        }
        Some(_) => {}
        None => add(
            Level::Unseen,
            "members",
            "whether somebody uses another file that was in its place: look as root".into(),
        ),
    }
    gate(&status, &mut add);
    let writers = members(&status);
    add(Level::Ok, "members", writers);
    let alive = status.writers.iter().filter(|writer| writer.alive).count();
    findings.measure(format!("writers {shown}"), alive as f64, "");
    status.barrier
}

/// What would be found after a power cut.
fn state(status: &Status, user: bool, add: &mut impl FnMut(Level, &'static str, String)) {
    let mut dirty = status.dirty;
    match place::path(status.barrier.as_os_str(), user, None) {
        Ok(Some(path)) => {
            let shown = path.display();
            match State::load(&path) {
                Ok(Some(known)) => match known.stranger(&status.uuid, &status.boot_id) {
                    Some(whose) => add(
                        Level::Critical,
                        "state",
                        format!(
                            "{shown} is {whose}: losses are not remembered; run stillpoint create for it again"
                        ),
                    ),
                    None if !known.is_open() => add(
                        Level::Critical,
                        "state",
                        format!(
                            "{shown} says that it was retired: a power cut would not be noticed; run stillpoint create for it again"
                        ),
                    ),
                    None => {
                        if known.is_dirty() {
                            dirty.epoch = dirty.acknowledged.wrapping_add(1);
                        }
                        add(Level::Ok, "state", format!("{shown} is its own"));
                    }
                },
                Ok(None) => add(
                    Level::Warning,
                    "state",
                    format!(
                        "{shown} is not there: a power cut would not be noticed; run stillpoint create for it again"
                    ),
                ),
                Err(failure) if failure.exit == Exit::DENIED => {
                    add(Level::Unseen, "state", failure.to_string());
                }
                Err(failure) => add(Level::Critical, "state", failure.to_string()),
            }
        }
        _ => add(
            Level::Ok,
            "state",
            "is private, without a durable state: a power cut is not noticed".into(),
        ),
    }
    if dirty.is_dirty() {
        let lost = status.lost.first().map(|lost| who(lost.pid, &lost.comm, &lost.label));
        let lost = lost.map(|who| format!(" ({who} last)")).unwrap_or_default();
        add(
            Level::Critical,
            "dirty",
            format!(
                "a writer was lost inside{lost}, and no snapshot is clean: check the store, then stillpoint recover --acknowledge"
            ),
        );
    }
}

/// Who keeps it closed, or keeps others from closing it.
fn gate(status: &Status, add: &mut impl FnMut(Level, &'static str, String)) {
    if let Some(holder) = &status.holder {
        let since = holder.since.and_then(|since| since.elapsed().ok()).unwrap_or_default();
        let level = match (holder.stopped, status.closed && since > LONG) {
            (true, _) | (_, true) => Level::Critical,
            _ => Level::Ok,
        };
        let what = if status.closed { "closed by" } else { "wanted by" };
        add(level, "gate", format!("{what} {holder}"));
    }
    for user in status.flock.iter().filter(|user| user.exclusive) {
        let who = who(user.pid, &user.comm, "");
        add(
            Level::Warning,
            "gate",
            format!("{who} holds flock(1) on it exclusively: no tool gets in"),
        );
    }
    let long = |writer: &&stillpoint::WriterStatus| writer.inside && writer.inside_at_least > LONG;
    for writer in status.writers.iter().filter(long) {
        let name = who(writer.pid, &writer.comm, &writer.label);
        let length = display(writer.inside_at_least);
        add(
            Level::Warning,
            "gate",
            format!("{name} has been inside for {length}: no snapshot gets in"),
        );
    }
}

/// By program and label, with since when the oldest has run.
fn members(status: &Status) -> String {
    let mut programs: BTreeMap<(&str, &str), BTreeMap<u32, ()>> = BTreeMap::new();
    for writer in status.writers.iter().filter(|writer| writer.alive) {
        programs.entry((&writer.comm, &writer.label)).or_default().insert(writer.pid, ());
    }
    if programs.is_empty() {
        return "nobody takes part at the moment".to_owned();
    }
    let shown = programs.iter().map(|((comm, label), pids)| {
        let label = match comm == label || label.is_empty() {
            true => String::new(),
            false => format!(" ({label})"),
        };
        let times = pids.keys().filter_map(|pid| crate::stilling::cover::Process(*pid).started());
        let since = times.min().and_then(|since| since.elapsed().ok());
        let since = since.map(|since| format!(" for {}", display(since))).unwrap_or_default();
        format!("{} x {comm}{label}{since}", pids.len())
    });
    format!("who takes part: {}", shown.collect::<Vec<_>>().join(", "))
}
