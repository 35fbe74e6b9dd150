//! `stillpoint job run`: all steps of a job, in an order that leaves nothing undone.
//!
//! What `before` has stopped goes on as soon as the snapshot is there, whatever became of it, and long before
//! anybody looks at it. Old snapshots are removed also after one that failed: be it for want of room. Who is to be
//! told of a failure hears of all of it, at the end. The status is that of the first step that went wrong.

use std::io::{self, Write};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use crate::catalogue::Catalogue;
use crate::catalogue::manifest::Manifest;
use crate::catalogue::pin::Pinning;
use crate::catalogue::reading::Contents;
use crate::catalogue::record::VerifiedRecord;
use crate::catalogue::verdict::{Delivery, Verdict};
use crate::files::names::without_links;
use crate::job::Job;
use crate::job::record::{Record, Turn};
use crate::metrics::textfile::Writer;
use crate::metrics::{self, textfile};
use crate::process::child::ended::Ended;
use crate::process::child::{self, Bounds, Terms};
use crate::process::ending::from_error;
use crate::process::inherited;
use crate::process::signals::{Signals, received};
use crate::selection::shown;
use crate::snapshot::coordinated::{self, Coordinated};
use crate::snapshot::data::pruning::{self, Outcome};
use crate::snapshot::{self, Part};
use crate::words::exit::{Exit, Failure, STATUSES};
use crate::words::lines::{line, say, warn};
use crate::words::seconds::{display, timestamp};

/// How long a verdict waits for who reads the snapshot.
const READERS: Duration = Duration::from_secs(10);
/// Between two looks whether somebody does.
const LOOK: Duration = Duration::from_millis(50);

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
    let (job, signals, told, _turn) = begin(arguments).map_err(coordinated::failed)?;
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

fn begin(arguments: &Arguments) -> anyhow::Result<(Job, Signals, Option<Coordinated>, Turn)> {
    let mut job = Job::read(&arguments.job)?;
    let mut signals = Signals::watch()?;
    let told = arguments.coordinated.then(|| Coordinated::begin(&mut signals)).transpose()?;
    if let Some(told) = &told {
        told.restrict(&mut job.snapshot)?;
    }
    let turn = Turn::take(&job.name)?;
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

    fn hook(&mut self, words: Option<&[String]>) -> anyhow::Result<Exit> {
        let Some(words) = words else { return Ok(Exit::SUCCESS) };
        if received().is_some() {
            // It was meant for the step before, and need not have reached anybody there.
            let cannot = |error| Failure::system("looking for signals", error);
            self.signals.wait(Some(Duration::ZERO)).map_err(cannot)?;
        }
        let mut command = self.command(words);
        let timeout = self.job.hooks.timeout;
        let terms =
            Terms { bounds: bounds(timeout), inherited: &[], prints_errors_only: true, told: None };
        match child::run(&mut command, terms, &mut self.signals)? {
            Ended::AtLimit => Err(too_long(timeout).into()),
            ended => Ok(ended.exit()),
        }
    }

    /// A command that is told what is known by now.
    fn command(&self, words: &[String]) -> Command {
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(std::process::Stdio::null());
        inherited::hand_on(&mut command);
        command.env("STILLPOINT_JOB", &self.job.name);
        command.env("STILLPOINT_JOB_STATUS", self.exit.code().to_string());
        command.env("STILLPOINT_JOB_FAILED", self.record.failed.as_deref().unwrap_or_default());
        command.env("STILLPOINT_JOB_REASON", self.record.reason.as_deref().unwrap_or_default());
        let taken = self.taken.as_ref();
        command.env("STILLPOINT_SNAPSHOT_NAME", taken.map_or("", |taken| &taken.name));
        let places = taken.map(|taken| taken.places().join(" ")).unwrap_or_default();
        command.env("STILLPOINT_SNAPSHOT_PATH", places);
        let sources = taken.map(|taken| &taken.sources[..]).unwrap_or_default();
        let sources: Vec<String> =
            sources.iter().map(|source| source.display().to_string()).collect();
        command.env("STILLPOINT_SNAPSHOT_SOURCE", sources.join(" "));
        command
    }

    fn snapshot(&mut self) -> anyhow::Result<Exit> {
        let arguments = &self.job.snapshot;
        let mut record = None;
        let outcome = snapshot::take(arguments, &mut record, &mut self.signals, self.told.as_ref());
        let exit = match &outcome {
            Err(error) => from_error(error, Exit::CONFLICT),
            Ok(_) => arguments.exit_of(record.as_ref()),
        };
        self.tried = Some((record.clone(), exit));
        self.part = outcome.map_err(coordinated::explain)?;
        match self.part {
            Some(_) => Ok(Exit::SUCCESS),
            None => self.is_there(record, exit),
        }
    }

    /// Waits for the verdict of the group.
    fn verdict(&mut self) -> anyhow::Result<Exit> {
        let (Some(told), Some(part), Some((Some(mut manifest), _))) =
            (&self.told, self.part.take(), self.tried.take())
        else {
            return Ok(Exit::SUCCESS);
        };
        let arguments = &self.job.snapshot;
        let outcome = snapshot::settle(part, told, arguments, &mut manifest, &mut self.signals);
        let exit = match &outcome {
            Err(error) => from_error(error, Exit::CONFLICT),
            Ok(()) => arguments.exit_of(Some(&manifest)),
        };
        self.tried = Some((Some(manifest.clone()), exit));
        outcome?;
        self.is_there(Some(manifest), exit)
    }

    fn is_there(&mut self, record: Option<Manifest>, exit: Exit) -> anyhow::Result<Exit> {
        if let Some(manifest) = &record {
            self.record.snapshot = Some(manifest.name.clone());
            let mut output = io::stdout().lock();
            // That nobody reads it is no reason not to verify and prune.
            let _ = writeln!(output, "{}", shown::line(manifest)).and_then(|()| output.flush());
        }
        let reason = record.as_ref().and_then(|manifest| manifest.reason.clone());
        self.taken = record;
        match reason {
            Some(reason) if exit != Exit::SUCCESS => Err(Failure::new(exit, reason).into()),
            _ => Ok(exit),
        }
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

    fn verify(&mut self) -> anyhow::Result<Exit> {
        let (Some(words), Some(manifest)) = (&self.job.verify, self.taken.clone()) else {
            return Ok(Exit::SUCCESS);
        };
        let catalogue = Catalogue::locate(self.job.snapshot.catalog.as_deref());
        let pin = match manifest.has_data() {
            false => None,
            true => match catalogue.pin(&manifest.name)? {
                Pinning::Held(pin) => Some(pin),
                Pinning::Changing | Pinning::Unusable(_) => {
                    let message = format!("{}: is gone already", manifest.name);
                    return Err(Failure::new(Exit::MISSING, message).into());
                }
            },
        };
        let mut command = self.command(words);
        let locks = pin.as_ref().map(|pin| pin.locks()).unwrap_or_default();
        let timeout = self.job.verify_timeout;
        let terms = Terms {
            bounds: bounds(timeout),
            inherited: &locks,
            prints_errors_only: true,
            told: None,
        };
        let ended = child::run(&mut command, terms, &mut self.signals)?;
        if ended == Ended::AtLimit {
            // That it takes long says nothing of the snapshot.
            return Err(too_long(timeout).into());
        }
        if let Some(signal) = received() {
            let exit = match ended {
                Ended::Exited(0) => Exit::killed_by(signal),
                ended => ended.exit(),
            };
            let message = format!("no verdict, as signal {signal} came");
            return Err(Failure::new(exit, message).into());
        }
        drop(locks);
        drop(pin);
        let verified = VerifiedRecord {
            at: timestamp(SystemTime::now()),
            by: format!("job {}", self.job.name),
            ok: ended == Ended::Exited(0),
        };
        let verdict = Verdict::on(&manifest, verified);
        self.record.undelivered.push(verdict.clone());
        // Whoever reads an older one was waited for when that was new.
        let until = Instant::now() + READERS;
        loop {
            self.deliver()?;
            let is_kept = self.record.undelivered.contains(&verdict);
            if !is_kept || Instant::now() >= until || received().is_some() {
                return Ok(ended.exit());
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Tells manifests what was found of their snapshots, if nobody reads these now. What cannot be told is kept for the
    /// next run.
    fn deliver(&mut self) -> io::Result<()> {
        let catalogue = Catalogue::locate(self.job.snapshot.catalog.as_deref());
        let mut failed = None;
        self.record.undelivered.retain(|verdict| match catalogue.deliver(verdict) {
            Ok(Delivery::Written | Delivery::Void) => false,
            Ok(Delivery::Kept) => true,
            Err(error) => {
                failed.get_or_insert(error);
                true
            }
        });
        // Before anybody is waited for.
        if self.stored != self.record.undelivered {
            self.stored.clone_from(&self.record.undelivered);
            self.record.store().unwrap_or_else(|failure| warn(&failure.to_string()));
        }
        failed.map_or(Ok(()), Err)
    }

    /// Removes what this job has taken and need not be kept: by its label, so that what it took before its file was
    /// changed goes too.
    fn prune(&mut self) -> anyhow::Result<Exit> {
        let Some(keep) = self.job.keep else { return Ok(Exit::SUCCESS) };
        if let Some(rival) = self.job.rivals().into_iter().next() {
            return Err(rival.into());
        }
        let arguments = &self.job.snapshot;
        let catalogue = Catalogue::locate(arguments.catalog.as_deref());
        let barrier = stillpoint::barrier_path(&arguments.barriers[0], false)?;
        let barrier = without_links(&barrier);
        let is_taken = self.taken.is_some();
        let read = || {
            let mut contents = match catalogue.read() {
                // None was ever taken. But if one was by this run, its record is gone.
                Err(error) if error.kind() == io::ErrorKind::NotFound && !is_taken => {
                    Contents::default()
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let folder = catalogue.folder().display();
                    let message = format!(
                        "{folder}: the catalogue is gone, and with it the record of this snapshot"
                    );
                    return Err(Failure::new(Exit::MISSING, message).into());
                }
                read => read?,
            };
            contents.manifests.retain(|manifest| manifest.label == arguments.label);
            Ok(contents.under(&barrier))
        };
        let terms = pruning::Terms { keep, force: false, dry_run: false };
        pruning::prune(&catalogue, terms, read, |_, what, outcome| {
            match (what, outcome) {
                (Some(what), Outcome::Removed) => say(&format!("removed {what}")),
                (Some(what), Outcome::InUse) => say(&format!("{what} is in use; left alone")),
                _ => {}
            }
            Ok(())
        })
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

fn bounds(timeout: Option<Duration>) -> Bounds {
    timeout.map_or(Bounds::None, |timeout| Bounds::Until(Instant::now() + timeout))
}

fn too_long(timeout: Option<Duration>) -> Failure {
    let timeout = timeout.map(display).unwrap_or_default();
    Failure::new(Exit::LIMIT, format!("was ended, as it took longer than {timeout}"))
}
