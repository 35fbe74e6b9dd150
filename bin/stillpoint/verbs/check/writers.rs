//! Who writes where snapshots are taken from, and does not take part.
//!
//! What is frozen, or stilled by a participant, only the snapshot knows: who was stilled in the last one is taken to be so in
//! the next. Whether it waits for the locks of those who are adopted its job says; where it has none, that is said. Everybody
//! else is looked at as `adopt check` does, with its advice.

use std::path::{Path, PathBuf};

use super::finding::{Findings, Level};
use crate::adoption::advice::Adviser;
use crate::adoption::library::Library;
use crate::adoption::settings::Settings;
use crate::catalogue::cover::{CoverRecord, How};
use crate::catalogue::manifest::{Manifest, Status};
use crate::catalogue::reading::Contents;
use crate::catalogue::series::series;
use crate::job::Job;
use crate::snapshot::foreign::cyrus::Cyrus;
use crate::snapshot::place::sources::have_changed;
use crate::stilling::cover::{self, Extent, Means, Places};
use crate::words::waiting::who;

pub fn check(barrier: &Path, snapshots: &Contents, jobs: &[Job], findings: &mut Findings) {
    for one in series(&snapshots.manifests) {
        let Some(last) = one.last() else { continue };
        let complete = |manifest: &&&Manifest| manifest.status == Status::Complete;
        let before = one.iter().rev().find(complete).filter(|before| !before.source_changed);
        // Names of datasets and volumes are no paths.
        let sources = last.sources.iter().filter(|source| source.is_absolute() && source.is_dir());
        let sources: Vec<PathBuf> = sources.cloned().collect();
        for source in last.sources.iter().filter(|path| path.is_absolute() && !path.exists()) {
            let what = "is not there, and snapshots were taken of it; is it mounted?".to_owned();
            findings.add(Level::Critical, "source", &source.display().to_string(), what);
        }
        let elsewhere = before.filter(|_| sources.len() == last.sources.len());
        if let Some(what) = elsewhere.and_then(|before| have_changed(before, snapshots)) {
            findings.add(Level::Critical, "source", "", what);
        }
        if !sources.is_empty() {
            let job = jobs.iter().find(|job| job.takes(last));
            look(barrier, last, sources, job, findings);
        }
        cyrus(last, findings);
    }
}

fn look(
    barrier: &Path,
    last: &Manifest,
    sources: Vec<PathBuf>,
    job: Option<&Job>,
    findings: &mut Findings,
) {
    let shown: Vec<String> = sources.iter().map(|source| source.display().to_string()).collect();
    let shown = shown.join(" ");
    let (library, settings) = (Library::find(), Settings::read(None));
    let means = Means {
        barriers: vec![barrier.to_owned()],
        adopted: job.map_or(&sources, |job| &job.snapshot.wanted.adopted).clone(),
        foreign: last.foreign.iter().map(|lock| lock.path.clone()).collect(),
        cyrus: last.foreign.iter().any(|lock| lock.kind == "cyrus"),
        ..Means::default()
    };
    let sight = cover::look(&Places { folders: sources, extent: Extent::Mounts }, &means);
    let was_stilled = |writer: &CoverRecord| {
        let by_others = [How::Frozen, How::Participant, How::Foreign];
        let is_it =
            |before: &&CoverRecord| (&before.comm, &before.unit) == (&writer.comm, &writer.unit);
        last.writers.iter().find(is_it).is_some_and(|before| by_others.contains(&before.how))
    };
    let by_locks = sight.writers.iter().any(|writer| writer.how == How::Adopted);
    // Who takes it by hand has to say so.
    let with = match by_locks && job.is_none() {
        true => format!(" with --adopted {shown}"),
        false => String::new(),
    };
    let adviser = Adviser { library: library.as_ref().ok(), settings: settings.as_ref().ok() };
    let mut well = true;
    for writer in sight.uncovered().filter(|writer| !was_stilled(writer)) {
        well = false;
        let name = who(writer.pid, &writer.comm, writer.unit.as_deref().unwrap_or_default());
        let advice = adviser.about(writer).map(|advice| format!("; {advice}")).unwrap_or_default();
        let what = format!("{name} writes here and is not stilled{advice}");
        findings.add(Level::Warning, "cover", &shown, what);
    }
    match sight.unseen {
        Some(unseen) => findings.add(Level::Unseen, "cover", &shown, unseen),
        None if well => {
            let what = match sight.writers.len() {
                0 => "nobody has files open for writing".to_owned(),
                count => format!("all {count} that write here are stilled in a pause{with}"),
            };
            findings.add(Level::Ok, "cover", &shown, what);
        }
        None => {}
    }
}

/// Its lock was asked for the last time: will that be so again?
fn cyrus(last: &Manifest, findings: &mut Findings) {
    let Some(lock) = last.foreign.iter().find(|lock| lock.kind == "cyrus") else { return };
    let configuration = Path::new("/etc/imapd.conf");
    let shown = configuration.display().to_string();
    let what = match Cyrus::configured(configuration) {
        Ok(cyrus) if cyrus.lock_file() == lock.path => match cyrus.check() {
            Ok(()) => {
                return findings.add(Level::Ok, "cyrus", &shown, "its lock will be taken".into());
            }
            Err(failure) => failure.to_string(),
        },
        // It was another file of settings.
        Ok(_) => return,
        Err(failure) => failure.to_string(),
    };
    findings.add(Level::Warning, "cyrus", &shown, what);
}
