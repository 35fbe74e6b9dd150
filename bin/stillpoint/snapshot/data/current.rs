//! `--current`: a link to the newest clean snapshot of a series, for who wants one path to all of them.
//!
//! It is changed in one step, so whoever follows it finds one snapshot or the next, and always a whole one. Only a link
//! that leads into the folder of the snapshots is taken for ours; whatever else has the name stays.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::catalogue::entry::Entry;
use crate::catalogue::manifest::{Manifest, recordable};
use crate::files::names::{folder_of, rename_to_free};
use crate::files::sync::sync_folder;
use crate::words::exit::{Exit, Failure, reason};
use crate::words::lines::warn;

/// How often two that come at the same time may get into each other's way.
const ATTEMPTS: u32 = 100;

/// Could it be changed? Asked before anything is done.
pub fn check(link: &Path, folder: &Path) -> Result<(), Failure> {
    let cannot = |why: &str| {
        let message = format!("--current {}: {why}", link.display());
        Failure::new(Exit::CANNOT_CREATE, message)
    };
    recordable(link).map_err(Failure::usage)?;
    if link.file_name().is_none() || !folder_of(link).is_dir() {
        return Err(cannot("name a link in a folder that exists"));
    }
    match is_ours(link, folder) {
        Ok(Some(false)) => Err(cannot(
            "is something else than a link to a snapshot there, and stays; give another name",
        )),
        Ok(_) => Ok(()),
        Err(error) => Err(cannot(&reason(&error))),
    }
}

/// Has the link of a snapshot that has its name now lead to it. What is not clean is nothing to be led to, and one that
/// comes late, as a verdict may, does not take the place of one that was begun after it.
pub fn follow(entry: &Entry, manifest: &Manifest) {
    let (Some(link), Some(path)) = (&manifest.current, &manifest.path) else {
        return;
    };
    if !manifest.clean || manifest.source_changed || leads_to_later(link, entry, manifest) {
        return;
    }
    turn(link, path).unwrap_or_else(|error| {
        warn(&format!("{}: leads elsewhere: {}", link.display(), reason(&error)));
    });
}

/// To one whose data is there.
fn leads_to_later(link: &Path, entry: &Entry, manifest: &Manifest) -> bool {
    let Ok(place) = link.canonicalize() else { return false };
    let name = place.file_name().and_then(OsStr::to_str);
    let other = name.and_then(|name| entry.beside(name));
    other.is_some_and(|other| {
        other.path.as_ref() == Some(&place) && other.place() > manifest.place()
    })
}

/// From now on it leads to this snapshot.
fn turn(link: &Path, snapshot: &Path) -> io::Result<()> {
    // Always the same, so that what a killed one has left goes with the next.
    let mut aside = OsString::from(".");
    aside.push(link.file_name().unwrap_or_default());
    aside.push(".new");
    let aside = link.with_file_name(aside);
    let mut turned = try_to_turn(link, &aside, snapshot);
    // One that comes at the same time may take the other's away; both lead to a snapshot of the series.
    for _ in 0..ATTEMPTS {
        match &turned {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            _ => break,
        }
        turned = try_to_turn(link, &aside, snapshot);
    }
    turned.and_then(|()| sync_folder(folder_of(link)))
}

fn try_to_turn(link: &Path, aside: &Path, snapshot: &Path) -> io::Result<()> {
    let there = match snapshot.parent() {
        Some(folder) => is_ours(link, folder)?,
        None => Some(false),
    };
    if aside.symlink_metadata().is_ok_and(|found| found.is_symlink()) {
        fs::remove_file(aside)?;
    }
    symlink(snapshot, aside)?;
    let turned = match there {
        None => rename_to_free(aside, link),
        Some(true) => fs::rename(aside, link),
        Some(false) => Err(io::ErrorKind::AlreadyExists.into()),
    };
    if turned.is_err() {
        let _ = fs::remove_file(aside);
    }
    turned
}

/// `None`: nothing has the name.
fn is_ours(link: &Path, folder: &Path) -> io::Result<Option<bool>> {
    match link.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(found) if !found.is_symlink() => Ok(Some(false)),
        Ok(_) => {
            let leads_to = folder_of(link).join(fs::read_link(link)?);
            let above = leads_to.parent().and_then(|above| above.canonicalize().ok());
            Ok(Some(above.as_deref() == Some(folder)))
        }
    }
}
