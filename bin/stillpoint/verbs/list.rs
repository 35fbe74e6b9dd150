//! `stillpoint list`: what is in the catalogue. Reads only.
//!
//! A damaged manifest is reported and makes the status 65, so that whoever watches a catalogue
//! notices; the others are shown all the same.

use anyhow::Context;
use std::collections::BTreeMap;
use std::io::{Write, stdout};
use std::time::Duration;

use jiff::Timestamp;

use crate::catalogue::Catalogue;
use crate::catalogue::age::{Age, Moment, stretches};
use crate::catalogue::clock::ClockRecord;
use crate::catalogue::identity::Presence;
use crate::catalogue::manifest::{Manifest, Status};
use crate::catalogue::record::SizeRecord;
use crate::catalogue::series::series;
use crate::selection::options::Selection;
use crate::selection::shown::Now;
use crate::snapshot::place::mounts::Mounts;
use crate::words::exit::{Exit, STATUSES};
use crate::words::seconds;
use crate::words::table::{self, Cell};
use crate::words::terminal::{Colour, Terminal};

#[derive(clap::Args)]
#[command(after_help = STATUSES)]
pub struct Arguments {
    /// Print a JSON array of the manifests instead of a table
    #[arg(long)]
    json: bool,

    /// All columns, also on a terminal, where some are left out and long ones cut
    #[arg(long, conflicts_with = "json")]
    wide: bool,

    /// Only the newest N
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    last: Option<u32>,

    /// Only clean ones
    #[arg(long)]
    clean: bool,

    #[command(flatten)]
    selection: Selection,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    let mut contents = arguments.selection.read()?;
    contents.manifests.retain(|manifest| manifest.clean || !arguments.clean);
    let older =
        arguments.last.map_or(0, |last| contents.manifests.len().saturating_sub(last as usize));
    let catalogue = arguments.selection.place.catalogue();
    if contents.manifests.is_empty() && !arguments.clean {
        arguments.selection.say_none();
    }
    let shown = &contents.manifests[older..];
    let text = match arguments.json {
        true => json(&catalogue, shown)?,
        false => table(&catalogue, shown, arguments.wide),
    };
    let mut out = stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("standard output")?;
    Ok(match contents.damaged.is_empty() {
        true => Exit::SUCCESS,
        false => Exit::DATA,
    })
}

fn json(catalogue: &Catalogue, manifests: &[Manifest]) -> anyhow::Result<String> {
    let shown: Vec<_> =
        nows(catalogue, manifests).map(|(manifest, now)| now.json(manifest)).collect();
    Ok(serde_json::to_string_pretty(&shown)? + "\n")
}

/// Each with what is so now.
fn nows<'a>(
    catalogue: &'a Catalogue,
    manifests: &'a [Manifest],
) -> impl Iterator<Item = (&'a Manifest, Now)> {
    let mounts = Mounts::read().ok();
    manifests.iter().map(move |manifest| {
        let mounted = mounts.as_ref().is_some_and(|mounts| mounts.show(manifest));
        (manifest, Now::of(catalogue, manifest, mounted))
    })
}

const HEAD: [&str; 11] = [
    "NAME", "STATUS", "CLEAN", "PROVIDER", "TAKEN", "AGE", "PAUSE", "SIZE", "PINNED", "PATH",
    "REASON",
];

const SHORT_HEAD: [&str; 5] = ["NAME", "STATE", "AGE", "PAUSE", "REMARK"];
/// The pause, the remark, the age: all of it is in --wide, and the state says whether to look.
const SPARE: [usize; 3] = [3, 4, 2];

const UNCOVERED: &str = "not all writers were covered";
const REFUTED: &str = "found bad by the command of its job";
const ELSEWHERE: &str = "source on another file system than before";
const WAITING: &str = "for the verdict of its group";

/// For people: one line each, the newest at the end, where it is seen. What is no terminal gets all of it.
fn table(catalogue: &Catalogue, manifests: &[Manifest], wide: bool) -> String {
    if manifests.is_empty() {
        return String::new();
    }
    let ages = Ages::of(manifests);
    let all = nows(catalogue, manifests);
    match Terminal::of_output().filter(|_| !wide) {
        None => {
            let rows = all.map(|(one, now)| row(one, &now, &ages)).collect();
            table::table("", HEAD, rows, None, &[])
        }
        terminal => {
            let rows = all.map(|(one, now)| short_row(one, &now, &ages)).collect();
            table::table("", SHORT_HEAD, rows, terminal, &SPARE)
        }
    }
}

/// What fits a terminal: whether it can be relied on, and if not, why.
fn short_row(manifest: &Manifest, now: &Now, ages: &Ages) -> [Cell; 5] {
    let (state, colour) = match (manifest.status, manifest.clean, now.presence) {
        (Status::Complete, _, Presence::Gone) => ("gone", Colour::Bad),
        (Status::Complete, _, Presence::Replaced) => ("replaced", Colour::Bad),
        (Status::Complete, true, _) if manifest.source_changed => ("clean", Colour::Doubtful),
        (Status::Complete, true, _) => ("clean", Colour::Good),
        (Status::Complete, false, _) => ("not clean", Colour::Doubtful),
        (Status::Failed | Status::Revoked, ..) => (status(manifest, now), Colour::Bad),
        _ => (status(manifest, now), Colour::Doubtful),
    };
    let is_read = (now.pinned(manifest) == Some(true)).then_some("in use");
    let remarks: Vec<&str> = is_read.into_iter().chain(reason(manifest)).collect();
    let none = || "-".to_owned();
    [
        Cell::new(&manifest.name),
        Cell::new(state).coloured(colour),
        Cell::new(ages.show(manifest).unwrap_or_else(none)),
        Cell::new(pause(manifest).unwrap_or_else(none)),
        Cell::new(remarks.join("; ")),
    ]
}

fn pause(manifest: &Manifest) -> Option<String> {
    let pause = Duration::try_from_secs_f64(manifest.pause.as_ref()?.pause_ms? / 1e3).ok()?;
    Some(seconds::display(pause))
}

/// Why it failed, is not clean, or is not to be relied on nevertheless.
fn reason(manifest: &Manifest) -> Option<&str> {
    let other = [
        (manifest.awaits_verdict(), WAITING),
        (manifest.is_refuted(), REFUTED),
        (manifest.source_changed, ELSEWHERE),
        (manifest.covered == Some(false), UNCOVERED),
    ];
    let other = other.iter().find(|(is_so, _)| *is_so).map(|(_, what)| *what);
    manifest.reason.as_deref().or(other)
}

fn row(manifest: &Manifest, now: &Now, ages: &Ages) -> [Cell; 11] {
    let none = || "-".to_owned();
    let path = match (manifest.kept_at(), manifest.places(), now.presence) {
        (kept, ..) if !kept.is_empty() => kept.join(" "),
        (_, places, _) if places.is_empty() || manifest.status != Status::Complete => none(),
        (_, places, Presence::Gone) => format!("{} (gone)", places.join(" ")),
        (_, places, Presence::Replaced) => format!("{} (replaced)", places.join(" ")),
        (_, places, _) => places.join(" "),
    };
    [
        manifest.name.clone(),
        status(manifest, now).to_owned(),
        if manifest.clean { "yes" } else { "no" }.to_owned(),
        manifest.provider.clone(),
        manifest.taken_at().map_or_else(none, |at| format!("{at:.0}")),
        ages.show(manifest).unwrap_or_else(none),
        pause(manifest).unwrap_or_else(none),
        manifest.size.and_then(SizeRecord::shown).unwrap_or_else(none),
        match now.pinned(manifest) {
            Some(true) => "yes",
            Some(false) => "no",
            None => "?",
        }
        .to_owned(),
        path,
        reason(manifest).map_or_else(none, str::to_owned),
    ]
    .map(Cell::new)
}

/// What it is now, in more words than the manifest has.
fn status(manifest: &Manifest, now: &Now) -> &'static str {
    match (manifest.status, now.live) {
        _ if manifest.awaits_verdict() => "waiting",
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
