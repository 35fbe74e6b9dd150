//! The barrier itself: is it there, where it should be, and the one that its state and its users know?

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::statfs::{FsType, TMPFS_MAGIC, statfs};
use stillpoint::{ErrorKind, Status};

use super::finding::{Findings, Level};
use crate::barrier::lost::add_gone;
use crate::barrier::state::{State, place};
use crate::files::names::without_links;
use crate::stilling::cover::Process;
use crate::words::exit::Exit;
use crate::words::seconds::display;
use crate::words::waiting::{self, ABANDONED, who};

/// ramfs(5), which has no name in nix.
const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);
/// Longer than that nobody waits for a healthy tool.
const LONG: Duration = Duration::from_secs(120);

/// Its path, as manifests have it. `known`: where a job says that its durable state is kept.
pub fn check(path: &Path, user: bool, known: Option<&Path>, findings: &mut Findings) -> PathBuf {
    let mut status = match Status::read(path) {
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
    state(&mut status, user, known, &mut add);
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
        None => {
            let way = match Path::new("/proc/locks").exists() {
                true => "look as root",
                false => "it takes /proc",
            };
            let what = "whether somebody uses another file that was in its place";
            add(Level::Unseen, "members", format!("{what}: {way}"));
        }
    }
    gate(&status, &mut add);
    let writers = members(&status);
    add(Level::Ok, "members", writers);
    let alive = status.writers.iter().filter(|writer| writer.alive).count();
    findings.measure(format!("writers {shown}"), alive as f64, "");
    status.barrier
}

/// What would be found after a power cut, and what the next tool will find.
fn state(
    status: &mut Status,
    user: bool,
    known: Option<&Path>,
    add: &mut impl FnMut(Level, &'static str, String),
) {
    match place::path(status.barrier.as_os_str(), user, known) {
        Ok(Some(path)) => {
            let shown = path.display();
            match State::load(&path) {
                Ok(Some(known)) => {
                    known.tell_report(status);
                    let (level, what) = match known.stranger(&status.uuid, &status.boot_id) {
                        Some(whose) => (
                            Level::Critical,
                            format!(
                                "is {whose}: losses are not remembered; run stillpoint create for it again"
                            ),
                        ),
                        None if !known.is_open() => (
                            Level::Critical,
                            "says that it was retired: a power cut would not be noticed; run stillpoint create for it again"
                                .to_owned(),
                        ),
                        None => {
                            if known.is_dirty() && !status.dirty.is_dirty() {
                                status.dirty.epoch = status.dirty.acknowledged.wrapping_add(1);
                            }
                            (Level::Ok, "is its own".to_owned())
                        }
                    };
                    add(level, "state", format!("{shown} {what}"));
                }
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
            Level::Unseen,
            "state",
            "is private: whether it has a durable state of its own is not known here, unless a job names it"
                .into(),
        ),
    }
    add_gone(status);
    if status.dirty.is_dirty() {
        let lost = status.lost.first().map(waiting::lost);
        let lost = lost.map(|who| format!(" ({who} last)")).unwrap_or_default();
        add(
            Level::Critical,
            "dirty",
            format!(
                "a writer was lost inside{lost}, and no snapshot is clean: check the store, then stillpoint recover --acknowledge {}",
                status.barrier.display()
            ),
        );
    }
}

/// Who keeps it closed, or keeps others from closing it.
fn gate(status: &Status, add: &mut impl FnMut(Level, &'static str, String)) {
    if status.abandoned {
        add(Level::Ok, "gate", ABANDONED.to_owned());
    }
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
    for user in status.flock.iter().filter(|user| !user.exclusive) {
        let runs = Process(user.pid).started().and_then(|since| since.elapsed().ok());
        if let Some(what) = shares_for_long(&who(user.pid, &user.comm, ""), runs) {
            add(Level::Warning, "gate", what);
        }
    }
    let long = |writer: &&stillpoint::WriterStatus| {
        writer.inside && writer.alive && writer.inside_at_least > LONG
    };
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

/// Who has had a share by flock(1) for long has run for long, and the kernel tells no more.
fn shares_for_long(who: &str, runs: Option<Duration>) -> Option<String> {
    let length = display(runs.filter(|length| *length > LONG)?);
    Some(format!(
        "{who} holds flock(1) on it, and has run for {length}: no snapshot gets in meanwhile"
    ))
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
        let times = pids.keys().filter_map(|pid| Process(*pid).started());
        let since = times.min().and_then(|since| since.elapsed().ok());
        let since = since.map(|since| format!(" for {}", display(since))).unwrap_or_default();
        format!("{} x {comm}{label}{since}", pids.len())
    });
    format!("who takes part: {}", shown.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_that_keeps_its_flock_is_a_warning_and_one_that_delivers_is_none() {
        let after = |seconds| shares_for_long("flock[7]", Some(Duration::from_secs(seconds)));
        assert_eq!(after(119), None);
        assert!(after(121).unwrap().starts_with("flock[7] holds flock(1)"));
        assert_eq!(shares_for_long("?", None), None);
    }
}
