//! Folders that are read, or written into, as manifests have them: absolute and without symbolic links; and the
//! room that is in them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use crate::catalogue::manifest::recordable;
use crate::words::exit::{Exit, Failure, reason};

/// A folder that is to be read, absolute and without symbolic links.
pub fn known_folder(folder: &Path) -> Result<PathBuf, Failure> {
    let found = known_path(folder)?;
    match found.is_dir() {
        true => Ok(found),
        false => Err(unknown(folder, "not a folder")),
    }
}

/// The same for a file or a folder, whose file system is meant.
pub fn known_place(path: &Path) -> Result<PathBuf, Failure> {
    let found = known_path(path)?;
    match found.is_dir() || found.is_file() {
        true => Ok(found),
        false => Err(unknown(path, "neither a folder nor a regular file")),
    }
}

/// The same for whatever it is.
pub fn known_path(path: &Path) -> Result<PathBuf, Failure> {
    let found = fs::canonicalize(path).map_err(|error| unknown(path, &reason(&error)))?;
    recordable(&found).map_err(Failure::usage)?;
    Ok(found)
}

/// Is it one folder, which may be mounted at several places?
pub fn are_one(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    one == other || identity(one).is_some_and(|found| identity(other) == Some(found))
}

/// Two words for one source: more likely one of them was to be another.
pub fn named_twice(option: &str, one: &Path, again: &Path) -> Failure {
    let what = match one == again {
        true => format!("{} is named twice", one.display()),
        false => format!("{} and {} are the same", one.display(), again.display()),
    };
    Failure::usage(format!("{option}: {what}; name each source once"))
}

fn unknown(path: &Path, why: &str) -> Failure {
    let message = format!("{}: {why}; name what is to be snapshotted", path.display());
    Failure::new(Exit::MISSING, message)
}

/// The folder of `--to`.
pub fn target_folder(folder: &Path) -> Result<PathBuf, Failure> {
    let cannot = |why: String| {
        let message = format!("--to {}: {why}; name a folder that exists", folder.display());
        Failure::new(Exit::CANNOT_CREATE, message)
    };
    let found = fs::canonicalize(folder).map_err(|error| cannot(reason(&error)))?;
    if !found.is_dir() {
        return Err(cannot("not a folder".to_owned()));
    }
    recordable(&found).map_err(Failure::usage)?;
    Ok(found)
}

/// Room for so many bytes. What has no size, as much of FUSE and what is in memory without a limit, has no
/// room left either, and says nothing.
pub fn enough_space(folder: &Path, needed: u64) -> Result<(), Failure> {
    let available = fs2::available_space(folder).map_err(|error| {
        Failure::system(format!("{}: cannot tell the space left", folder.display()), error)
    })?;
    if available >= needed || fs2::total_space(folder).is_ok_and(|total| total == 0) {
        return Ok(());
    }
    let message = format!(
        "{}: {available} bytes left, {needed} are needed; free some or use another --to",
        folder.display()
    );
    Err(Failure::new(Exit::CANNOT_CREATE, message))
}

/// File systems that make inodes as they need them report none at all.
pub fn enough_inodes(folder: &Path, needed: u64) -> Result<(), Failure> {
    match statvfs(folder) {
        Ok(found) if found.files() > 0 && found.files_available() < needed => {
            let message = format!(
                "{}: room for {} more files, {needed} are needed; free some or use another --to",
                folder.display(),
                found.files_available()
            );
            Err(Failure::new(Exit::CANNOT_CREATE, message))
        }
        _ => Ok(()),
    }
}
