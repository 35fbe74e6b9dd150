//! `stillpoint list`: what is in the catalogue. Reads only.
//!
//! A damaged manifest is reported and makes the status 65, so that whoever watches a catalogue
//! notices; the others are shown all the same.

use anyhow::Context;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Write, stdout};
use std::time::Duration;

use jiff::Timestamp;

use crate::catalogue::Catalogue;
use crate::catalogue::age::{Age, Moment, stretches};
use crate::catalogue::clock::ClockRecord;
use crate::catalogue::identity::Presence;
use crate::catalogue::manifest::{Manifest, Status};
use crate::catalogue::series::series;
use crate::selection::options::Selection;
use crate::selection::shown::Now;
use crate::words::exit::{Exit, STATUSES};
use crate::words::lines::escaped;
use crate::words::seconds;

#[derive(clap::Args)]
#[command(after_help = STATUSES)]
pub struct Arguments {
    /// Print a JSON array of the manifests instead of a table
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    selection: Selection,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    let contents = arguments.selection.read()?;
    let catalogue = arguments.selection.place.catalogue();
    if contents.manifests.is_empty() {
        arguments.selection.say_none();
    }
    let text = match arguments.json {
        true => json(&catalogue, &contents.manifests)?,
        false => table(&catalogue, &contents.manifests)?,
    };
    let mut out = stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("standard output")?;
    Ok(match contents.damaged.is_empty() {
        true => Exit::SUCCESS,
        false => Exit::DATA,
    })
}

fn json(catalogue: &Catalogue, manifests: &[Manifest]) -> anyhow::Result<String> {
    let shown = |manifest| Now::of(catalogue, manifest).json(manifest);
    let shown: Vec<_> = manifests.iter().map(shown).collect();
    Ok(serde_json::to_string_pretty(&shown)? + "\n")
}

const HEAD: [&str; 10] =
    ["NAME", "STATUS", "CLEAN", "PROVIDER", "TAKEN", "AGE", "PAUSE", "PINNED", "PATH", "REASON"];

const UNCOVERED: &str = "not all writers were covered";
const ELSEWHERE: &str = "source on another file system than before";

/// For people: one line each, the newest at the end, where it is seen.
fn table(catalogue: &Catalogue, manifests: &[Manifest]) -> anyhow::Result<String> {
    if manifests.is_empty() {
        return Ok(String::new());
    }
    let mut rows = vec![HEAD.map(str::to_owned)];
    let ages = Ages::of(manifests);
    for manifest in manifests {
        rows.push(
            row(manifest, &Now::of(catalogue, manifest), &ages)
                .map(|cell| escaped(&cell).into_owned()),
        );
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..HEAD.len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            write!(line, "{cell:<width$}  ")?;
        }
        writeln!(text, "{}", line.trim_end())?;
    }
    Ok(text)
}

fn row(manifest: &Manifest, now: &Now, ages: &Ages) -> [String; 10] {
    let none = || "-".to_owned();
    let path = match (manifest.kept_at(), manifest.places(), now.presence) {
        (kept, ..) if !kept.is_empty() => kept.join(" "),
        (_, places, _) if places.is_empty() || manifest.status != Status::Complete => none(),
        (_, places, Presence::Gone) => format!("{} (gone)", places.join(" ")),
        (_, places, Presence::Replaced) => format!("{} (replaced)", places.join(" ")),
        (_, places, _) => places.join(" "),
    };
    let pause = manifest.pause.as_ref().and_then(|pause| pause.pause_ms);
    let pause = pause.and_then(|pause| Duration::try_from_secs_f64(pause / 1e3).ok());
    [
        manifest.name.clone(),
        status(manifest, now).to_owned(),
        if manifest.clean { "yes" } else { "no" }.to_owned(),
        manifest.provider.clone(),
        manifest.taken_at().map_or_else(none, |at| format!("{at:.0}")),
        ages.show(manifest).unwrap_or_else(none),
        pause.map_or_else(none, seconds::display),
        match now.pinned(manifest) {
            Some(true) => "yes",
            Some(false) => "no",
            None => "?",
        }
        .to_owned(),
        path,
        match &manifest.reason {
            Some(reason) => reason.clone(),
            None if manifest.source_changed => ELSEWHERE.to_owned(),
            None if manifest.covered == Some(false) => UNCOVERED.to_owned(),
            None => none(),
        },
    ]
}

/// What it is now, in more words than the manifest has.
fn status(manifest: &Manifest, now: &Now) -> &'static str {
    match (manifest.status, now.live) {
        (Status::Begun | Status::Certified, Some(false)) => "interrupted",
        (Status::Begun | Status::Certified, _) => "under way",
        (Status::Pruning, _) => "pruning",
        (Status::Complete, _) => "complete",
        (Status::Failed, _) => "failed",
        (Status::Revoked, _) => "revoked",
    }
}

/// How old they are by today's clock, which may be wrong, or may have been.
struct Ages {
    now: Timestamp,
    /// What else is known of each.
    known: BTreeMap<String, Age>,
}

impl Ages {
    fn of(manifests: &[Manifest]) -> Ages {
        let (now, clock) = (Timestamp::now(), ClockRecord::now());
        let mut known = BTreeMap::new();
        for members in series(manifests) {
            let today = Moment { wall: Some(now), machine: clock.as_ref() };
            let moments = members.iter().map(|manifest| manifest.moment()).chain([today]);
            let mut age = Age::default();
            let stretches = stretches(&moments.collect::<Vec<_>>());
            for (manifest, stretch) in members.iter().zip(stretches).rev() {
                age.add(stretch);
                known.insert(manifest.name.clone(), age);
            }
        }
        Ages { now, known }
    }

    /// With a question mark where something speaks against it.
    fn show(&self, manifest: &Manifest) -> Option<String> {
        let by_clock = self.now.duration_since(manifest.taken_at()?);
        let Ok(age) = Duration::try_from(by_clock) else {
            return Some("in the future".to_owned());
        };
        let is_supported = self.known.get(&manifest.name).is_none_or(|age| age.supports(by_clock));
        let doubt = if is_supported { "" } else { " ?" };
        Some(seconds::display(age) + doubt)
    }
}
