//! `stillpoint prune`: removes snapshots that need not be kept, and records of those that failed.
//!
//! What need not be kept is decided in [`retention`](crate::catalogue::retention); how a snapshot goes, in
//! [`removal`]. In between stands the lock: a snapshot that is read, made or
//! removed by somebody else cannot be had and is left alone.

use anyhow::Context;
use std::io::{self, Write, stdout};
use std::time::Duration;

use clap::ArgGroup;
use serde_json::{Value, json};

use crate::catalogue::identity::Presence;
use crate::catalogue::manifest::{Manifest, Status};
use crate::catalogue::reading::Contents;
use crate::catalogue::retention::{Doubt, Keep, Loss, judge};
use crate::catalogue::{Catalogue, Claim};
use crate::selection::options::Selection;
use crate::snapshot::data::{removal, sweep};
use crate::words::exit::{Exit, Failure, STATUSES, reason};
use crate::words::lines::{say, warn};
use crate::words::span;

/// `list` takes the lock for a moment, to see whether it is free.
const TRIES: u32 = 5;

#[derive(clap::Args)]
#[command(after_help = STATUSES)]
#[command(group(ArgGroup::new("rule").required(true).multiple(true).args(RULES)))]
pub struct Arguments {
    /// Keep the newest N clean ones of each series
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,

    /// Keep those taken within this time, as 14d or 6mo, before the newest clean one of their series
    #[arg(long, value_name = "SPAN", allow_hyphen_values = true, value_parser = span::parse)]
    keep_within: Option<Duration>,

    /// Keep the newest clean one of each of the last N hours that have any
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = clap::value_parser!(u32).range(1..))]
    keep_hourly: Option<u32>,

    /// The same for days
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = clap::value_parser!(u32).range(1..))]
    keep_daily: Option<u32>,

    /// The same for weeks, which begin on Monday
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = clap::value_parser!(u32).range(1..))]
    keep_weekly: Option<u32>,

    /// The same for months
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = clap::value_parser!(u32).range(1..))]
    keep_monthly: Option<u32>,

    /// The same for years
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = clap::value_parser!(u32).range(1..))]
    keep_yearly: Option<u32>,

    /// Remove most of the clean ones of a series even if only their times make them old
    #[arg(long, requires = "keep_within")]
    force: bool,

    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,

    /// Print what was done as a JSON array
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    selection: Selection,
}

const RULES: [&str; 7] = [
    "keep",
    "keep_within",
    "keep_hourly",
    "keep_daily",
    "keep_weekly",
    "keep_monthly",
    "keep_yearly",
];

impl Arguments {
    fn rules(&self) -> Keep {
        let number = |count: Option<u32>| count.map(|count| count as usize);
        Keep {
            count: number(self.keep),
            within: self.keep_within,
            hourly: number(self.keep_hourly),
            daily: number(self.keep_daily),
            weekly: number(self.keep_weekly),
            monthly: number(self.keep_monthly),
            yearly: number(self.keep_yearly),
        }
    }
}

/// What became of one that need not be kept.
enum Outcome {
    Removed,
    Planned,
    InUse,
    Failed(io::Error),
}

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    let catalogue = arguments.selection.place.catalogue();
    let stuck = match arguments.dry_run || !catalogue.folder().is_dir() {
        true => Vec::new(),
        false => sweep::sweep(&catalogue),
    };
    let Contents { manifests, damaged } = arguments.selection.read()?;
    if manifests.is_empty() {
        arguments.selection.say_none();
    }
    let judgement = judge(&manifests, arguments.rules());
    for doubt in &judgement.doubts {
        warn(&doubt_text(doubt));
    }
    let loss = judgement.losses.first().filter(|_| !arguments.force);
    if let (Some(loss), false) = (loss, arguments.dry_run) {
        return Err(loss_failure(loss).into());
    }
    let mut report = Vec::new();
    // What cannot be read may be one that should have gone.
    let mut exit = if damaged.is_empty() { Exit::SUCCESS } else { Exit::DATA };
    let tried_again = |name: &str| judgement.expendable.iter().any(|one| one.name == name);
    for (manifest, error) in stuck.into_iter().filter(|(one, _)| !tried_again(&one.name)) {
        let outcome = match error.kind() {
            io::ErrorKind::WouldBlock => Outcome::InUse,
            _ => Outcome::Failed(error),
        };
        match &outcome {
            Outcome::Failed(error) if matches!(exit, Exit::SUCCESS | Exit::DATA) => {
                exit = failure(&manifest, error).exit;
            }
            _ => {}
        }
        report.push(json(&manifest, &outcome));
    }
    for manifest in judgement.expendable {
        let what = subject(manifest);
        let outcome = match arguments.dry_run {
            true => planned(&catalogue, manifest),
            false => remove(&catalogue, manifest),
        }
        .unwrap_or_else(Outcome::Failed);
        if let Outcome::Failed(error) = &outcome {
            let failure = failure(manifest, error);
            say(&failure.to_string());
            if matches!(exit, Exit::SUCCESS | Exit::DATA) {
                exit = failure.exit;
            }
        }
        match arguments.json {
            true => report.push(json(manifest, &outcome)),
            false => tell(&what, &outcome).context("standard output")?,
        }
    }
    if arguments.json {
        writeln!(stdout(), "{}", serde_json::to_string_pretty(&report)?)
            .context("standard output")?;
    }
    match loss {
        Some(loss) => Err(loss_failure(loss).into()),
        None => Ok(exit),
    }
}

/// Why more is kept than was asked for.
fn doubt_text(doubt: &Doubt<'_>) -> String {
    let time = |manifest: &Manifest| match manifest.taken_at() {
        Some(taken) => format!("{} ({taken:.0})", manifest.name),
        None => manifest.name.clone(),
    };
    let kept = match doubt.kept.as_slice() {
        [first, more @ ..] if !more.is_empty() => {
            format!("{} and {} more are kept", first.name, more.len())
        }
        one => format!("{} is kept", one[0].name),
    };
    let [before, after] = doubt.jump.map(time);
    format!(
        "{kept}, whatever the times say: from {before} to {after} the clock may have been set, \
         and nothing else tells how much time has passed"
    )
}

/// A clock that is wrong looks like this.
fn loss_failure(loss: &Loss<'_>) -> Failure {
    let names = match loss.clean.as_slice() {
        [first, .., last] => format!("{} to {}", first.name, last.name),
        few => few.iter().map(|one| one.name.as_str()).collect(),
    };
    let message = format!(
        "{} of {} clean snapshots, {names}, are old by the clock alone; nothing is removed: \
         look at the times in `stillpoint list`, then use --force, or --keep as well",
        loss.clean.len(),
        loss.of
    );
    Failure::new(Exit::DATA, message)
}

fn planned(catalogue: &Catalogue, manifest: &Manifest) -> io::Result<Outcome> {
    if catalogue.is_locked(&manifest.name) == Some(true) {
        return Ok(Outcome::InUse);
    }
    match removal::check(manifest) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Outcome::InUse),
        checked => checked.map(|()| Outcome::Planned),
    }
}

fn remove(catalogue: &Catalogue, manifest: &Manifest) -> io::Result<Outcome> {
    let unchanged =
        |found: &Manifest| found.status == manifest.status && found.sequence == manifest.sequence;
    for _ in 0..TRIES {
        match catalogue.claim(&manifest.name, unchanged)? {
            Claim::Ours(mut entry, mut manifest) => {
                return match removal::remove(&mut entry, &mut manifest) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Outcome::InUse),
                    removed => removed.map(|()| Outcome::Removed),
                };
            }
            // Somebody else removed it.
            Claim::Changed => return Ok(Outcome::Removed),
            Claim::Busy => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    Ok(Outcome::InUse)
}

fn failure(manifest: &Manifest, error: &io::Error) -> Failure {
    Failure::system(
        format!("{}: cannot be removed, the next run tries again", manifest.name),
        io::Error::new(error.kind(), reason(error)),
    )
}

/// What goes, in words.
fn subject(manifest: &Manifest) -> String {
    let name = &manifest.name;
    match (manifest.status, manifest.has_data(), manifest.presence()) {
        (Status::Complete, true, Presence::Gone) => {
            format!("the record of {name}, whose data was gone")
        }
        (Status::Complete, true, Presence::Replaced) => {
            let places = manifest.places().join(", ");
            format!("the record of {name}; {places} is something else by now and is left")
        }
        (Status::Complete, true, _) => manifest.places().join(", "),
        (Status::Complete, false, _) => {
            format!("the record of {name}; what its command made is left")
        }
        _ => format!("the record of {name}, which failed"),
    }
}

/// For people: what went, on standard output; what did not, on standard error.
fn tell(what: &str, outcome: &Outcome) -> io::Result<()> {
    match outcome {
        Outcome::Removed => writeln!(stdout(), "removed {what}"),
        Outcome::Planned => writeln!(stdout(), "would remove {what}"),
        Outcome::InUse => {
            say(&format!("{what} is in use; left alone"));
            Ok(())
        }
        Outcome::Failed(_) => Ok(()),
    }
}

fn json(manifest: &Manifest, outcome: &Outcome) -> Value {
    let (word, error) = match outcome {
        Outcome::Removed => ("removed", None),
        Outcome::Planned => ("would remove", None),
        Outcome::InUse => ("in use", None),
        Outcome::Failed(error) => ("failed", Some(reason(error))),
    };
    json!({
        "name": manifest.name,
        "status": manifest.status,
        "clean": manifest.clean,
        "provider": manifest.provider,
        "path": manifest.path,
        "volumes": manifest.volumes,
        "outcome": word,
        "error": error,
    })
}
