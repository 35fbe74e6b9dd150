//! What a run that died has left: found by its manifest, which is neither ended nor locked.
//!
//! *Begun* means that there is no certificate: the data, if there is any, goes. *Certified* means
//! that only the last rename was missing: it is done now; but of a group's snapshot, that and what to do is for the verdict to
//! say, and until somebody has heard it there is nothing to be done. *Pruning* means that the rest of the data
//! goes as well, and then the manifest. Nothing else is ever removed under a snapshot's final name.
//!
//! What goes is what the run made: the manifest says what it is known by, or it has a name that nobody else
//! could give ([`partial`](crate::catalogue::partial)). What cannot be told to be ours stays and is named, and so does all that a copy of a manifest speaks of: whether its run still lives
//! is seen by the lock on the manifest that it was copied from.

use std::io;
use std::path::{Path, PathBuf};

use super::{current, discarding, removal, volumes};
use crate::catalogue::entry::Entry;
use crate::catalogue::identity::Presence;
use crate::catalogue::manifest::{Manifest, Status};
use crate::catalogue::{Catalogue, hold};
use crate::files::names::rename_to_free;
use crate::files::sync::sync_folder;
use crate::snapshot::place::target::remove_empty;
use crate::words::lines::{say, warn};

/// Cleans up; what cannot be cleaned up is left for the next run, with a warning, and returned.
pub fn sweep(catalogue: &Catalogue) -> Vec<(Manifest, io::Error)> {
    let unfinished = match catalogue.remove_leftovers().and_then(|()| catalogue.unfinished()) {
        Ok(unfinished) => unfinished,
        Err(error) => {
            let folder = catalogue.folder().display();
            warn(&format!("{folder}: cannot look for unfinished snapshots: {error}"));
            return Vec::new();
        }
    };
    for path in unfinished.blocked {
        warn(&format!(
            "{}: another program has locked it, so this unfinished snapshot is left for now; \
             lslocks(8) tells which",
            path.display()
        ));
    }
    let mut failed = Vec::new();
    for (mut entry, mut manifest) in unfinished.abandoned {
        match finish(&mut entry, &mut manifest) {
            Ok(what) => say(&format!("{}: {what}", manifest.name)),
            Err(error) => {
                let path = entry.path();
                warn(&format!(
                    "{}: cannot clean up an unfinished snapshot: {error}",
                    path.display()
                ));
                failed.push((manifest, error));
            }
        }
    }
    failed
}

/// Brings to its end what was begun; says what that was.
pub fn finish(entry: &mut Entry, manifest: &mut Manifest) -> io::Result<String> {
    if let Some(what) = missing(manifest) {
        return Err(io::Error::other(what));
    }
    if !matches!(manifest.status, Status::Begun | Status::Certified) {
        removal::remove(entry, manifest)?;
        return Ok("was being pruned; the rest of it is removed".to_owned());
    }
    if !entry.is_in_its_place(manifest)? {
        return Err(io::Error::other(copied(manifest)));
    }
    let published = match manifest.status {
        Status::Certified if manifest.is_aborted() => Err(io::ErrorKind::NotFound.into()),
        // Else anything could have the temporary name.
        Status::Certified if manifest.path.is_none() || !manifest.identity.is_empty() => {
            publish(manifest)
        }
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let what = match published {
        Ok(()) => {
            manifest.end(Status::Complete, None);
            "was whole when its run was interrupted, and is complete now".to_owned()
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Err(_) => {
            match manifest.status {
                // Some of them may have their names already.
                Status::Certified => volumes::remove(manifest)?,
                _ => volumes::discard(manifest)?,
            }
            let lost = lost(manifest)
                .map(|place| format!("what it had made is not at {} any more", place.display()));
            let mut strangers = volumes::strangers(manifest)?;
            if let Some(partial) = &manifest.partial {
                strangers.extend(discard(manifest, partial)?);
            }
            let how = if manifest.is_aborted() { "aborted by its group" } else { "interrupted" };
            let said = manifest.reason.clone().filter(|_| manifest.is_aborted());
            let mut reason = said
                .unwrap_or_else(|| "interrupted: the run ended without finishing it".to_owned());
            let done = lost.unwrap_or_else(|| match manifest.provider == "command" {
                true => "what its command made is left".to_owned(),
                false => "its data is removed".to_owned(),
            });
            let mut what = format!("was {how}; {done}");
            if !strangers.is_empty() {
                let left = format!(
                    "{} is left, as nothing tells that the run made it: look at it, and remove it yourself",
                    strangers.join(", ")
                );
                reason = format!("{reason}; {left}");
                what = format!("was {how}; {left}");
            }
            manifest.end(Status::Failed, Some(reason));
            what
        }
    };
    entry.write(manifest)?;
    current::follow(entry, manifest);
    Ok(what)
}

/// Removes what the run made under its temporary name, and says what has that name else.
fn discard(manifest: &Manifest, partial: &Path) -> io::Result<Option<String>> {
    if manifest.is_at(partial) == Presence::Gone {
        return Ok(None);
    }
    let held = hold::exclusive(partial);
    if !manifest.identity.is_empty() || manifest.has_unique_partial() {
        let _held = held?;
        discarding::discard(manifest, partial)?;
        return Ok(None);
    }
    let is_removed = held.is_ok() && remove_empty(partial)?;
    Ok((!is_removed).then(|| partial.display().to_string()))
}

/// Nothing can be done, nor be said to be gone, before the folder is back.
pub fn missing(manifest: &Manifest) -> Option<String> {
    let folder = manifest.missing_folder()?.display();
    Some(format!(
        "{folder} is not the folder that the data is in: mount it, or move it back, and the next run does it; \
         if it is gone for good, remove this file"
    ))
}

/// Where the data was made, if it is not there: whoever moved it, or the folder that it is in, has it now.
pub fn lost(manifest: &Manifest) -> Option<&Path> {
    let partial = manifest.partial.as_deref()?;
    let is_gone =
        !manifest.identity.is_empty() && manifest.is_at(partial).is_there() == Some(false);
    is_gone.then_some(partial)
}

/// What to do about the copy of a manifest.
fn copied(manifest: &Manifest) -> String {
    let data = manifest.partial.iter().map(|partial| partial.display().to_string());
    let data = data.chain(manifest.volumes.iter().map(|volume| volume.partial.clone()));
    format!(
        "it was begun in another folder than this, which is a copy; nothing is touched: if its run is over and \
         the other catalogue is no more, remove {} and this file",
        data.collect::<Vec<_>>().join(", ")
    )
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
