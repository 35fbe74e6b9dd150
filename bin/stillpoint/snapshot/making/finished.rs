//! What there is to say and to do about a snapshot that has its name.

use crate::catalogue::entry::Entry;
use crate::catalogue::manifest::Manifest;
use crate::stilling::cover;
use crate::words::lines::warn;

pub fn tell(entry: &Entry, manifest: &Manifest) {
    if let Some(reason) = &manifest.reason {
        warn(&format!("{} is not clean: {reason}", manifest.name));
    }
    say_uncovered(manifest);
    say_where(entry, manifest);
}

/// A snapshot that somebody wrote into is whole, and may be of no one moment.
fn say_uncovered(manifest: &Manifest) {
    if manifest.covered != Some(false) {
        return;
    }
    if let Some(complaint) = cover::complaint(&manifest.sight()) {
        warn(&format!("{}: {complaint}; see stillpoint-adopt(8)", manifest.name));
    }
}

/// The record went with the folder that it was begun in.
pub fn say_where(entry: &Entry, manifest: &Manifest) {
    let Some(moved) = entry.moved_to() else {
        return;
    };
    let path = entry.path();
    let folder = path.parent().unwrap_or(&path).display();
    let name = &manifest.name;
    warn(&match moved {
        Some(place) => format!(
            "{folder}: was moved in the meantime; the record of {name} is in {}",
            place.display()
        ),
        None => {
            format!("{folder}: was removed in the meantime, and with it the record of {name}")
        }
    });
}
