//! Whether anything takes snapshots by itself: a timer of systemd. What else may (cron, another tool) is not known.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use super::finding::{Findings, Level};
use crate::process::tool;

/// A systemd that hangs is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

pub fn check(barrier: &Path, user: bool, findings: &mut Findings) {
    let is_named = barrier.extension() == Some(OsStr::new("barrier"))
        && stillpoint::barrier_folder(user).is_ok_and(|folder| {
            folder.canonicalize().ok() == barrier.parent().and_then(|own| own.canonicalize().ok())
        });
    let Some(name) = barrier.file_stem().and_then(OsStr::to_str).filter(|_| is_named) else {
        return;
    };
    let shown = barrier.display().to_string();
    let mut unseen = |why: &str| {
        let what = format!("whether snapshots are scheduled: {why}; cron is not looked at");
        findings.add(Level::Unseen, "timer", &shown, what);
    };
    if !Path::new("/run/systemd/system").exists() {
        return unseen("no systemd runs here");
    }
    let unit = |kind: &str| format!("stillpoint-snapshot@{name}.{kind}");
    let (timer, service) = (unit("timer"), unit("service"));
    let show = ["show", "--property=ActiveState", "--property=Result", "--", &timer, &service];
    let said = match tool::ask_within("systemctl", &show, PATIENCE) {
        Ok(said) => said,
        Err(failure) => return unseen(&failure.to_string()),
    };
    let values = |key: &str| -> Vec<&str> {
        said.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
    };
    let (states, results) = (values("ActiveState"), values("Result"));
    match states.first() {
        Some(&"active") => {
            findings.add(Level::Ok, "timer", &shown, format!("{timer} is active"));
        }
        Some(&"failed") => {
            findings.add(Level::Critical, "timer", &shown, format!("{timer} has failed"));
        }
        _ => unseen(&format!("{timer} is not active")),
    }
    if let Some(result) = results.get(1).filter(|result| !["", "success"].contains(result)) {
        let what = format!("the last run of {service} failed ({result}); journalctl -u {service}");
        findings.add(Level::Warning, "timer", &shown, what);
    }
}
