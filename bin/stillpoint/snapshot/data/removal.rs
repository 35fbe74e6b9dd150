//! Removing a snapshot on purpose, so that whatever happens half of one is never taken for a whole.
//!
//! The manifest is marked first, durably; then the data loses the name that readers look for, durably;
//! then it goes; and the manifest goes last. Who dies in between leaves a mark and a lock that is
//! free, and the next run of `snapshot` or `prune` goes on from there.
//!
//! A full disk is the very reason to remove snapshots, and a mark takes space. Where there is none
//! for it, the lost name has to do: a snapshot that is complete without data under its name is
//! offered to nobody, and if its data is found under the temporary name, it was being removed.

use std::fs::File;
use std::io;
use std::path::Path;

use super::{discarding, volumes};
use crate::catalogue::entry::Entry;
use crate::catalogue::hold;
use crate::catalogue::identity::{Identity, Presence};
use crate::catalogue::manifest::{Manifest, Status};
use crate::files::names::rename_to_free;
use crate::files::sync::sync_folder;

/// Removes the data, if there is any, and then the manifest, which is locked by us. `WouldBlock` if somebody
/// reads it by another manifest.
pub fn remove(entry: &mut Entry, manifest: &mut Manifest) -> io::Result<()> {
    if volumes::are_left(manifest) {
        volumes::refuse_mounts(manifest)?;
        mark(entry, manifest)?;
        volumes::remove(manifest)?;
    }
    if let (Some(place), Some(partial)) =
        (manifest.stands_at().map(Path::to_owned), manifest.partial.clone())
    {
        refuse_mounts(manifest)?;
        let _held = hold(manifest)?;
        know(manifest, &place, &partial)?;
        mark(entry, manifest)?;
        // What an earlier run has left of it.
        discarding::discard(manifest, &partial)?;
        if manifest.is_at(&place) != Presence::Replaced {
            take_name(&place, &partial)?;
            discarding::discard(manifest, &partial)?;
        }
    }
    entry.remove()
}

/// Can its data be removed, as far as can be seen? Changes nothing.
pub fn check(manifest: &Manifest) -> io::Result<()> {
    volumes::refuse_mounts(manifest)?;
    refuse_mounts(manifest)?;
    hold(manifest).map(drop)
}

fn places(manifest: &Manifest) -> impl Iterator<Item = &Path> {
    manifest.stands_at().into_iter().chain(manifest.partial.as_deref())
}

fn refuse_mounts(manifest: &Manifest) -> io::Result<()> {
    places(manifest).try_for_each(discarding::refuse_mounts)
}

/// Locks what is its own, so that nobody begins to read it.
fn hold(manifest: &Manifest) -> io::Result<Vec<File>> {
    let ours = places(manifest).filter(|place| manifest.is_at(place) == Presence::There);
    let held = ours.map(hold::exclusive).collect::<io::Result<Vec<_>>>()?;
    Ok(held.into_iter().flatten().collect())
}

/// From before the first step it is known what goes: else anything that has the temporary name would.
fn know(manifest: &mut Manifest, place: &Path, partial: &Path) -> io::Result<()> {
    if !manifest.identity.is_empty() {
        return match manifest.is_at(place) {
            Presence::Unknown => Err(io::Error::other(format!(
                "{}: cannot be looked at, so nothing tells whether it is this snapshot",
                place.display()
            ))),
            _ => Ok(()),
        };
    }
    let is_there = |place: &Path| place.symlink_metadata().is_ok();
    if is_there(place) {
        manifest.identity = Identity::of_whole(place)?;
    } else if is_there(partial) && !manifest.has_unique_partial() {
        return Err(io::Error::other(format!(
            "{}: nothing tells that it is this snapshot: look at it, and remove it and the manifest yourself",
            partial.display()
        )));
    }
    Ok(())
}

fn mark(entry: &mut Entry, manifest: &mut Manifest) -> io::Result<()> {
    if manifest.status == Status::Pruning {
        return Ok(());
    }
    let mut marked = manifest.clone();
    marked.status = Status::Pruning;
    marked.clean = false;
    match entry.write(&marked) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            ) => {}
        written => {
            written?;
            *manifest = marked;
        }
    }
    Ok(())
}

/// From now on, and after a power cut too, nobody finds it. That it is gone already is no error.
fn take_name(place: &Path, partial: &Path) -> io::Result<()> {
    match rename_to_free(place, partial) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let message = format!("{}: something else is in the way", partial.display());
            return Err(io::Error::new(error.kind(), message));
        }
        renamed => renamed?,
    }
    partial.parent().map_or(Ok(()), sync_folder)
}
