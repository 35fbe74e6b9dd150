//! `stillpoint use`: a command that reads a snapshot, which stays as long as it is read.
//!
//! The lock on the manifest is the pin, and the command inherits its descriptor: neither the end of
//! this process nor that of the command frees what a child of the command still reads. Nothing is
//! left behind by any death, as the kernel counts the descriptors.

mod place;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::unistd::{Pid, getpgrp, getpid};

use crate::catalogue::manifest::Manifest;
use crate::job::Job;
use crate::process::apart;
use crate::process::child::{self, Bounds, Terms};
use crate::process::inherited;
use crate::process::lifetime::Lifetime;
use crate::process::signals::Signals;
use crate::selection::chosen::Choice;
use crate::words::exit::{self, Exit, Failure};

/// How often to look whether somebody still lives.
const GLANCE: Duration = Duration::from_secs(1);

const USAGE: &str = "\
stillpoint use [OPTIONS] NAME -- COMMAND...
       stillpoint use [OPTIONS] --latest [BARRIER] -- COMMAND...
       stillpoint use [OPTIONS] --while PID NAME &";

#[derive(clap::Args)]
#[command(after_help = exit::STATUSES, override_usage = USAGE)]
pub struct Arguments {
    #[command(flatten)]
    choice: Choice,

    /// Look where this job has its snapshots
    #[arg(long, value_name = "JOB", conflicts_with = "catalog")]
    job: Option<String>,

    /// Mount it over this folder, for the command alone; takes root
    #[arg(long, value_name = "DIR", conflicts_with = "host")]
    at: Option<PathBuf>,

    /// Name of the snapshot, or where it is; with --latest, name or path of a barrier
    #[arg(value_name = "NAME|BARRIER", required_unless_present = "latest")]
    word: Option<OsString>,

    /// Instead of a command: print a process ID once it is pinned, and stay for as long as PID or another
    /// process of this group lives
    #[arg(long = "while", value_name = "PID", allow_hyphen_values = true, value_parser = clap::value_parser!(i32).range(1..))]
    host: Option<i32>,

    /// Reads the snapshot at $STILLPOINT_SNAPSHOT_PATH
    #[arg(
        last = true,
        required_unless_present = "host",
        conflicts_with = "host",
        value_name = "COMMAND"
    )]
    command: Vec<OsString>,
}

pub fn run(mut arguments: Arguments) -> anyhow::Result<Exit> {
    arguments.choice.check()?;
    if let Some(job) = &arguments.job {
        arguments.choice.place.catalog = Job::read(job)?.snapshot.catalog;
    }
    match arguments.host {
        Some(host) => arguments.stay(Pid::from_raw(host)),
        None => arguments.run(),
    }
}

impl Arguments {
    fn run(&self) -> anyhow::Result<Exit> {
        let mut signals = Signals::watch()?;
        let pin = self.choice.pin(self.word.as_deref(), &signals)?;
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]);
        inherited::hand_on(&mut command);
        command.env("STILLPOINT_SNAPSHOT_NAME", &pin.manifest.name);
        // Always there: `"$STILLPOINT_SNAPSHOT_PATH/"` must never come to mean the whole machine.
        command.env("STILLPOINT_SNAPSHOT_PATH", self.path(&pin.manifest)?);
        let sources: Vec<String> =
            pin.manifest.sources.iter().map(|source| source.display().to_string()).collect();
        command.env("STILLPOINT_SNAPSHOT_SOURCE", sources.join(" "));
        let inherited = &pin.locks();
        let terms =
            Terms { bounds: Bounds::None, inherited, prints_errors_only: false, told: None };
        Ok(child::run(&mut command, terms, &mut signals)?.exit())
    }

    /// Keeps the pin and nothing else of the caller's: his locks, and what his host reads to its end.
    fn stay(&self, host: Pid) -> anyhow::Result<Exit> {
        let cannot = |what: &'static str| move |error: io::Error| Failure::system(what, error);
        apart::close_all_but(&[]).map_err(cannot("/proc/self/fd"))?;
        let mut signals = Signals::watch()?;
        let mut host = Lifetime::of(host)
            .ok_or_else(|| Failure::usage(format!("--while {host}: there is no such process")))?;
        let _pin = self.choice.pin(self.word.as_deref(), &signals)?;
        let mut output = io::stdout().lock();
        let told = writeln!(output, "{}", getpid()).and_then(|()| output.flush());
        told.map_err(cannot("cannot print the process, so nothing stays pinned"))?;
        // A leader has a group, and a place on the terminal, of its own.
        if getpgrp() != getpid() {
            apart::leave_session().map_err(cannot("cannot leave the session"))?;
        }
        while !host.is_over() && signals.check().is_ok() {
            signals.wait(Some(GLANCE)).map_err(cannot("waiting"))?;
        }
        Ok(Exit::SUCCESS)
    }

    /// Where the command finds it.
    fn path(&self, manifest: &Manifest) -> Result<OsString, Failure> {
        match &self.at {
            None => Ok(manifest.places().join(" ").into()),
            Some(at) => Ok(place::show(manifest, at)?.into()),
        }
    }
}
