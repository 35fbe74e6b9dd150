//! What a run that died has left: found by its manifest, which is neither ended nor locked.
//!
//! *Begun* means that there is no certificate: the data, if there is any, goes. *Certified* means
//! that only the last rename was missing: it is done now. *Pruning* means that the rest of the data
//! goes as well, and then the manifest. Nothing else is ever removed under a snapshot's final name.

use std::io;
use std::path::PathBuf;

use super::{provider, removal, volumes};
use crate::catalogue::identity::Presence;
use crate::catalogue::manifest::{Manifest, Status};
use crate::catalogue::{Catalogue, Entry, rename_to_free, sync_folder};
use crate::exit::{say, warn};

/// Cleans up; what cannot be cleaned up is left for the next run, with a warning.
pub fn sweep(catalogue: &Catalogue) {
    let abandoned = match catalogue.remove_leftovers().and_then(|()| catalogue.abandoned()) {
        Ok(abandoned) => abandoned,
        Err(error) => {
            let folder = catalogue.folder().display();
            return warn(&format!("{folder}: cannot look for unfinished snapshots: {error}"));
        }
    };
    for (mut entry, mut manifest) in abandoned {
        match finish(&mut entry, &mut manifest) {
            Ok(what) => say(&format!("{}: {what}", manifest.name)),
            Err(error) => {
                let path = entry.path();
                warn(&format!(
                    "{}: cannot clean up an unfinished snapshot: {error}",
                    path.display()
                ));
            }
        }
    }
}

fn finish(entry: &mut Entry, manifest: &mut Manifest) -> io::Result<&'static str> {
    if !matches!(manifest.status, Status::Begun | Status::Certified) {
        removal::remove(entry, manifest)?;
        return Ok("was being pruned; the rest of it is removed");
    }
    let published = match manifest.status {
        Status::Certified => publish(manifest),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let what = match published {
        Ok(()) => {
            manifest.end(Status::Complete, None);
            "was whole when its run was interrupted, and is complete now"
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Err(_) => {
            match manifest.status {
                // Some of them may have their names already.
                Status::Certified => volumes::remove(manifest)?,
                _ => volumes::discard(manifest)?,
            }
            if let Some(partial) = &manifest.partial {
                provider::discard(manifest, partial)?;
            }
            let reason = "interrupted: the run ended without finishing it";
            manifest.end(Status::Failed, Some(reason.to_owned()));
            "was interrupted; its data is removed"
        }
    };
    entry.write(manifest)?;
    Ok(what)
}

/// Has the data its final name already? It may be that this could not be undone.
pub fn is_published(manifest: &Manifest) -> bool {
    let is_there = |place: &Option<PathBuf>| {
        place.as_ref().is_some_and(|place| manifest.is_at(place) == Presence::There)
    };
    manifest.status == Status::Certified && is_there(&manifest.path) && !is_there(&manifest.partial)
}

/// Gives the data its final name, which it may have already. `NotFound` when the data is gone.
pub fn publish(manifest: &Manifest) -> io::Result<()> {
    let (Some(partial), Some(path)) = (&manifest.partial, &manifest.path) else {
        return volumes::publish(manifest);
    };
    if manifest.is_at(partial).is_there() == Some(false) {
        return match manifest.is_at(path).is_there() {
            Some(false) => Err(io::ErrorKind::NotFound.into()),
            _ => Ok(()),
        };
    }
    rename_to_free(partial, path)?;
    let synced = path.parent().map_or(Ok(()), sync_folder);
    if synced.is_err() {
        // Not durable, so not published.
        rename_to_free(path, partial)?;
    }
    synced
}
