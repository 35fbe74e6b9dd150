//! The report for Prometheus: all that can be read at any time, and nothing that only a run knows.
//!
//! What is missing is told by a sample, as nobody sees one that is not there: a barrier that should be there, a snapshot
//! that was never taken.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use stillpoint::{ErrorKind, Status};

use super::{Arguments, Line, Report, durable, jobs, uncounted, with_users, writers};
use crate::barrier::folder;
use crate::catalogue::Catalogue;
use crate::catalogue::reading::Contents;
use crate::files::names::without_links;
use crate::job::catalogues::of_machine;
use crate::metrics::series;
use crate::words::exit::{Exit, Failure};
use crate::words::exposition::Exposition;
use crate::words::metric;

/// Everything about the barriers that are asked for.
pub fn report(arguments: &Arguments) -> anyhow::Result<Report> {
    let mut report = Report::new();
    let mut exposition = Exposition::default();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    exposition.add(&metric::REPORT_TIME, &[], now.as_secs_f64());
    let mut snapshots = Contents::default();
    // The jobs have samples of their own, which say what is wrong with one.
    for catalogue in of_machine(&arguments.catalog, arguments.user, |_| {}) {
        match read(&catalogue, !arguments.catalog.is_empty()) {
            Ok(found) => {
                snapshots.manifests.extend(found.manifests);
                snapshots.damaged.extend(found.damaged);
            }
            Err(failure) => report.complain(&failure.into()),
        }
    }
    exposition.add(&metric::DAMAGED, &[], snapshots.damaged.len() as f64);
    snapshots.manifests.retain(|manifest| arguments.filter.takes(manifest));
    let mut could_all_be_read = !report.is_failed();
    let named = !arguments.barrier.is_empty();
    // One sample twice would make a scraper refuse all of them.
    let mut exposed = BTreeSet::new();
    let mut paths = asked_for(arguments)?;
    if !named && !arguments.user {
        let (barriers, complete) = jobs::add(&mut exposition, &mut report);
        paths.extend(barriers);
        could_all_be_read &= complete;
    }
    for path in paths {
        let mut add = |barrier: &Path, is_there: bool| {
            let is_new = exposed.insert(barrier.to_owned());
            if is_new {
                let labels = [("barrier", &*barrier.to_string_lossy())];
                exposition.add(&metric::PRESENT, &labels, flag(is_there));
                let snapshots = snapshots.clone().under(barrier);
                series::add(&mut exposition, &barrier.to_string_lossy(), &snapshots);
            }
            is_new
        };
        let mut status = match Status::read(&path) {
            Ok(status) => status,
            Err(error) => {
                match error.kind() {
                    ErrorKind::Missing | ErrorKind::NotABarrier => {
                        add(&without_links(&path), false);
                    }
                    _ => could_all_be_read = false,
                }
                // The sample says it of those that nobody has named.
                if named || error.kind() != ErrorKind::Missing {
                    report.complain(&with_users(error, &path));
                }
                continue;
            }
        };
        match durable::add(&mut status, arguments.user) {
            Ok(note) => report.lines.extend(note.map(Line::Note)),
            Err(error) => {
                could_all_be_read = false;
                report.complain(&error);
            }
        }
        writers::keep(&mut status);
        if add(&status.barrier, true) {
            add_barrier(&mut exposition, &status);
        }
    }
    if !named && !arguments.user {
        add_abandoned(&mut exposition, &snapshots, &exposed);
    }
    exposition.add(&metric::REPORT_COMPLETE, &[], flag(could_all_be_read));
    report.text = exposition.text();
    Ok(report)
}

/// Series under barriers that nobody knows any more, as after a restart of the machine: they grow old all the same.
fn add_abandoned(exposition: &mut Exposition, snapshots: &Contents, exposed: &BTreeSet<PathBuf>) {
    let records = snapshots.manifests.iter().flat_map(|manifest| &manifest.barriers);
    let barriers: BTreeSet<&PathBuf> = records.map(|record| &record.barrier).collect();
    for barrier in barriers.into_iter().filter(|barrier| !exposed.contains(*barrier)) {
        series::add(exposition, &barrier.to_string_lossy(), &snapshots.clone().under(barrier));
    }
}

/// Those that are named; else all that are there, and those that should be.
fn asked_for(arguments: &Arguments) -> anyhow::Result<BTreeSet<PathBuf>> {
    let path = |name: &OsString| stillpoint::barrier_path(name, arguments.user);
    match arguments.barrier.is_empty() {
        true => folder::expected(arguments.user),
        false => Ok(arguments.barrier.iter().map(path).collect::<Result<_, _>>()?),
    }
}

fn flag(set: bool) -> f64 {
    f64::from(u8::from(set))
}

/// What there is to say of a barrier that is there.
fn add_barrier(exposition: &mut Exposition, status: &Status) {
    let barrier = status.barrier.to_string_lossy();
    let labels = [("barrier", &*barrier)];
    let count = |which: &dyn Fn(&stillpoint::WriterStatus) -> bool| {
        status.writers.iter().filter(|writer| writer.alive && which(writer)).count() as f64
    };
    let (dirty, stats) = (&status.dirty, &status.stats);
    let samples = [
        (&metric::WRITERS, count(&|_| true)),
        (&metric::INSIDE, count(&|writer| writer.inside)),
        (&metric::WAITING, count(&|writer| writer.waiting.is_some())),
        (&metric::FLOCK, status.flock.len() as f64),
        (&metric::CLOSED, flag(status.closed)),
        (&metric::GENERATION, status.generation.into()),
        (&metric::WANTED, flag(status.wanted)),
        (&metric::DIRTY_EPOCH, dirty.epoch.into()),
        (&metric::ACKNOWLEDGED, dirty.acknowledged.into()),
        (&metric::DIRTY, flag(dirty.is_dirty() || uncounted(status) > 0)),
        (&metric::LAST_PAUSE, stats.last_pause.as_secs_f64()),
        (&metric::PAUSES, stats.pauses.into()),
        (&metric::REVOCATIONS, stats.revocations.into()),
        (&metric::DRAIN_TIMEOUTS, stats.drain_timeouts.into()),
    ];
    for (metric, value) in samples {
        exposition.add(metric, &labels, value);
    }
    if let Some(stragglers) = &status.stragglers {
        exposition.add(&metric::STRAGGLERS, &labels, stragglers.len() as f64);
    }
    exposition.histogram(&metric::PAUSE, &labels, &stats.lengths, stats.total_pause);
}

/// What a catalogue has. That there is none says that there are no snapshots, if nobody has named it.
fn read(catalogue: &Catalogue, is_named: bool) -> Result<Contents, Failure> {
    match catalogue.read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !is_named => {
            Ok(Contents::default())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = catalogue.folder().display();
            Err(Failure::new(Exit::MISSING, format!("{folder}: there is no such catalogue")))
        }
        Err(error) => Err(Failure::system(catalogue.folder().display(), error)),
        Ok(contents) => Ok(contents),
    }
}
