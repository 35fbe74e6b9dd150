//! Opening what somebody has named.
//!
//! It may be anything. A pipe is waited for until somebody comes to its other end, whatever signals come
//! meanwhile, and to open a device may do something. So it is looked at first, and opened without waiting.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc::{O_DIRECTORY, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK};

/// Opens a folder.
pub fn folder(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(O_DIRECTORY).open(path)
}

/// Opens a regular file, wherever links lead.
pub fn file(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    regular(path, &fs::metadata(path)?, options, 0)
}

/// Opens a regular file that has this very name.
pub fn file_itself(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    regular(path, &fs::symlink_metadata(path)?, options, O_NOFOLLOW)
}

fn regular(
    path: &Path,
    found: &Metadata,
    options: &mut OpenOptions,
    flags: i32,
) -> io::Result<File> {
    if !found.is_file() {
        return Err(irregular());
    }
    // It may be another one by now.
    let file = options.custom_flags(flags | O_NONBLOCK | O_NOCTTY).open(path)?;
    require_regular(&file)?;
    Ok(file)
}

/// Opens whatever it is: to lock it, or for its file system.
pub fn anything(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options.custom_flags(O_NONBLOCK | O_NOCTTY).open(path)
}

/// Whatever else it is, it is no file that we read or write.
pub fn require_regular(file: &File) -> io::Result<()> {
    match file.metadata()?.is_file() {
        true => Ok(()),
        false => Err(irregular()),
    }
}

fn irregular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")
}

/// Whether that is what is wrong.
pub fn is_irregular(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidInput && error.raw_os_error().is_none()
}
