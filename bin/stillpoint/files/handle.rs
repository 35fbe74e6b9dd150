//! What is open, as a path: whatever becomes of the names that led to it, this one goes on leading there.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::libc::{O_DIRECTORY, O_NOFOLLOW, O_PATH};

/// For this process, and for those that inherit the descriptor under its number.
pub fn path(file: impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()))
}

/// Is there a /proc that has such paths?
pub fn are_there() -> bool {
    Path::new("/proc/self/fd").exists()
}

/// Opens a folder in one that is open, and in no other: no link is followed.
pub fn enter(folder: impl AsFd, name: &OsStr) -> io::Result<File> {
    itself(&path(folder).join(name))
}

/// Opens a folder that has this very name, to go on from there.
pub fn itself(folder: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(O_PATH | O_DIRECTORY | O_NOFOLLOW).open(folder)
}

/// The same, to read or to lock it.
pub fn readable(folder: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(O_DIRECTORY | O_NOFOLLOW).open(folder)
}
