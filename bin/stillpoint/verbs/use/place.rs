//! `use --at`: a snapshot at a fixed place, for one command and what it starts.
//!
//! Backup tools know what they have saved before by its path, and each snapshot has another one. So the
//! command gets a mount namespace of its own, in which the snapshot is mounted over a folder that is there
//! already: best over the source, so that a backup has the paths that a restore wants. A link would not do:
//! some tools save the link itself, others what it leads to at that moment.
//!
//! Nothing changes for anybody else, and nothing is left behind by any death. What is mounted elsewhere
//! later on is seen here too.

use std::env;
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::MsFlags;

use crate::catalogue::manifest::Manifest;
use crate::snapshot::place::binding::bind;
use crate::snapshot::place::showing::{leave, mount_all};
use crate::words::exit::{Exit, Failure, reason};

/// Shows a snapshot at a place, read-only, to this process and those that it starts. Returns that place as an absolute
/// path.
pub fn show(manifest: &Manifest, place: &Path) -> Result<PathBuf, Failure> {
    let cannot =
        |exit: Exit, why: &str| Failure::new(exit, format!("--at {}: {why}", place.display()));
    let found = place.canonicalize().map_err(|error| {
        cannot(Exit::MISSING, &format!("{}; name a folder that exists", reason(&error)))
    })?;
    if !found.is_dir() {
        return Err(cannot(Exit::MISSING, "not a folder; name one that exists"));
    }
    // Whatever is mounted over it, `/` goes on to mean what lies below.
    if found == Path::new("/") {
        let why =
            "the root folder cannot be covered; name another one, and read the snapshot there";
        return Err(cannot(Exit::UNAVAILABLE, why));
    }
    let stands_in = env::current_dir().ok().filter(|current| current.starts_with(&found));
    let refused = |error: io::Error| {
        let why = reason(&error);
        match error.kind() {
            io::ErrorKind::PermissionDenied => {
                let why = format!("cannot mount the snapshot there: {why}; run it as root");
                cannot(Exit::UNAVAILABLE, &why)
            }
            _ => cannot(Exit::SYSTEM, &format!("cannot mount the snapshot there: {why}")),
        }
    };
    leave().map_err(refused)?;
    match &manifest.path {
        Some(folder) => bind(folder, &found, MsFlags::empty()).map_err(refused)?,
        None => mount_all(manifest, &found)?,
    }
    // Where we stand now is what lies below.
    if let Some(current) = stands_in {
        env::set_current_dir(&current).map_err(|_| {
            let why = format!("the snapshot has no {}; start from elsewhere", current.display());
            cannot(Exit::MISSING, &why)
        })?;
    }
    Ok(std::path::absolute(place).unwrap_or(found))
}
