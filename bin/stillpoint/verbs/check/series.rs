//! The snapshots that were taken under a barrier: is there a new and clean one of each series, and room for the next?

use std::path::Path;
use std::time::{Duration, SystemTime};

use nix::sys::statvfs::statvfs;

use super::Arguments;
use super::finding::{Findings, Level, Measure};
use crate::catalogue::manifest::{Manifest, Status};
use crate::catalogue::reading::Contents;
use crate::catalogue::series::series;
use crate::words::seconds::display;

/// Of a file system: less than this is free.
const TIGHT: f64 = 0.10;
const FULL: f64 = 0.03;
/// A verdict comes in seconds.
const VERDICT: Duration = Duration::from_secs(600);

pub fn check(barrier: &Path, snapshots: &Contents, arguments: &Arguments, findings: &mut Findings) {
    let all = series(&snapshots.manifests);
    if all.is_empty() {
        let barrier = barrier.display().to_string();
        let (level, what) = match arguments.warn_age.or(arguments.critical_age) {
            Some(_) => {
                (Level::Critical, "no snapshot was ever taken; stillpoint snapshot takes one")
            }
            None => (Level::Ok, "no snapshot was ever taken"),
        };
        findings.add(level, "snapshots", &barrier, what.to_owned());
    }
    for one in all {
        let name = name(one[0]);
        age(&name, &one, arguments, findings);
        last(&name, &one, findings);
        waiting(&name, &one, findings);
        target(&name, &one, findings);
    }
}

/// A series, for people.
fn name(manifest: &Manifest) -> String {
    let sources: Vec<String> =
        manifest.sources.iter().map(|source| source.display().to_string()).collect();
    let what = match sources.is_empty() {
        true => manifest.provider.clone(),
        false => format!("{} by {}", sources.join(" "), manifest.provider),
    };
    manifest.label.as_ref().map_or(what.clone(), |label| format!("{what} ({label})"))
}

fn age(name: &str, one: &[&Manifest], arguments: &Arguments, findings: &mut Findings) {
    let clean = |manifest: &&&Manifest| manifest.clean && !manifest.source_changed;
    let newest = one.iter().rev().find(|manifest| clean(manifest) && manifest.is_usable());
    if let Some(gone) = one.iter().rev().find(clean).filter(|found| !found.is_usable()) {
        let what = format!("{} is in the catalogue, and its data is not where it was", gone.name);
        findings.add(Level::Warning, "snapshots", name, what);
    }
    let Some(newest) = newest else {
        let what = "there is no clean snapshot; stillpoint list shows why".to_owned();
        findings.add(Level::Critical, "age", name, what);
        return;
    };
    let taken = newest.taken_at().map(SystemTime::from);
    let Some(age) = taken.and_then(|taken| taken.elapsed().ok()) else {
        let what = format!("{}: taken in the future, by today's clock", newest.name);
        findings.add(Level::Unknown, "age", name, what);
        return;
    };
    let beyond = |limit: Option<Duration>| limit.is_some_and(|limit| age > limit);
    let level = match (beyond(arguments.critical_age), beyond(arguments.warn_age)) {
        (true, _) => Level::Critical,
        (_, true) => Level::Warning,
        _ => Level::Ok,
    };
    let what = format!("the newest clean snapshot, {}, is {} old", newest.name, display(age));
    findings.add(level, "age", name, what);
    findings.measures.push(Measure {
        label: format!("age {name}"),
        value: age.as_secs_f64().round(),
        unit: "s",
        warning: arguments.warn_age.map(|limit| limit.as_secs_f64()),
        critical: arguments.critical_age.map(|limit| limit.as_secs_f64()),
    });
}

/// How the last try ended.
fn last(name: &str, one: &[&Manifest], findings: &mut Findings) {
    let ended = |status| matches!(status, Status::Complete | Status::Failed | Status::Revoked);
    let Some(last) = one.iter().rev().find(|manifest| ended(manifest.status)) else { return };
    let why = last.reason.as_deref().unwrap_or("it is not said why");
    if last.status != Status::Complete {
        findings.add(Level::Warning, "last", name, format!("{} failed: {why}", last.name));
    } else if !last.clean {
        findings.add(Level::Warning, "last", name, format!("{} is not clean: {why}", last.name));
    } else if last.source_changed {
        let what = format!(
            "{}: the source is on another file system than before; is it mounted?",
            last.name
        );
        findings.add(Level::Critical, "last", name, what);
    }
}

/// Parts of a group's snapshots that nobody has told what became of it.
fn waiting(name: &str, one: &[&Manifest], findings: &mut Findings) {
    for manifest in one.iter().filter(|manifest| manifest.awaits_verdict()) {
        let taken = manifest.taken_at().map(SystemTime::from);
        let age = taken.and_then(|taken| taken.elapsed().ok()).unwrap_or_default();
        let Some(group) = manifest.group.as_ref().filter(|_| age > VERDICT) else { continue };
        let what = format!(
            "{} waits for the verdict on snapshot {} of group {} since {}; stillpoint settle says it",
            manifest.name,
            group.epoch,
            group.name,
            display(age)
        );
        findings.add(Level::Warning, "verdict", name, what);
    }
}

/// The folder that they are in: the same as before, and with room.
fn target(name: &str, one: &[&Manifest], findings: &mut Findings) {
    let complete = |manifest: &&&Manifest| manifest.status == Status::Complete;
    let Some(last) = one.iter().rev().find(complete) else { return };
    let Some(folder) = last.path.as_deref().and_then(Path::parent) else { return };
    let shown = folder.display();
    if last.missing_folder().is_some() {
        let what =
            format!("{shown} is not the folder that {} was put into; is it mounted?", last.name);
        findings.add(Level::Critical, "target", name, what);
        return;
    }
    let Ok(found) = statvfs(folder) else {
        findings.add(Level::Unseen, "target", name, format!("{shown}: how much room there is"));
        return;
    };
    let of = |free: u64, all: u64| if all == 0 { 1.0 } else { free as f64 / all as f64 };
    #[allow(clippy::unnecessary_cast, reason = "their width differs between platforms")]
    let (free, bytes) = (
        found.blocks_available() as u64 * found.fragment_size() as u64,
        of(found.blocks_available() as u64, found.blocks() as u64),
    );
    #[allow(clippy::unnecessary_cast, reason = "as above")]
    let inodes = of(found.files_available() as u64, found.files() as u64);
    let level = match bytes.min(inodes) {
        ..FULL => Level::Critical,
        ..TIGHT => Level::Warning,
        _ => Level::Ok,
    };
    let inodes = if inodes < bytes {
        format!(", {:.0} % of its inodes", inodes * 100.0)
    } else {
        String::new()
    };
    let gibibytes = free as f64 / (1_u64 << 30) as f64;
    let advice = if level > Level::Ok { "; stillpoint prune makes room" } else { "" };
    let what =
        format!("{shown} has {gibibytes:.1} GiB free, {:.0} %{inodes}{advice}", bytes * 100.0);
    findings.add(level, "room", name, what);
    findings.measure(format!("free {shown}"), free as f64, "B");
}
