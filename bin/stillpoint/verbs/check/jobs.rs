//! Jobs: is the file understood, how did the last run go, and does anything run it?

use std::path::Path;

use super::finding::{Findings, Level};
use crate::job::record::Record;
use crate::job::{Job, file};
use crate::process::tool;

/// The job, if it is understood.
pub fn check(name: &str, findings: &mut Findings) -> Option<Job> {
    let job = match Job::read(name) {
        Ok(job) => Some(job),
        Err(failure) => {
            findings.add(Level::Critical, "job", name, failure.to_string());
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
        Ok(Some(record)) => {
            let what = format!("has run since {}, or was cut short then", record.began);
            findings.add(Level::Ok, "job", name, what);
        }
        Ok(None) => findings.add(Level::Ok, "job", name, "was never run".to_owned()),
        Err(failure) => findings.add(Level::Unseen, "job", name, failure.to_string()),
    }
    timer(name, findings);
    job
}

/// What else may run it (cron, another tool) is not known.
fn timer(name: &str, findings: &mut Findings) {
    let mut unseen = |why: &str| {
        let what = format!("whether it is run by itself: {why}; cron is not looked at");
        findings.add(Level::Unseen, "timer", name, what);
    };
    if !Path::new("/run/systemd/system").exists() {
        return unseen("no systemd runs here");
    }
    let unit = format!("stillpoint-job@{}.timer", file::instance(name));
    let show = ["show", "--property=ActiveState", "--", &unit];
    let said = match tool::ask_within("systemctl", &show, tool::PATIENCE) {
        Ok(said) => said,
        Err(failure) => return unseen(&failure.to_string()),
    };
    let (level, what) = match said.trim().strip_prefix("ActiveState=") {
        Some("active") => (Level::Ok, format!("{unit} is active")),
        Some("failed") => (Level::Critical, format!("{unit} has failed")),
        _ => (
            Level::Warning,
            format!("{unit} is not active: systemctl enable --now {unit}, unless cron runs it"),
        ),
    };
    findings.add(level, "timer", name, what);
}
