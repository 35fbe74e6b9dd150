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
use self::schedule::Limits;
use self::series::Ages;
use crate::barrier::folder;
use crate::catalogue::Catalogue;
use crate::catalogue::reading::Contents;
use crate::job;
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

    /// The folder of the manifests [default: $STILLPOINT_CATALOG, else /var/lib/stillpoint/catalog]
    #[arg(long, value_name = "DIR")]
    catalog: Option<PathBuf>,

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
    let mut catalogues = BTreeSet::from([Catalogue::locate(arguments.catalog.as_deref())]);
    let asked = Limits { warning: arguments.warn_age, critical: arguments.critical_age };
    let mut of_jobs = BTreeMap::new();
    let mut names: Vec<OsString> = arguments.barrier.clone();
    if names.is_empty() && !arguments.user {
        names.extend(known.iter().map(OsString::from));
    }
    if arguments.barrier.is_empty() {
        paths.extend(folder::expected(arguments.user)?);
    }
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
            if arguments.catalog.is_none() {
                catalogues.insert(Catalogue::locate(job.snapshot.catalog.as_deref()));
            }
            for barrier in &job.snapshot.barriers {
                paths.insert(stillpoint::barrier_path(barrier, job.snapshot.user)?);
            }
        }
    }
    if paths.is_empty() {
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
    let mut snapshots = Contents::default();
    for catalogue in &catalogues {
        snapshots.manifests.extend(read(catalogue, findings).manifests);
    }
    let ages = Ages { asked, of_jobs: &of_jobs };
    let mut barriers = BTreeSet::new();
    for path in &paths {
        let barrier = barrier::check(path, arguments.user, findings);
        let of_barrier = snapshots.clone().under(&barrier);
        series::check(&barrier, &of_barrier, &ages, findings);
        writers::check(&barrier, &of_barrier, findings);
        barriers.insert(barrier);
    }
    library::check(&barriers, findings);
    hooks::check(Path::new("/"), findings);
    Ok(())
}

fn read(catalogue: &Catalogue, findings: &mut Findings) -> Contents {
    let folder = catalogue.folder().display().to_string();
    match catalogue.read() {
        Ok(contents) => {
            for (path, what) in &contents.damaged {
                let what = format!("is no manifest: {what}; move it out of the catalogue");
                findings.add(Level::Warning, "catalogue", &path.display().to_string(), what);
            }
            contents
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let what = "is not there: no snapshot was taken yet".to_owned();
            findings.add(Level::Ok, "catalogue", &folder, what);
            Contents::default()
        }
        Err(error) => {
            let what = format!("cannot be read: {}", reason(&error));
            findings.add(Level::Unknown, "catalogue", &folder, what);
            Contents::default()
        }
    }
}
