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
use std::time::{Duration, Instant};

use nix::unistd::{Pid, getpgrp, getpid};

use crate::catalogue::Catalogue;
use crate::catalogue::identity::Presence;
use crate::catalogue::manifest::{Manifest, Status};
use crate::catalogue::pin::{Pin, Pinning};
use crate::process::apart;
use crate::process::child::{self, Bounds, Terms};
use crate::process::inherited;
use crate::process::lifetime::Lifetime;
use crate::process::signals::Signals;
use crate::selection::filter::Filter;
use crate::selection::newest;
use crate::selection::options::Place;
use crate::words::exit::{self, Exit, Failure, is_shortage, reason};
use crate::words::lines;

/// How long somebody else may need to complete a snapshot, or to find that he cannot remove it.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often to look whether somebody still lives.
const GLANCE: Duration = Duration::from_secs(1);

const USAGE: &str = "\
stillpoint use [OPTIONS] NAME -- COMMAND...
       stillpoint use [OPTIONS] --latest [BARRIER] -- COMMAND...
       stillpoint use [OPTIONS] --while PID NAME &";

#[derive(clap::Args)]
#[command(after_help = exit::STATUSES, override_usage = USAGE)]
pub struct Arguments {
    /// The newest clean snapshot, of BARRIER if one is given
    #[arg(long)]
    latest: bool,

    /// Take what is not clean too, and say nothing of that
    #[arg(long)]
    any: bool,

    /// Mount it over this folder, for the command alone; takes root
    #[arg(long, value_name = "DIR", conflicts_with = "host")]
    at: Option<PathBuf>,

    #[command(flatten)]
    place: Place,

    #[command(flatten)]
    filter: Filter,

    /// Name of the snapshot; with --latest, name or path of a barrier
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

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    if !arguments.latest && !arguments.filter.is_empty() {
        let message =
            "--source, --provider and --label choose among several; use them with --latest";
        return Err(Failure::usage(message).into());
    }
    match arguments.host {
        Some(host) => arguments.stay(Pid::from_raw(host)),
        None => arguments.run(),
    }
}

impl Arguments {
    fn run(&self) -> anyhow::Result<Exit> {
        let mut signals = Signals::watch()?;
        let pin = self.pin(&signals)?;
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
        let terms = Terms { bounds: Bounds::None, inherited, prints_errors_only: false };
        Ok(child::run(&mut command, terms, &mut signals)?.exit())
    }

    /// Keeps the pin and nothing else of the caller's: his locks, and what his host reads to its end.
    fn stay(&self, host: Pid) -> anyhow::Result<Exit> {
        let cannot = |what: &'static str| move |error: io::Error| Failure::system(what, error);
        apart::close_all_but(&[]).map_err(cannot("/proc/self/fd"))?;
        let mut signals = Signals::watch()?;
        let mut host = Lifetime::of(host)
            .ok_or_else(|| Failure::usage(format!("--while {host}: there is no such process")))?;
        let _pin = self.pin(&signals)?;
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

    /// Tries until the snapshot is held, or cannot be.
    fn pin(&self, signals: &Signals) -> anyhow::Result<Pin> {
        let catalogue = self.place.catalogue();
        let started = Instant::now();
        loop {
            let name = self.choose()?;
            match catalogue.pin(&name) {
                Ok(Pinning::Held(pin)) => {
                    self.warn(&pin.manifest);
                    return Ok(*pin);
                }
                Ok(Pinning::Changing) => {}
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(cannot(&catalogue, &name, &error).into());
                }
                // Chosen a moment ago: the next choice is another one.
                _ if self.latest && started.elapsed() < PATIENCE => {}
                Ok(Pinning::Unusable(manifest)) => return Err(unusable(&manifest).into()),
                Err(error) => return Err(cannot(&catalogue, &name, &error).into()),
            }
            if started.elapsed() > PATIENCE {
                let message = match catalogue.is_live(&name) {
                    Some(false) => format!(
                        "{name}: another program has locked its data, or its manifest in {}; lslocks(8) tells which",
                        catalogue.folder().display()
                    ),
                    _ => format!("{name}: is being completed or removed; try again"),
                };
                return Err(Failure::new(Exit::CONFLICT, message).into());
            }
            signals.check()?;
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn choose(&self) -> anyhow::Result<String> {
        let word = self.word.as_deref();
        if !self.latest {
            return Ok(word.unwrap_or_default().to_string_lossy().into_owned());
        }
        let contents = self.place.read(word, &self.filter)?;
        let wanted = |manifest: &Manifest| (self.any || manifest.clean) && manifest.has_data();
        match newest::choose(&contents, wanted)? {
            Some(manifest) => Ok(manifest.name.clone()),
            None => {
                let place = self.place.describe(word, &self.filter);
                Err(newest::none(&contents, self.any, &place).into())
            }
        }
    }

    /// Where the command finds it.
    fn path(&self, manifest: &Manifest) -> Result<OsString, Failure> {
        let places = || manifest.places().join(" ");
        match (&self.at, &manifest.path) {
            (None, _) => Ok(places().into()),
            (Some(at), Some(folder)) => Ok(place::show(folder, at)?.into()),
            (Some(at), None) => {
                let what = format!("{} is no folder; mount it yourself", places());
                let message = format!("--at {}: {what}", at.display());
                Err(Failure::new(Exit::UNAVAILABLE, message))
            }
        }
    }

    /// Who names one gets that one, but shall know, unless he does.
    fn warn(&self, manifest: &Manifest) {
        if !self.any && !manifest.clean {
            let reason = manifest.reason.as_deref().unwrap_or("its manifest does not say why");
            lines::warn(&format!("{} is not clean: {reason}", manifest.name));
        }
        if manifest.source_changed {
            let what = "its source was on another file system than those before it";
            lines::warn(&format!("{}: {what}", manifest.name));
        }
    }
}

fn unusable(manifest: &Manifest) -> Failure {
    let what = match manifest.status {
        Status::Begun | Status::Certified => "is not complete",
        Status::Complete if manifest.presence() == Presence::Replaced => {
            "something else stands where its data was"
        }
        Status::Complete if manifest.has_data() => "its data is gone",
        Status::Complete => "a command made it, and it has no data of its own to read",
        Status::Failed | Status::Revoked => "failed",
        Status::Pruning => "is being removed",
    };
    let message = format!("{}: {what}; see `stillpoint list`", manifest.name);
    Failure::new(Exit::MISSING, message)
}

fn cannot(catalogue: &Catalogue, name: &str, error: &io::Error) -> Failure {
    let folder = catalogue.folder().display();
    let (exit, what) = match error.kind() {
        io::ErrorKind::NotFound => (Exit::MISSING, "there is no such snapshot".to_owned()),
        io::ErrorKind::PermissionDenied => (Exit::DENIED, reason(error)),
        // That says nothing of the manifest.
        _ if is_shortage(error) => (Exit::SYSTEM, reason(error)),
        _ => (Exit::DATA, reason(error)),
    };
    Failure::new(exit, format!("{folder}: {name}: {what}; see `stillpoint list`"))
}
