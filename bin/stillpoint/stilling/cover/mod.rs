//! Who has files open for writing where data is taken from, and how each of them is stilled.
//!
//! The barrier knows its members and nobody else. Whether a snapshot is of one moment depends on all who write there, so
//! all processes are looked at: just before the gate closes, never while it is closed, and once more when it is open
//! again, which finds who came in between. A process counts that has a file below one of the sources open for
//! writing, or mapped so; elsewhere on the same file system it may write what it likes. A file without a name
//! counts for nothing: no snapshot has it.
//!
//! What is not known is not called covered: who may not look into a process is told so, and how many there are.
//! Processes in another pid namespace than ours, or beside it, are not to be seen from a container, and are not spoken of.

mod adopted;
mod files;
mod means;
mod member;
mod memory;
mod mounts;
mod overlay;
mod place;
pub mod process;

use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

pub use self::means::Means;
use self::means::{Lookup, Verdict};
use self::mounts::Mounts;
pub use self::place::Extent;
use self::place::Place;
pub use self::process::Process;
use self::process::{Ourselves, all, are_hidden};
use crate::catalogue::cover::{CoverRecord, Sight};
use crate::words::waiting::who;

/// Named on a line.
const NAMED: usize = 4;

/// Folders that data is taken from.
#[derive(Clone, Debug)]
pub struct Places {
    pub folders: Vec<PathBuf>,
    pub extent: Extent,
}

/// Looks at all processes.
pub fn look(wanted: &Places, means: &Means) -> Sight {
    let (Some(mut mounts), Ok(processes)) = (Mounts::read(), all()) else {
        return Sight {
            unseen: Some("no process can be seen without /proc".into()),
            ..Sight::default()
        };
    };
    let (places, missing) = places(wanted, &mut mounts);
    let lookup = Lookup::new(means, &mut mounts);
    let ourselves = Ourselves::new();
    let (mut sight, mut unknown) = (Sight::default(), Unknown::default());
    unknown.missing = missing;
    for process in processes {
        match files::look(process, &places, &mut mounts) {
            Ok(Some(open)) if !ourselves.are(process) => {
                if open.is_lost {
                    unknown.lost.push(process);
                }
                if !open.places.is_empty() {
                    let verdict = lookup.of(process, &open, &places, &mut mounts);
                    sight.writers.push(record(process, open.files, verdict));
                }
            }
            Ok(_) => {}
            Err(_) => unknown.denied.push(process),
        }
    }
    sight.unseen = unknown.text();
    sight
}

/// Whether two paths lie on one file system, so that locks on the one are locks on the other.
pub fn are_on_one_file_system(one: &Path, other: &Path) -> bool {
    let device = |path, mounts: &mut Mounts| Place::of(path, mounts).map(|place| place.device);
    Mounts::read().is_some_and(|mut mounts| {
        let device_of_one = device(one, &mut mounts);
        device_of_one.is_some() && device_of_one == device(other, &mut mounts)
    })
}

fn places(wanted: &Places, mounts: &mut Mounts) -> (Vec<Place>, Option<PathBuf>) {
    let (mut places, mut missing) = (Vec::new(), None);
    for folder in &wanted.folders {
        let inside = match wanted.extent {
            Extent::Mounts => mounts.inside(folder),
            Extent::Folder | Extent::FileSystem => Vec::new(),
        };
        let of = |folder: &PathBuf, mounts: &mut Mounts| {
            Place::of(folder, mounts).map(|place| place.with(wanted.extent))
        };
        match of(folder, mounts) {
            Some(place) => places.push(place),
            None => missing = Some(folder.clone()),
        }
        // What is covered by another mount cannot be reached, nor written to.
        places.extend(inside.iter().filter_map(|folder| of(folder, mounts)));
    }
    (places, missing)
}

/// What a look did not show.
#[derive(Default)]
struct Unknown {
    /// A folder that is nowhere.
    missing: Option<PathBuf>,
    /// Processes that may not be looked into.
    denied: Vec<Process>,
    /// Those with files on mounts that nobody sees.
    lost: Vec<Process>,
}

impl Unknown {
    fn text(&self) -> Option<String> {
        if let Some(folder) = &self.missing {
            return Some(format!("{}: it cannot be told where that is", folder.display()));
        }
        if are_hidden() {
            return Some("other users' processes are hidden: run as root".to_owned());
        }
        let named = |some: &[Process]| {
            first(some.iter().map(|process| who(process.0, &process.comm(), "")).collect())
        };
        let denied = match self.denied.as_slice() {
            [] => None,
            // More than that nobody may.
            some if geteuid().is_root() => Some(format!("not to be looked into: {}", named(some))),
            [_] => Some("1 process could not be looked into: run as root".to_owned()),
            some => Some(format!("{} processes could not be looked into: run as root", some.len())),
        };
        let lost = (!self.lost.is_empty()).then(|| {
            let named = named(&self.lost);
            format!(
                "open for writing on a mount that nobody sees here, as after umount -l or of the host of this container, and \
                 maybe in the sources: {named}; start it with its output elsewhere, as in a pipe"
            )
        });
        let both: Vec<String> = lost.into_iter().chain(denied).collect();
        (!both.is_empty()).then(|| both.join("; "))
    }
}

/// Some of the names, and how many more there are.
fn first(mut names: Vec<String>) -> String {
    if let more @ 1.. = names.len().saturating_sub(NAMED) {
        names.truncate(NAMED);
        names.push(format!("{more} more"));
    }
    names.join(", ")
}

fn record(process: Process, files: Vec<String>, verdict: Verdict) -> CoverRecord {
    CoverRecord {
        how: verdict.how,
        pid: process.0,
        comm: process.comm(),
        unit: process.unit(),
        participant: verdict.participant,
        why: verdict.why,
        files,
    }
}

/// Who is not covered, in a line, if anybody is, or may be.
pub fn complaint(sight: &Sight) -> Option<String> {
    let names: Vec<String> = sight.uncovered().map(name).collect();
    match names.is_empty() {
        true => sight.unseen.clone(),
        false => Some(format!("not covered: {}", first(names))),
    }
}

fn name(writer: &CoverRecord) -> String {
    let process = who(writer.pid, &writer.comm, writer.unit.as_deref().unwrap_or_default());
    let file = writer.files.first().map(|file| format!(" on {}", Path::new(file).display()));
    let why = writer.why.as_ref().map(|why| format!(" ({why})"));
    format!("{process}{}{}", file.unwrap_or_default(), why.unwrap_or_default())
}
