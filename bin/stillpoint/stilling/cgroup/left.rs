//! What a tool leaves frozen that was killed together with its guardian: written down before anything is
//! frozen, thawed by the next one.
//!
//! A record is a file beside the barriers. Tool and guardian have it open and locked as one description, so the lock
//! falls with the last of the two, and not before: who gets it knows that nobody is left to thaw. It lists groups by
//! inode and path; the number is given once, so a group that was made again is left alone.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fs2::FileExt;
use nix::unistd::geteuid;

use super::group::Group;
use super::hierarchy::Version;
use crate::files::{folder, names, open};
use crate::words::exit::{Exit, Failure, reason};
use crate::words::lines::warn;

const FOLDER: &str = "frozen";

/// A record that is locked.
#[derive(Debug)]
pub struct Left {
    file: File,
    path: PathBuf,
}

impl Left {
    /// Writes down that these may be frozen from now on.
    pub fn record(groups: &[Group]) -> Result<Left, Failure> {
        let place = place()?;
        let failed = |error: io::Error| {
            let what = format!(
                "{}: cannot write down what is going to be frozen, for whoever must thaw it",
                place.display()
            );
            Failure::system(what, error)
        };
        folder::make(&place).map_err(failed)?;
        let mut text = Vec::new();
        for group in groups {
            let (_, inode) = group.identity().map_err(failed)?;
            text.extend(format!("{inode} ").bytes());
            text.extend(group.path().as_os_str().as_bytes());
            text.push(0);
        }
        loop {
            let (mut file, path) = tempfile::Builder::new()
                .prefix("")
                .tempfile_in(&place)
                .and_then(|file| file.keep().map_err(|error| error.error))
                .map_err(failed)?;
            FileExt::lock_exclusive(&file).map_err(failed)?;
            // Somebody may have taken it for a dead one's before it was locked.
            if names::leads_to(&path, &file).map_err(failed)? {
                file.write_all(&text).map_err(failed)?;
                return Ok(Left { file, path });
            }
        }
    }

    /// What keeps it locked.
    pub fn descriptor(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Nothing of it is frozen any more.
    pub fn forget(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Beside the barriers, where nothing outlives a start of the machine.
fn place() -> Result<PathBuf, Failure> {
    let folder = stillpoint::barrier_folder(!geteuid().is_root()).map_err(|_| {
        let message = "XDG_RUNTIME_DIR is not set, so there is no place to write down what is going to be frozen; set it, or freeze as root";
        Failure::new(Exit::DENIED, message)
    })?;
    Ok(folder.join(FOLDER))
}

/// Thaws what tools have left frozen that are dead, and says so. That it cannot is no error of whoever comes by.
pub fn thaw_what_was_left() {
    let Ok(place) = place() else {
        return;
    };
    // Nothing was ever frozen here.
    let Ok(entries) = fs::read_dir(&place) else {
        return;
    };
    for entry in entries.flatten() {
        if let Err(error) = take_over(&entry.path()) {
            let path = entry.path();
            warn(&format!("{}: cannot thaw what it lists: {}", path.display(), reason(&error)));
        }
    }
}

fn take_over(path: &Path) -> io::Result<()> {
    let mut file = match open::file_itself(path, File::options().read(true)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    if file.metadata()?.uid() != geteuid().as_raw() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    match FileExt::try_lock_exclusive(&file) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
        locked => locked?,
    }
    // Another one may have been faster.
    if !names::leads_to(path, &file)? {
        return Ok(());
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    for entry in text.split_inclusive(|byte| *byte == 0) {
        // One that was not written to its end was not frozen either.
        if let Some((inode, group)) = entry.strip_suffix(&[0]).and_then(parse) {
            thaw(inode, group)?;
        }
    }
    fs::remove_file(path)
}

fn parse(entry: &[u8]) -> Option<(u64, &Path)> {
    let space = entry.iter().position(|byte| *byte == b' ')?;
    let (inode, path) = (&entry[..space], &entry[space + 1..]);
    Some((std::str::from_utf8(inode).ok()?.parse().ok()?, Path::new(OsStr::from_bytes(path))))
}

fn thaw(inode: u64, path: &Path) -> io::Result<()> {
    for version in [Version::Two, Version::One] {
        let group = match Group::open(path, version) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            group => group?,
        };
        if group.identity()?.1 == inode && group.is_asked_to_freeze()? {
            group.thaw()?;
            warn(&format!(
                "{}: was left frozen by a tool that was killed together with its guardian, and is thawed now",
                path.display()
            ));
        }
    }
    Ok(())
}
