//! The judge, from outside: nothing that the victim says is believed that can be seen otherwise.

use crate::common::{Place, at_once, ms, until};
use crate::scene::Before;
use crate::stage::{FILE, Stage, Violation};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};
use stillpoint::{Barrier, ErrorKind, Kind, WriterStatus};

/// Errors that a fault of the system may lead to.
const KINDS: [&str; 15] = [
    "Busy",
    "Create",
    "Denied",
    "Exists",
    "Full",
    "InUse",
    "Insecure",
    "Missing",
    "NotABarrier",
    "Revoked",
    "System",
    "Unavailable",
    "Unreachable",
    "Unsupported",
    "Version",
];

/// What a live process has open of a barrier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub descriptors: usize,
    pub maps: usize,
}

impl Usage {
    pub fn of(pid: u32, path: &Path) -> Usage {
        let links = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let descriptors =
            links.filter(|link| fs::read_link(link.path()).is_ok_and(|to| to == path)).count();
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
        let path = path.display().to_string();
        Usage { descriptors, maps: maps.lines().filter(|line| line.ends_with(&path)).count() }
    }
}

/// An error is one line of a documented kind that names the path.
pub fn clear(answer: &str, path: &Path) -> Result<(), Violation> {
    let mut words = answer.splitn(3, ' ');
    let (kind, text) = (words.nth(1).unwrap_or(""), words.next().unwrap_or(""));
    if !KINDS.contains(&kind) {
        return Err(format!("not an error that is documented: {answer}"));
    }
    if !text.contains(&path.display().to_string()) || text.contains('\n') || text.len() > 400 {
        return Err(format!("not a clear line: {answer}"));
    }
    Ok(())
}

/// The barrier works: a healthy writer gets in and a healthy tool is granted, in bounded time. One that
/// is missing can be made.
pub fn healthy(path: &Path, may_be_missing: bool) -> Result<(), Violation> {
    let began = Instant::now();
    let barrier = match Barrier::open(path) {
        Err(error) if error.kind() == ErrorKind::Missing && may_be_missing => Barrier::create(path),
        Err(error) if error.kind() == ErrorKind::NotABarrier && may_be_missing => {
            Barrier::create(path)
        }
        result => result,
    };
    let barrier = barrier.map_err(|error| format!("cannot be opened: {error}"))?;
    if [barrier.uuid(), barrier.boot_id()].contains(&"0".repeat(32)) {
        return Err("it has no identity".into());
    }
    let share = barrier.shared_timeout(ms(2000)).map_err(|error| format!("a writer: {error}"))?;
    drop(share);
    let mut limits = at_once(1500).wait(ms(2500));
    let pause = barrier.exclusive(&mut limits).map_err(|error| format!("a tool: {error}"))?;
    if barrier.status().is_ok_and(|status| !status.closed) {
        return Err("the gate is open in a pause".into());
    }
    pause.release().map_err(|error| format!("a release: {error}"))?;
    // Each of these has limits of its own; what lies between them is for a busy machine.
    match began.elapsed() {
        long if long > Duration::from_secs(15) => Err(format!("healthy only after {long:?}")),
        _ => Ok(()),
    }
}

/// Judges a victim that has answered everything. `aside`: it could not remove what it made aside.
pub fn alive(stage: &mut Stage, clean: Option<Usage>, aside: bool) -> Result<Usage, Violation> {
    let (path, pid) = (stage.path(), stage.target());
    let usage = Usage::of(pid, &path);
    if let Some(clean) = clean
        // The spare descriptor is opened when a question is asked for the first time.
        && (usage.descriptors > clean.descriptors.max(1) || usage.maps > clean.maps)
    {
        return Err(format!("{usage:?} are left where {clean:?} should be"));
    }
    let owned: Vec<_> = match stage.status() {
        Ok(status) => status.writers,
        Err(_) => Vec::new(),
    };
    for writer in owned.iter().filter(|writer| writer.pid == pid) {
        if writer.inside || !writer.alive {
            return Err(format!("it is outside and lives, but is seen as {writer:?}"));
        }
    }
    healthy(&path, may_be_missing(stage))?;
    let expected = stage.epoch + stage.scene.lost + stage.claims.lost + lost_by_the_other(stage);
    check_epoch(stage, expected, expected)?;
    stage.bury();
    stage.other_dies();
    nothing_left(stage, aside)?;
    Ok(usage)
}

/// Judges what a victim that died has left.
pub fn dead(stage: &mut Stage) -> Result<(), Violation> {
    let path = stage.path();
    let left = stage.claims.left(stage.interrupted());
    stage.bury();
    stage.other_dies();
    let others = lost_by_the_other(stage);
    // What stands in the slots of the dead is what must be recorded, no more and no less, beyond
    // what the victim itself has recorded.
    let unwatched = stage.scene.act.contains("unwatched");
    let before = stage.status().ok();
    healthy(&path, may_be_missing(stage))?;
    if let Some(before) = before.filter(|_| stage.scene.before != Before::OtherBoot) {
        let odd: Vec<_> =
            before.writers.iter().filter(|writer| writer.inside && !writer.alive).collect();
        let found = before.dirty.epoch + if unwatched { 0 } else { odd.len() as u32 };
        check_epoch(stage, found, found)?;
        if !unwatched {
            check_lines(stage, &odd)?;
        }
    }
    // Once at least, twice at most.
    let least = left.surely + others + stage.scene.lost;
    // What was made half of an empty file may have been a barrier, for all that can be told.
    let half = u32::from(stage.scene.before == Before::Empty);
    check_epoch(stage, stage.epoch + least, stage.epoch + 2 * (least + left.perhaps) + half)?;
    nothing_left(stage, true)
}

fn may_be_missing(stage: &Stage) -> bool {
    stage.scene.before != Before::Ready || stage.scene.act.contains("retire")
}

/// Losses by a neighbour that is dead already.
fn lost_by_the_other(stage: &Stage) -> u32 {
    if stage.other.is_none() { stage.others_claims.inside() } else { 0 }
}

fn check_epoch(stage: &Stage, least: u32, most: u32) -> Result<(), Violation> {
    let epoch = stage.status().map_err(|error| error.to_string())?.dirty.epoch;
    if (least..=most).contains(&epoch) {
        return Ok(());
    }
    Err(format!("the dirty epoch is {epoch} where {least} to {most} would be right"))
}

/// What is recorded says where those had taken their shares, as their slots did: a thread always.
fn check_lines(stage: &Stage, odd: &[&WriterStatus]) -> Result<(), Violation> {
    let is_right = |writer: &&&WriterStatus| match writer.kind {
        Kind::Thread => writer.place.strip_prefix("tests/participant/").is_some_and(|line| {
            line.split_once(".rs:").is_some_and(|(_, number)| number.parse::<u32>().is_ok())
        }),
        _ => writer.place.is_empty(),
    };
    if let Some(wrong) = odd.iter().find(|writer| !is_right(writer)) {
        return Err(format!("it is inside from nowhere: {wrong:?}"));
    }
    let lost = stage.status().map_err(|error| error.to_string())?.lost;
    let mut recorded: Vec<_> = lost.iter().take(odd.len()).map(|lost| &lost.place).collect();
    let mut stood: Vec<_> = odd.iter().map(|writer| &writer.place).collect();
    recorded.sort_unstable();
    stood.sort_unstable();
    if recorded == stood {
        return Ok(());
    }
    Err(format!("{recorded:?} are recorded where {stood:?} stood"))
}

fn nothing_left(stage: &Stage, aside: bool) -> Result<(), Violation> {
    no_locks(&stage.place)?;
    no_files(&stage.place, aside)
}

/// No lock is left on the barrier.
pub fn no_locks(place: &Place) -> Result<(), Violation> {
    let Ok(meta) = fs::metadata(place.barrier_path()) else { return Ok(()) };
    let place = format!(":{:02x}:{} ", nix::sys::stat::minor(meta.dev()), meta.ino());
    until("all locks are gone", || {
        let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
        !locks.lines().any(|line| line.contains(&place))
    });
    Ok(())
}

/// No file is left. `aside`: except one that was being made, by a process that was killed or could
/// not remove it. Nobody ever uses that one. A barrier's goes with its tmpfs, at the next boot; one of
/// the durable state with the next that is written there.
pub fn no_files(place: &Place, aside: bool) -> Result<(), Violation> {
    for entry in fs::read_dir(place.folder()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let aside = aside && name.starts_with(".stillpoint-");
        let known = ["mail.barrier", "mail.state", "catalog", FILE, "trace", "steps"];
        if !known.contains(&name.as_str()) && !aside {
            return Err(format!("{name} is left behind"));
        }
    }
    Ok(())
}
