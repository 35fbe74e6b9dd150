//! `stillpoint job check`: whether a job could be run.
//!
//! A snapshot is tried as far as it goes without closing a gate, by what takes it, and a job that only freezes as far;
//! what a job has beside that is looked for here. All that is wrong is said, a line each.

use std::ffi::OsStr;
use std::fs;
use std::io::{Write, stdout};
use std::os::unix::fs::MetadataExt;

use anyhow::Context;
use serde_json::json;

use crate::barrier::exclusive::HOLD;
use crate::job::{Job, file};
use crate::metrics::textfile::{self, Writer};
use crate::process::ending::from_error;
use crate::process::signals::Signals;
use crate::process::tool::{self, Lookup};
use crate::snapshot;
use crate::words::exit::{Exit, Failure, STATUSES};
use crate::words::lines::{line, say, warn};

#[derive(clap::Args)]
#[command(after_help = STATUSES)]
pub struct Arguments {
    /// All jobs that there are
    #[arg(long, conflicts_with = "job", required_unless_present = "job")]
    all: bool,

    /// Print an array with an object for each job
    #[arg(long)]
    json: bool,

    /// The name of its file in /etc/stillpoint/jobs.d, or $STILLPOINT_JOBS, without .toml
    job: Option<String>,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let mut signals = Signals::watch()?;
    let names = match &arguments.job {
        Some(name) => vec![name.clone()],
        None => file::names()?,
    };
    if names.is_empty() {
        say(&format!(
            "{}: there are no jobs; `stillpoint job init` writes one",
            file::folder().display()
        ));
    }
    let (mut exit, mut report) = (Exit::SUCCESS, Vec::new());
    for name in names {
        let Examined { freezes, wrong, doubtful } = examine(&name, &mut signals);
        if exit == Exit::SUCCESS {
            exit = wrong.first().map_or(Exit::SUCCESS, |failure| failure.exit);
        }
        let wrong: Vec<String> = wrong.iter().map(Failure::to_string).collect();
        match arguments.json {
            true => report.push(json!({
                "job": name, "ok": wrong.is_empty(), "wrong": wrong, "doubtful": doubtful,
            })),
            false => {
                wrong.iter().for_each(|what| say(what));
                doubtful.iter().for_each(|what| warn(what));
                if wrong.is_empty() {
                    let what = if freezes { "frozen" } else { "run" };
                    writeln!(stdout(), "{name}: could be {what}").context("standard output")?;
                }
            }
        }
    }
    if arguments.json {
        writeln!(stdout(), "{}", serde_json::to_string_pretty(&report)?)
            .context("standard output")?;
    }
    Ok(exit)
}

/// What was found of a job.
struct Examined {
    /// It does nothing else.
    freezes: bool,
    wrong: Vec<Failure>,
    /// What may be meant.
    doubtful: Vec<String>,
}

fn examine(name: &str, signals: &mut Signals) -> Examined {
    let mut job = match Job::examine(name) {
        Ok(job) => job,
        Err(wrong) => return Examined { freezes: false, wrong, doubtful: Vec::new() },
    };
    let freezes = job.only_freezes();
    let shown = job.path.display().to_string();
    let (mut wrong, mut doubtful) = (Vec::new(), Vec::new());
    let mut add = |exit, what: String| wrong.push(Failure::new(exit, format!("{shown}: {what}")));
    job.snapshot.dry_run = true;
    let snapshot = &job.snapshot;
    let tried = match freezes {
        true => snapshot::try_freezing(snapshot, snapshot.hold.unwrap_or(HOLD).duration()),
        false => snapshot::take(snapshot, &mut None, signals, None).map(drop),
    };
    if let Err(error) = tried {
        add(from_error(&error, Exit::CONFLICT), line(&error));
    }
    let hooks = &job.hooks;
    let commands = [
        ("before", &hooks.before),
        ("after", &hooks.after),
        ("on-failure", &hooks.on_failure),
        ("command of [verify]", &job.verify),
    ];
    for (key, words) in commands {
        let Some(program) = words.as_ref().and_then(|words| words.first()) else { continue };
        match tool::look_up(OsStr::new(program)) {
            Lookup::Found => {}
            Lookup::NotExecutable => {
                add(Exit::CANNOT_EXECUTE, format!("{key}: {program} is not executable"))
            }
            Lookup::Missing => add(Exit::NOT_FOUND, format!("{key}: {program} was not found")),
        }
    }
    if let Some(failure) = snapshot
        .metrics_textfile
        .as_deref()
        .and_then(|file| textfile::check(file, Writer::Run).err())
    {
        add(failure.exit, failure.to_string());
    }
    if tool::require("systemd-analyze").is_ok() {
        for moment in &job.schedule.on_calendar {
            if let Err(failure) = tool::ask("systemd-analyze", &["calendar", "--", moment]) {
                add(Exit::DATA, format!("on-calendar: {moment}: {failure}"));
            }
        }
    }
    for rival in job.rivals() {
        add(rival.exit, rival.to_string());
    }
    for other in file::names().unwrap_or_default().iter().filter(|other| **other != job.name) {
        let Ok(other) = Job::read(other) else { continue };
        let theirs = &other.snapshot.metrics_textfile;
        if let Some(file) = theirs.as_ref().filter(|_| *theirs == snapshot.metrics_textfile) {
            doubtful.push(format!(
                "{shown}: textfile: job {} writes {} too, so each hides how the other went; give each a file of its own",
                other.name,
                file.display()
            ));
        }
    }
    if job.keep.is_none() && !freezes {
        doubtful.push(format!("{shown}: nothing in [retention], so nothing is ever removed"));
    }
    let device = |path: &std::path::Path| fs::metadata(path).ok().map(|found| found.dev());
    if let (Some(copied), Some(to)) = (&snapshot.copy, &snapshot.to) {
        if device(copied).is_some() && device(copied) == device(to) {
            doubtful.push(format!(
                "{shown}: to: {} is on the same file system as {}, and is lost with it",
                to.display(),
                copied.display()
            ));
        }
    }
    Examined { freezes, wrong, doubtful }
}
