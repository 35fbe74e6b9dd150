//! Taking away what a provider has made in a folder.

use std::io;
use std::path::Path;

use super::unlinking;
use crate::catalogue::identity::Presence;
use crate::catalogue::manifest::Manifest;
use crate::snapshot::place::mounts::Mounts;
use crate::snapshot::provider::btrfs;
use crate::words::progress::Progress;

/// Removes what a provider made in this folder. Nothing there is no error, and something else is left.
pub fn discard(manifest: &Manifest, place: &Path) -> io::Result<()> {
    if manifest.is_at(place) == Presence::Gone {
        return Ok(());
    }
    // First of all: what covers it looks like something else.
    refuse_mounts(place)?;
    if manifest.is_at(place) == Presence::Replaced {
        return Ok(());
    }
    match manifest.provider.as_str() {
        btrfs::NAME => btrfs::discard(manifest, place),
        _ => {
            let progress = Progress::new("removing", &manifest.name);
            unlinking::remove(place, progress, |folder| manifest.is_of(folder))
        }
    }
}

/// What is mounted at a place, or in it, is no part of a snapshot, and nobody can remove it or see what it
/// covers: nothing there is touched then. Nor is what is mounted from there at another place (`WouldBlock`): who reads
/// it there may have lost the process that keeps the pin.
pub fn refuse_mounts(place: &Path) -> io::Result<()> {
    let mounts = Mounts::read().map_err(|failure| io::Error::other(failure.to_string()))?;
    // As the table has it, whatever has become of the way there.
    let place = match (place.parent(), place.file_name()) {
        (Some(parent), Some(name)) => match parent.canonicalize() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            parent => parent?.join(name),
        },
        _ => place.to_owned(),
    };
    match (mounts.at_or_below(&place), mounts.elsewhere(&place)) {
        (None, None) => Ok(()),
        (None, Some(mount)) => {
            let message = format!(
                "nothing of it is removed, as it is mounted at {}; stillpoint unmount it",
                mount.display()
            );
            Err(io::Error::new(io::ErrorKind::WouldBlock, message))
        }
        (Some(mount), _) => {
            let message = format!(
                "nothing of it is removed, as something is mounted at {}; unmount it",
                mount.display()
            );
            Err(io::Error::new(io::ErrorKind::ResourceBusy, message))
        }
    }
}
