//! `stillpoint check`: is everything as it should be? Looks, says what to do, and changes nothing.
//!
//! A plug-in of Nagios and of whatever speaks its language: the exit status is 0, 1, 2 or 3, the first line says the worst,
//! and what follows is a line for each thing that was looked at. What cannot be seen is said, and is no fault: who may see
//! more is told more.

mod barrier;
mod finding;
mod hooks;
mod jobs;
mod library;
mod report;
mod room;
mod schedule;
mod series;
mod writers;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::finding::{Findings, Level};
use self::jobs::has_succeeded;
use self::schedule::Limits;
use self::series::Ages;
use crate::barrier::folder;
use crate::catalogue::Catalogue;
use crate::catalogue::reading::Contents;
use crate::job::catalogues::catalogues;
use crate::job::{self, Job};
use crate::words::exit::{Exit, reason};
use crate::words::lines;
use crate::words::span;

/// Nothing is known: what a plug-in says of itself.
pub const UNKNOWN: Exit = Exit::new(3);

#[derive(clap::Args)]
pub struct Arguments {
    /// Print a JSON object
    #[arg(long)]
    json: bool,

    /// A newest clean snapshot older than this is a warning, as 26h
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    warn_age: Option<Duration>,

    /// A newest clean snapshot older than this is critical, as 50h
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    critical_age: Option<Duration>,

    /// The folder of the manifests; given again, that too [default: $STILLPOINT_CATALOG, else /var/lib/stillpoint/catalog, and those of the jobs]
    #[arg(long, value_name = "DIR")]
    catalog: Vec<PathBuf>,

    /// Look in $XDG_RUNTIME_DIR/stillpoint
    #[arg(long)]
    user: bool,

    /// Names or paths of barriers, or names of jobs, with their barriers [default: all]
    #[arg(value_name = "BARRIER|JOB")]
    barrier: Vec<OsString>,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    let mut findings = Findings::default();
    // Whatever keeps us from looking is said where a plug-in's reader finds it.
    if let Err(error) = look(&arguments, &mut findings) {
        findings.add(Level::Unknown, "check", "", lines::line(&error));
    }
    match arguments.json {
        true => report::json(&findings)?,
        false => report::text(&findings)?,
    }
    Ok(findings.worst().exit())
}

fn look(arguments: &Arguments, findings: &mut Findings) -> anyhow::Result<()> {
    let known = job::file::names();
    if let Err(failure) = &known {
        findings.add(Level::Unseen, "job", "", failure.to_string());
    }
    let known = known.unwrap_or_default();
    let mut paths = BTreeSet::new();
    let mut looked_at = Vec::new();
    let asked = Limits { warning: arguments.warn_age, critical: arguments.critical_age };
    let mut of_jobs = BTreeMap::new();
    let mut names: Vec<OsString> = arguments.barrier.clone();
    if names.is_empty() && !arguments.user {
        names.extend(known.iter().map(OsString::from));
    }
    if arguments.barrier.is_empty() {
        paths.extend(folder::expected(arguments.user)?);
    }
    let mut named = Vec::new();
    for name in &names {
        let of_job = name.to_str().filter(|name| known.iter().any(|job| job == name));
        let Some(of_job) = of_job.filter(|_| !arguments.user) else {
            paths.insert(stillpoint::barrier_path(name, arguments.user)?);
            continue;
        };
        if let Some(job) = jobs::check(of_job, findings) {
            if let (Some(label), true) = (&job.snapshot.label, asked == Limits::default()) {
                of_jobs.insert(label.clone(), schedule::limits(&job, findings));
            }
            named.push(of_job);
            for barrier in &job.snapshot.barriers {
                paths.insert(stillpoint::barrier_path(barrier, job.snapshot.user)?);
            }
            looked_at.push(job);
        }
    }
    // A barrier or its series may be named that is a job's.
    let jobs: Vec<Job> = known.iter().filter_map(|name| Job::read(name).ok()).collect();
    let (mut snapshots, mut are_all) = (Contents::default(), true);
    for catalogue in &catalogues(&arguments.catalog, &looked_at) {
        match read(catalogue, arguments, &jobs, findings) {
            Some(contents) => snapshots.manifests.extend(contents.manifests),
            None => are_all = false,
        }
    }
    if paths.is_empty() && names.is_empty() {
        let folder = stillpoint::barrier_folder(arguments.user)?;
        findings.add(
            Level::Unknown,
            "barrier",
            "",
            format!(
                "there are no barriers in {}; make one: stillpoint create NAME",
                folder.display()
            ),
        );
    }
    if are_all && asked != Limits::default() {
        let has_none = |job: &&Job| !snapshots.manifests.iter().any(|one| job.takes(one));
        let named = jobs.iter().filter(|job| named.contains(&job.name.as_str()));
        let named = named.filter(|job| !job.only_freezes());
        for job in named.filter(has_none) {
            let name = &job.name;
            let what = format!("has never taken a snapshot; stillpoint job run {name} does");
            findings.add(Level::Critical, "age", name, what);
        }
    }
    let ages = Ages { asked, of_jobs: &of_jobs };
    let mut barriers = BTreeSet::new();
    for path in &paths {
        let state = jobs.iter().find_map(|job| state_of(path, job));
        let barrier = barrier::check(path, arguments.user, state, findings);
        let of_barrier = snapshots.clone().under(&barrier);
        series::check(&barrier, &of_barrier, are_all, &ages, findings);
        writers::check(&barrier, &of_barrier, &jobs, findings);
        barriers.insert(barrier);
    }
    if arguments.barrier.is_empty() && !arguments.user {
        abandoned(&snapshots, &barriers, &ages, findings);
    }
    library::check(&barriers, findings);
    hooks::check(Path::new("/"), findings);
    Ok(())
}

/// Barriers that are not there, as after a restart of the machine, and under which snapshots were taken.
fn abandoned(
    snapshots: &Contents,
    known: &BTreeSet<PathBuf>,
    ages: &Ages<'_>,
    findings: &mut Findings,
) {
    let records = snapshots.manifests.iter().flat_map(|manifest| &manifest.barriers);
    let barriers: BTreeSet<&PathBuf> = records.map(|record| &record.barrier).collect();
    for barrier in barriers.into_iter().filter(|barrier| !known.contains(*barrier)) {
        let shown = barrier.display().to_string();
        let what = format!(
            "is not there, and snapshots were taken under it: stillpoint create {shown}; or remove their manifests, if none shall be taken any more"
        );
        findings.add(Level::Warning, "barrier", &shown, what);
        series::check(barrier, &snapshots.clone().under(barrier), true, ages, findings);
    }
}

/// Where a job says that the state of this barrier is kept.
fn state_of<'a>(barrier: &Path, job: &'a Job) -> Option<&'a Path> {
    let is_it = |name: &OsString| {
        stillpoint::barrier_path(name, job.snapshot.user).is_ok_and(|path| path == barrier)
    };
    job.snapshot.state.as_deref().filter(|_| job.snapshot.barriers.iter().any(is_it))
}

/// `None`: it cannot be read.
fn read(
    catalogue: &Catalogue,
    arguments: &Arguments,
    jobs: &[Job],
    findings: &mut Findings,
) -> Option<Contents> {
    let folder = catalogue.folder().display().to_string();
    match catalogue.read() {
        Ok(contents) => {
            for (path, what) in &contents.damaged {
                let what = format!("is no manifest: {what}; move it out of the catalogue");
                findings.add(Level::Warning, "catalogue", &path.display().to_string(), what);
            }
            Some(contents)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let is_its = |job: &&Job| {
                Catalogue::locate(job.snapshot.catalog.as_deref()).folder() == catalogue.folder()
            };
            let (level, what) = match jobs.iter().filter(is_its).find(|job| has_succeeded(job)) {
                Some(job) => (
                    Level::Critical,
                    format!("is not there, and job {} has written to it; is it mounted?", job.name),
                ),
                None if !arguments.catalog.is_empty() => {
                    (Level::Warning, "is not there; the first snapshot makes it".to_owned())
                }
                None => (Level::Ok, "is not there: no snapshot is known of".to_owned()),
            };
            findings.add(level, "catalogue", &folder, what);
            Some(Contents::default())
        }
        Err(error) => {
            let what = format!("cannot be read: {}", reason(&error));
            findings.add(Level::Unknown, "catalogue", &folder, what);
            None
        }
    }
}
