//! `stillpoint job run`: all steps of a job, in an order that leaves nothing undone.
//!
//! What `before` has stopped goes on as soon as the snapshot is there, whatever became of it, and long before
//! anybody looks at it. Old snapshots are removed also after one that failed: be it for want of room. Who is to be
//! told of a failure hears of all of it, at the end. The status is that of the first step that went wrong.

mod commands;
mod pruning;
mod taking;
mod verifying;

use std::time::SystemTime;

use crate::catalogue::manifest::Manifest;
use crate::catalogue::verdict::Verdict;
use crate::job::Job;
use crate::job::record::{Record, Turn};
use crate::metrics::textfile::Writer;
use crate::metrics::{self, textfile};
use crate::process::ending::from_error;
use crate::process::signals::{Signals, received};
use crate::snapshot::Part;
use crate::snapshot::coordinated::{self, Coordinated};
use crate::words::exit::{Exit, Failure, STATUSES};
use crate::words::lines::{line, say, warn};
use crate::words::seconds::timestamp;

#[derive(clap::Args)]
#[command(after_help = STATUSES)]
pub struct Arguments {
    /// The name of its file in /etc/stillpoint/jobs.d, or $STILLPOINT_JOBS, without .toml
    job: String,

    /// Make this host's part of a snapshot of many: each step is told on standard input
    #[arg(long)]
    coordinated: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    if arguments.coordinated {
        coordinated::take_line()?;
    }
    let job = read(arguments).map_err(coordinated::unfit)?;
    let (job, signals, told, _turn) = begin(arguments, job).map_err(coordinated::failed)?;
    let last = Record::load(&job.name).unwrap_or_else(|failure| {
        warn(&failure.to_string());
        None
    });
    if let Some(last) = last.as_ref().filter(|last| last.ended.is_none()) {
        warn(&format!("job {}: the run that began at {} was cut short", job.name, last.began));
    }
    let record = Record::begun(&job.name, last.as_ref());
    // Where the disk is full, this is what makes room.
    record.store().unwrap_or_else(|failure| warn(&failure.to_string()));
    let (exit, stored) = (Exit::SUCCESS, record.undelivered.clone());
    let mut run = Run {
        job: &job,
        signals,
        told,
        record,
        stored,
        exit,
        tried: None,
        part: None,
        taken: None,
    };
    run.steps();
    run.end()
}

fn read(arguments: &Arguments) -> Result<Job, Failure> {
    let job = Job::read(&arguments.job)?;
    if job.only_freezes() {
        return Err(job.freezing_only());
    }
    if arguments.coordinated {
        coordinated::check(&job.snapshot)?;
    }
    Ok(job)
}

fn begin(
    arguments: &Arguments,
    mut job: Job,
) -> anyhow::Result<(Job, Signals, Option<Coordinated>, Turn)> {
    let mut signals = Signals::watch()?;
    let told = arguments.coordinated.then(|| Coordinated::begin(&mut signals)).transpose()?;
    if let Some(told) = &told {
        told.restrict(&mut job.snapshot);
    }
    let turn = match &told {
        Some(told) => told.in_turn(&mut signals, || Turn::take(&job.name))?,
        None => Turn::take(&job.name)?,
    };
    Ok((job, signals, told, turn))
}

/// One run, as far as it has come.
struct Run<'a> {
    job: &'a Job,
    signals: Signals,
    /// Who tells the steps of a part of a group's snapshot.
    told: Option<Coordinated>,
    record: Record,
    /// The verdicts in it that are on disk.
    stored: Vec<Verdict>,
    /// Of the first step that went wrong.
    exit: Exit,
    /// How the snapshot went, if it came to that.
    tried: Option<(Option<Manifest>, Exit)>,
    /// What waits for the verdict of its group.
    part: Option<Part>,
    /// The snapshot, if it is there.
    taken: Option<Manifest>,
}

impl Run<'_> {
    fn steps(&mut self) {
        let job = self.job;
        let is_taken = self.step("before", |run| run.hook(job.hooks.before.as_deref()))
            && self.step("snapshot", Run::snapshot);
        if !is_taken {
            let why = self.record.reason.clone().unwrap_or_default();
            coordinated::say_failed(self.exit, &why);
        }
        self.step("after", |run| run.hook(job.hooks.after.as_deref()));
        // What `before` has stopped waits for no other host.
        if self.part.is_some() {
            self.step("verdict", Run::verdict);
        }
        let is_waiting = self.tried.as_ref().and_then(|(manifest, _)| manifest.as_ref());
        let is_waiting = is_waiting.is_some_and(Manifest::awaits_verdict);
        if received().is_none() {
            // What is old and was found bad is to be known before anything is removed.
            self.step("verify", |run| Ok(run.deliver().map(|()| Exit::SUCCESS)?));
        }
        if self.taken.is_some() && job.verify.is_some() {
            self.step_unless_ended("verify", Run::verify);
        }
        if job.keep.is_some() && !is_waiting {
            self.step_unless_ended("prune", Run::prune);
        }
        self.step("metrics", Run::metrics);
    }

    /// One that a signal leaves out, however well the command took it that was under way. That is what went wrong,
    /// if nothing else did.
    fn step_unless_ended(
        &mut self,
        name: &str,
        step: impl FnOnce(&mut Self) -> anyhow::Result<Exit>,
    ) {
        let Some(signal) = received() else {
            self.step(name, step);
            return;
        };
        if self.exit == Exit::SUCCESS {
            let message = format!("is left out, as signal {signal} came");
            self.step(name, |_| Err(Failure::new(Exit::killed_by(signal), message).into()));
        }
    }

    /// Does it, and notes what is wrong first. True if nothing is.
    fn step(&mut self, name: &str, step: impl FnOnce(&mut Self) -> anyhow::Result<Exit>) -> bool {
        let (exit, reason) = match step(self) {
            Ok(Exit::SUCCESS) => return true,
            Ok(exit) => (exit, format!("ended with status {}", exit.code())),
            Err(error) => (from_error(&error, Exit::CONFLICT), line(&error)),
        };
        say(&format!("job {}: {name}: {reason}", self.job.name));
        if self.exit == Exit::SUCCESS {
            self.exit = exit;
            self.record.failed = Some(name.to_owned());
            self.record.reason = Some(reason);
        }
        false
    }

    fn metrics(&mut self) -> anyhow::Result<Exit> {
        let arguments = &self.job.snapshot;
        let Some(file) = &arguments.metrics_textfile else { return Ok(Exit::SUCCESS) };
        let (manifest, exit) = self
            .tried
            .as_ref()
            .map_or((None, self.exit), |(manifest, exit)| (manifest.as_ref(), *exit));
        textfile::check(file, Writer::Run)?;
        metrics::run::write(file, arguments, manifest, exit)?;
        Ok(Exit::SUCCESS)
    }

    /// Writes down how it went, and tells who is to be told.
    fn end(mut self) -> anyhow::Result<Exit> {
        for verdict in &self.record.undelivered {
            let what =
                "somebody reads it all the time, so the next run tells its manifest the verdict";
            warn(&format!("{}: {what}", verdict.snapshot));
        }
        let failed = self.exit;
        self.record.ended = Some(timestamp(SystemTime::now()));
        self.record.exit = Some(failed.code());
        match failed {
            Exit::SUCCESS => self.record.succeeded.clone_from(&self.record.ended),
            _ => {
                let told = self.hook(self.job.hooks.on_failure.as_deref());
                if !matches!(told, Ok(Exit::SUCCESS)) {
                    let what = told.map_or_else(
                        |error| line(&error),
                        |exit| format!("ended with status {}", exit.code()),
                    );
                    say(&format!("job {}: on-failure: {what}", self.job.name));
                }
            }
        }
        match self.record.store() {
            Err(failure) if failed == Exit::SUCCESS => Err(failure.into()),
            Err(failure) => {
                warn(&failure.to_string());
                Ok(failed)
            }
            Ok(()) => Ok(failed),
        }
    }
}
