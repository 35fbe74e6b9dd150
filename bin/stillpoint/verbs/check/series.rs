//! The snapshots that were taken under a barrier: is there a new and clean one of each series?

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::finding::{Findings, Level, Measure};
use super::room;
use super::schedule::Limits;
use crate::catalogue::cover::Sight;
use crate::catalogue::manifest::{Manifest, Status};
use crate::catalogue::reading::Contents;
use crate::catalogue::series::{given_up, leading, leads_elsewhere, series};
use crate::stilling::cover;
use crate::words::seconds::display;

/// A verdict comes in seconds.
const VERDICT: Duration = Duration::from_secs(600);

/// Beyond what age a newest clean snapshot is too old: as the options say, else as the job of its label is run.
pub struct Ages<'a> {
    pub asked: Limits,
    pub of_jobs: &'a BTreeMap<String, Limits>,
}

impl Ages<'_> {
    fn limits(&self, manifest: &Manifest) -> Limits {
        let of_job = manifest.label.as_ref().and_then(|label| self.of_jobs.get(label));
        match self.asked {
            Limits { warning: None, critical: None } => of_job.copied().unwrap_or_default(),
            asked => asked,
        }
    }
}

/// `are_all`: no catalogue was left out that could not be read.
pub fn check(
    barrier: &Path,
    snapshots: &Contents,
    are_all: bool,
    ages: &Ages<'_>,
    findings: &mut Findings,
) {
    let all = series(&snapshots.manifests);
    if all.is_empty() && are_all {
        let barrier = barrier.display().to_string();
        let (level, what) = match ages.asked.warning.or(ages.asked.critical) {
            Some(_) => {
                (Level::Critical, "no snapshot was ever taken; stillpoint snapshot takes one")
            }
            None => (Level::Ok, "no snapshot was ever taken"),
        };
        findings.add(level, "age", &barrier, what.to_owned());
    }
    for one in all {
        let name = name(one[0]);
        if let Some(later) = given_up(&one, &snapshots.manifests) {
            let what = format!("all of it failed, and {} has the same since", later.name);
            findings.add(Level::Ok, "age", &name, what);
            continue;
        }
        if let Some((now, then)) = ended(&one, &snapshots.manifests) {
            let what = format!(
                "ended with {}, as its source is another folder since ({}); remove its manifests once nobody needs them",
                then.name,
                leading(now, then)
            );
            findings.add(Level::Warning, "source", &name, what);
            continue;
        }
        age(&name, &one, ages.limits(one[0]), findings);
        last(&name, &one, findings);
        waiting(&name, &one, findings);
        room::check(&name, &one, findings);
    }
}

/// The first of another series that has taken its place, as its source leads elsewhere, and its own last.
fn ended<'a>(one: &[&'a Manifest], all: &'a [Manifest]) -> Option<(&'a Manifest, &'a Manifest)> {
    let complete = |manifest: &&&Manifest| manifest.status == Status::Complete;
    let last = *one.iter().rfind(complete)?;
    let takes_over = |later: &&Manifest| {
        later.status == Status::Complete && later.began > last.began && leads_elsewhere(later, last)
    };
    all.iter().find(takes_over).map(|later| (later, last))
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

fn age(name: &str, one: &[&Manifest], limits: Limits, findings: &mut Findings) {
    let clean = |manifest: &&&Manifest| manifest.clean && !manifest.source_changed;
    let newest = one.iter().rev().find(|manifest| clean(manifest) && manifest.is_usable());
    if let Some(gone) = one.iter().rev().find(clean).filter(|found| !found.is_usable()) {
        let what = format!("{} is in the catalogue, and its data is not where it was", gone.name);
        findings.add(Level::Warning, "age", name, what);
    }
    let Some(newest) = newest else {
        let what = "there is no clean snapshot; stillpoint list shows why; \
                    if none shall be taken any more, remove its manifests";
        findings.add(Level::Critical, "age", name, what.to_owned());
        return;
    };
    let taken = newest.taken_at().map(SystemTime::from);
    let Some(age) = taken.and_then(|taken| taken.elapsed().ok()) else {
        let what = format!("{}: taken in the future, by today's clock", newest.name);
        findings.add(Level::Unknown, "age", name, what);
        return;
    };
    let beyond = |limit: Option<Duration>| limit.is_some_and(|limit| age > limit);
    let level = match (beyond(limits.critical), beyond(limits.warning)) {
        (true, _) => Level::Critical,
        (_, true) => Level::Warning,
        _ => Level::Ok,
    };
    let what = format!("the newest clean snapshot, {}, is {} old", newest.name, display(age));
    findings.add(level, "age", name, what);
    findings.add_measure(Measure {
        label: format!("age {name}"),
        value: age.as_secs_f64().round(),
        unit: "s",
        warning: limits.warning.map(|limit| limit.as_secs_f64()),
        critical: limits.critical.map(|limit| limit.as_secs_f64()),
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
    } else if last.covered == Some(false) {
        let sight = Sight { writers: last.writers.clone(), unseen: None };
        let who = cover::complaint(&sight).unwrap_or_else(|| "not covered".to_owned());
        findings.add(Level::Warning, "last", name, format!("{}: {who}", last.name));
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
