//! Jobs: is the file understood, how did the last run go, and does anything run it?

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::finding::{Findings, Level};
use crate::job::record::{Record, is_running};
use crate::job::{Job, file};
use crate::process::tool;
use crate::words::exit::Exit;

/// The job, if it is understood.
pub fn check(name: &str, findings: &mut Findings) -> Option<Job> {
    let job = match Job::read(name) {
        Ok(job) => {
            surroundings(&job, findings);
            Some(job)
        }
        Err(failure) => {
            let level = if file::is_hidden(name) { Level::Unseen } else { Level::Critical };
            findings.add(level, "job", name, failure.to_string());
            None
        }
    };
    match Record::load(name) {
        Ok(Some(Record { exit: Some(0), ended: Some(ended), .. })) => {
            findings.add(Level::Ok, "job", name, format!("its last run went well, at {ended}"));
        }
        Ok(Some(Record { exit: Some(exit), failed, reason, .. })) => {
            let step = failed.map(|step| format!(" at {step}")).unwrap_or_default();
            let reason = reason.map(|why| format!(": {why}")).unwrap_or_default();
            let what = format!("its last run failed{step} with {exit}{reason}");
            findings.add(Level::Warning, "job", name, what);
        }
        Ok(Some(Record { began, .. })) => {
            let (level, what) = match is_running(name) {
                Some(true) => (Level::Ok, format!("has been running since {began}")),
                Some(false) => (
                    Level::Warning,
                    format!(
                        "its last run, that of {began}, was cut short; stillpoint job run {name} does it again"
                    ),
                ),
                None => {
                    (Level::Unseen, format!("has been running since {began}, or was cut short"))
                }
            };
            findings.add(level, "job", name, what);
        }
        Ok(None) if job.as_ref().is_some_and(Job::only_freezes) => {
            let what = "only freezes, for a host that takes the snapshot".to_owned();
            findings.add(Level::Ok, "job", name, what);
        }
        Ok(None) => findings.add(Level::Ok, "job", name, "was never run".to_owned()),
        Err(failure) => findings.add(Level::Unseen, "job", name, failure.to_string()),
    }
    timer(name, job.as_ref().is_some_and(Job::only_freezes), findings);
    job
}

/// What its next run needs, as far as that can be looked for in a moment.
fn surroundings(job: &Job, findings: &mut Findings) {
    let snapshot = &job.snapshot;
    let mut missing = |check, path: &Path| {
        let what = format!("{} is not there; is it mounted?", path.display());
        findings.add(Level::Critical, check, &job.name, what);
    };
    for source in snapshot.folders().filter(|source| !source.exists()) {
        missing("source", source);
    }
    if let Some(to) = snapshot.to.as_ref().filter(|to| !to.is_dir()) {
        missing("target", to);
    }
    let path = |name: &OsString| stillpoint::barrier_path(name, snapshot.user).ok();
    let barriers: Vec<PathBuf> = snapshot.barriers.iter().filter_map(path).collect();
    let closed: Vec<&Path> = barriers.iter().map(PathBuf::as_path).collect();
    let wanted = &snapshot.wanted;
    match wanted.check(snapshot.hold()).and_then(|()| wanted.try_barriers(&closed)) {
        Ok(None) => {}
        Ok(Some(doubt)) => findings.add(Level::Warning, "job", &job.name, doubt),
        Err(failure) => {
            let level = if failure.exit == Exit::DENIED { Level::Unseen } else { Level::Critical };
            findings.add(level, "job", &job.name, failure.to_string());
        }
    }
}

/// Has one of its runs gone well, so that there must be snapshots?
pub fn has_succeeded(job: &Job) -> bool {
    let record = Record::load(&job.name).ok().flatten();
    record.is_some_and(|record| record.succeeded.is_some())
}

/// What else may run it (cron, another tool) is not known. One that only freezes shall have none.
fn timer(name: &str, freezes: bool, findings: &mut Findings) {
    let unit = format!("stillpoint-job@{}.timer", file::instance(name));
    let state = state(&unit);
    let (level, what) = match (freezes, state.as_deref()) {
        (true, Ok("active")) => (
            Level::Warning,
            format!(
                "{unit} is active, and the job only freezes, which no timer can do: systemctl disable --now {unit}"
            ),
        ),
        (true, _) => return,
        (false, Err(why)) => {
            (Level::Unseen, format!("whether it is run by itself: {why}; cron is not looked at"))
        }
        (false, Ok("active")) => (Level::Ok, format!("{unit} is active")),
        (false, Ok("failed")) => (Level::Critical, format!("{unit} has failed")),
        (false, Ok(_)) => (
            Level::Warning,
            format!("{unit} is not active: systemctl enable --now {unit}, unless cron runs it"),
        ),
    };
    findings.add(level, "timer", name, what);
}

/// How systemd has a unit, or why that cannot be told.
fn state(unit: &str) -> Result<String, String> {
    if !Path::new("/run/systemd/system").exists() {
        return Err("no systemd runs here".to_owned());
    }
    let show = ["show", "--property=ActiveState", "--", unit];
    let said = tool::ask_within("systemctl", &show, tool::PATIENCE);
    let said = said.map_err(|failure| failure.to_string())?;
    Ok(said.trim().trim_start_matches("ActiveState=").to_owned())
}
