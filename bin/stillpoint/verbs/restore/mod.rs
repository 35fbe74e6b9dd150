//! `stillpoint restore`: what is in a snapshot, or some of it, at a place where it can be used.
//!
//! It is made beside its place, in a folder of our own ([`work`]), and gets its name when it is whole and written out.
//! What is there already stays, unless it is to be replaced: then the two change places in one step while no
//! writer is inside ([`replacing`]), and what was there before is kept. Whatever ends it in between, nothing of live
//! data is lost, and the next run takes away what is left.

mod exchanging;
mod filling;
mod flags;
mod inside;
mod refusing;
mod replacing;
mod work;

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use nix::unistd::geteuid;
use serde_json::json;

use self::filling::Filling;
use self::inside::{Found, Inside};
use self::work::{Spot, Work};
use crate::catalogue::manifest::Manifest;
use crate::catalogue::pin::Pin;
use crate::files::handle;
use crate::job::{self, Job};
use crate::process::child::ended::Ended;
use crate::process::child::{self, Bounds, Terms};
use crate::process::inherited;
use crate::process::signals::Signals;
use crate::selection::chosen::Choice;
use crate::snapshot::place::mounts::Mounts;
use crate::words::exit::{self, Exit, Failure, reason};
use crate::words::lines::warn;
use crate::words::progress::Amount;
use crate::words::seconds;

const USAGE: &str = "\
stillpoint restore [OPTIONS] NAME [PATH...] --to DIR
       stillpoint restore [OPTIONS] --latest BARRIER [PATH...] --to DIR
       stillpoint restore [OPTIONS] --replace NAME [PATH...]";

#[derive(clap::Args)]
#[command(after_help = exit::STATUSES, override_usage = USAGE)]
pub struct Arguments {
    #[command(flatten)]
    choice: Choice,

    /// Where it goes: a new folder, in one that exists
    #[arg(
        long,
        value_name = "DIR",
        required_unless_present = "replace",
        conflicts_with = "replace"
    )]
    to: Option<PathBuf>,

    /// Instead: in the place of the source, while no writer is inside; what was there is kept beside it
    #[arg(long)]
    replace: bool,

    /// Run this by a shell on what was restored, else what its job verifies it with; with --replace, before
    /// anything is replaced
    #[arg(long, value_name = "COMMAND")]
    check: Option<Option<OsString>>,

    /// With --replace: fail after waiting this long for the writers; 0 does not wait
    #[arg(short = 'w', long = "timeout", value_name = "SECS", allow_hyphen_values = true, value_parser = seconds::parse, requires = "replace")]
    timeout: Option<Duration>,

    /// With --replace: where the durable state of the barrier is kept, as given to `create`, or none
    #[arg(long, value_name = "PATH|none", requires = "replace")]
    state: Option<PathBuf>,

    /// Print what was done as a JSON object
    #[arg(long)]
    json: bool,

    /// Name of the snapshot; with --latest, name or path of a barrier
    #[arg(value_name = "NAME|BARRIER")]
    word: OsString,

    /// Only this, by its path inside the snapshot or in the source
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
}

/// What was done.
#[derive(Default)]
struct Done {
    /// What is there now.
    restored: Vec<PathBuf>,
    /// What was there before.
    kept: Vec<PathBuf>,
    /// Of the barriers, those whose losses are acknowledged now.
    acknowledged: Vec<PathBuf>,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    arguments.choice.check()?;
    if !handle::are_there() {
        return Err(Failure::new(Exit::UNAVAILABLE, "/proc is not mounted; mount it").into());
    }
    let mut signals = Signals::watch()?;
    let pin = arguments.choice.pin(Some(&arguments.word), &signals)?;
    let check = match &arguments.check {
        None => None,
        Some(Some(command)) if command.to_string_lossy().trim().is_empty() => {
            return Err(Failure::usage("--check: the command is empty").into());
        }
        Some(Some(command)) => Some(vec!["/bin/sh".into(), "-c".into(), command.clone()]),
        Some(None) => Some(arguments.verification(&pin.manifest)?),
    };
    let mounts = Mounts::read()?;
    let inside = Inside::open(&pin.manifest, &mounts)?;
    let found = inside.find_all(&arguments.paths)?;
    if !geteuid().is_root() {
        warn("only root can give files to others: all that is restored will be this user's");
    }
    if let Some(mount) = mounts.at_or_below(&inside.place) {
        let message = format!(
            "{}: something is mounted there, and hides what the snapshot has: unmount it first",
            mount.display()
        );
        return Err(Failure::new(Exit::UNAVAILABLE, message).into());
    }
    let restoring = Restoring {
        arguments: &arguments,
        pin: &pin,
        check: check.as_deref(),
        inside: &inside,
        mounts: &mounts,
    };
    let (done, exit) = match &arguments.to {
        Some(to) => restoring.anew(to, &found, &mut signals)?,
        None => (restoring.replace(&found, &mut signals)?, Exit::SUCCESS),
    };
    print(&arguments, &pin, &done)?;
    if arguments.replace {
        // A pinned one is not written to.
        pin.let_go();
        restoring.note(&arguments.choice.place.catalogue());
    }
    Ok(exit)
}

impl Arguments {
    /// What the job that has taken a snapshot verifies it with.
    fn verification(&self, manifest: &Manifest) -> Result<Vec<OsString>, Failure> {
        let cannot = |why: &str| Failure::usage(format!("--check: {why}; give it a COMMAND"));
        if !self.paths.is_empty() || self.replace && manifest.sources.len() > 1 {
            return Err(cannot("a job verifies all of a snapshot, in one place"));
        }
        let jobs = job::file::names()?;
        let is_label = |name: &&String| manifest.label.as_ref() == Some(*name);
        let Some(name) = jobs.iter().find(is_label) else {
            return Err(cannot(&format!("no job has the label of {} as its name", manifest.name)));
        };
        let verify = Job::read(name)?.verify;
        let verify = verify.ok_or_else(|| cannot(&format!("the job {name} verifies nothing")))?;
        Ok(verify.into_iter().map(OsString::from).collect())
    }
}

struct Restoring<'a> {
    arguments: &'a Arguments,
    pin: &'a Pin,
    /// A program and its arguments.
    check: Option<&'a [OsString]>,
    inside: &'a Inside<'a>,
    mounts: &'a Mounts,
}

impl Restoring<'_> {
    /// To a place where nothing is.
    fn anew(
        &self,
        to: &Path,
        found: &[Found],
        signals: &mut Signals,
    ) -> anyhow::Result<(Done, Exit)> {
        let spot = spot(to)?;
        if spot.exists() {
            return Err(exists(&spot.place()).into());
        }
        self.refuse_inside(&spot.shown)?;
        let mut filling = self.filling(signals);
        filling.check(found, &spot)?;
        let mut work = Work::begin(spot)?;
        match found.is_empty() {
            true => filling.fill(&work)?,
            false => filling.fill_with_all(found, &work)?,
        }
        filling.settle(&work)?;
        signals.check()?;
        let place = work.spot.place();
        work.publish().map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => exists(&place),
            _ => Failure::new(
                Exit::CANNOT_CREATE,
                format!("{}: {}", place.display(), reason(&error)),
            ),
        })?;
        drop(work);
        let exit = match self.check(&place, signals)? {
            Ended::Exited(0) => Exit::SUCCESS,
            ended => {
                warn(&format!("{} is restored, but its check failed", place.display()));
                ended.exit()
            }
        };
        Ok((Done { restored: vec![place], ..Done::default() }, exit))
    }

    fn filling<'a>(&'a self, signals: &'a mut Signals) -> Filling<'a> {
        Filling {
            inside: self.inside,
            pin: self.pin,
            signals,
            mounts: self.mounts,
            of: Amount::default(),
            flagged: 0,
        }
    }

    /// A copy would contain itself, and nothing may be put into a snapshot.
    fn refuse_inside(&self, folder: &Path) -> Result<(), Failure> {
        match folder.starts_with(&self.inside.place) {
            true => Err(Failure::new(
                Exit::CANNOT_CREATE,
                format!("{}: lies in the snapshot itself; use another --to", folder.display()),
            )),
            false => Ok(()),
        }
    }

    /// Runs the check of what is at this place, if there is one.
    fn check(&self, place: &Path, signals: &mut Signals) -> anyhow::Result<Ended> {
        let Some([program, rest @ ..]) = self.check else { return Ok(Ended::Exited(0)) };
        let mut command = Command::new(program);
        inherited::hand_on(command.args(rest).current_dir(place_of(place)));
        let manifest = &self.pin.manifest;
        let sources: Vec<String> =
            manifest.sources.iter().map(|source| source.display().to_string()).collect();
        command
            .env("STILLPOINT_SNAPSHOT_NAME", &manifest.name)
            .env("STILLPOINT_SNAPSHOT_PATH", place)
            .env("STILLPOINT_SNAPSHOT_SOURCE", sources.join(" "));
        let terms =
            Terms { bounds: Bounds::None, inherited: &[], prints_errors_only: true, told: None };
        let ended = child::run(&mut command, terms, signals)?;
        signals.check()?;
        Ok(ended)
    }
}

/// Where a command stands that looks at it.
fn place_of(place: &Path) -> &Path {
    match place.is_dir() {
        true => place,
        false => place.parent().unwrap_or(place),
    }
}

/// A name that may be free, in a folder that is there.
fn spot(place: &Path) -> Result<Spot, Failure> {
    let cannot = |exit: Exit, why: &str| {
        let message = format!("--to {}: {why}", place.display());
        Failure::new(exit, message)
    };
    let absolute = std::path::absolute(place).unwrap_or_else(|_| place.to_owned());
    let (Some(folder), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Err(cannot(Exit::USAGE, "is no name that something can be given"));
    };
    let shown = fs::canonicalize(folder).map_err(|error| {
        let why =
            format!("{}: {}; name a folder in one that exists", folder.display(), reason(&error));
        cannot(Exit::CANNOT_CREATE, &why)
    })?;
    let folder = handle::readable(&shown).map_err(|error| {
        cannot(Exit::CANNOT_CREATE, &format!("{}: {}", shown.display(), reason(&error)))
    })?;
    Ok(Spot { folder, shown, name: name.to_owned() })
}

fn exists(place: &Path) -> Failure {
    let message = format!(
        "{}: exists already; give another --to, or --replace to put it in the place of that",
        place.display()
    );
    Failure::new(Exit::CANNOT_CREATE, message)
}

/// The places alone, or all of it as JSON.
fn print(arguments: &Arguments, pin: &Pin, done: &Done) -> anyhow::Result<()> {
    let text = |paths: &[PathBuf]| -> Vec<String> {
        paths.iter().map(|path| path.display().to_string()).collect()
    };
    let output = match arguments.json {
        true => json!({
            "schema": 1,
            "name": pin.manifest.name,
            "restored": text(&done.restored),
            "kept": text(&done.kept),
            "acknowledged": text(&done.acknowledged),
        })
        .to_string(),
        false => text(&done.restored).join("\n"),
    };
    writeln!(io::stdout(), "{output}").context("standard output")
}
