//! `stillpoint prune`: removes snapshots that need not be kept, and records of those that failed, as
//! [`pruning`] does it, and tells what went.

use anyhow::Context;
use std::io::{self, Write, stdout};
use std::time::Duration;

use clap::ArgGroup;
use serde_json::{Value, json};

use crate::catalogue::manifest::Manifest;
use crate::catalogue::retention::Keep;
use crate::selection::options::Selection;
use crate::snapshot::data::pruning::{self, Outcome, Terms};
use crate::words::exit::{Exit, STATUSES, reason};
use crate::words::lines::say;
use crate::words::span;

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

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    let catalogue = arguments.selection.place.catalogue();
    let read = || {
        let contents = arguments.selection.read()?;
        if contents.manifests.is_empty() {
            arguments.selection.say_none();
        }
        Ok(contents)
    };
    let terms =
        Terms { keep: arguments.rules(), force: arguments.force, dry_run: arguments.dry_run };
    let mut report = Vec::new();
    let mut is_refused = true;
    let done = pruning::prune(&catalogue, terms, read, |manifest, what, outcome| {
        is_refused = false;
        match (arguments.json, what) {
            (true, _) => report.push(json(manifest, outcome)),
            (false, Some(what)) => tell(what, outcome).context("standard output")?,
            (false, None) => {}
        }
        Ok(())
    });
    if arguments.json && (done.is_ok() || !is_refused) {
        writeln!(stdout(), "{}", serde_json::to_string_pretty(&report)?)
            .context("standard output")?;
    }
    done
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
        Outcome::Gone | Outcome::Failed(_) => Ok(()),
    }
}

fn json(manifest: &Manifest, outcome: &Outcome) -> Value {
    let (word, error) = match outcome {
        Outcome::Removed => ("removed", None),
        Outcome::Planned => ("would remove", None),
        Outcome::InUse => ("in use", None),
        Outcome::Gone => ("gone", None),
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
