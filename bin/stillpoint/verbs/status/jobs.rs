//! What Prometheus is told of jobs: each has its samples, also one that was never run.

use std::path::PathBuf;

use super::Report;
use crate::job::record::{Record, is_running};
use crate::job::{Job, file};
use crate::words::exit::Failure;
use crate::words::exposition::Exposition;
use crate::words::metric;

/// The barriers that they name, which should be there. False: not all of it could be read.
pub fn add(exposition: &mut Exposition, report: &mut Report) -> (Vec<PathBuf>, bool) {
    let (mut barriers, mut complete) = (Vec::new(), true);
    let names = file::names().unwrap_or_else(|failure| {
        complete = false;
        report.complain(&failure.into());
        Vec::new()
    });
    for name in names {
        let labels = [("stillpoint_job", name.as_str())];
        let job = Job::read(&name);
        exposition.add(&metric::JOB_READABLE, &labels, f64::from(u8::from(job.is_ok())));
        if let Ok(job) = &job {
            let paths = job.snapshot.barriers.iter();
            barriers.extend(
                paths.filter_map(|one| stillpoint::barrier_path(one, job.snapshot.user).ok()),
            );
        }
        if let Some(running) = is_running(&name) {
            exposition.add(&metric::JOB_RUNNING, &labels, f64::from(u8::from(running)));
        }
        match Record::load(&name) {
            Ok(record) => add_record(exposition, &labels, record.as_ref()),
            Err(failure) => {
                complete = false;
                report.complain(&Failure::into(failure));
            }
        }
    }
    (barriers, complete)
}

fn add_record(exposition: &mut Exposition, labels: &[(&str, &str)], record: Option<&Record>) {
    let time = |text: Option<&String>| {
        let time = text.and_then(|text| text.parse::<jiff::Timestamp>().ok());
        time.map_or(0.0, |time| time.as_millisecond() as f64 / 1e3)
    };
    let began = record.map(|record| &record.began);
    let ended = record.and_then(|record| record.ended.as_ref());
    let succeeded = record.and_then(|record| record.succeeded.as_ref());
    exposition.add(&metric::JOB_START, labels, time(began));
    exposition.add(&metric::JOB_END, labels, time(ended));
    exposition.add(&metric::JOB_SUCCESS, labels, time(succeeded));
    if let Some(exit) = record.and_then(|record| record.exit) {
        exposition.add(&metric::JOB_EXIT, labels, exit.into());
    }
}
