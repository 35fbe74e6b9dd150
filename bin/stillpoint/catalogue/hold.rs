//! A lock on the data itself.
//!
//! The lock on a manifest tells only those who use that file. Another catalogue, a copy or one that came back
//! with a disk, may name the same data, so who makes a folder or reads it locks that too (`flock`, the maker
//! exclusively), and who removes it asks for it first. Where a folder cannot be locked, or may not be opened,
//! the manifest has to do.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc::{O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK};

/// For who makes or removes what is at this place. `WouldBlock` if somebody else does, or reads it.
pub fn exclusive(place: &Path) -> io::Result<Option<File>> {
    lock(place, fs2::FileExt::try_lock_exclusive)
}

/// For a reader. `WouldBlock` if somebody makes or removes it.
pub fn shared(place: &Path) -> io::Result<Option<File>> {
    lock(place, fs2::FileExt::try_lock_shared)
}

fn lock(place: &Path, lock: impl Fn(&File) -> io::Result<()>) -> io::Result<Option<File>> {
    let flags = O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK;
    let Ok(folder) = OpenOptions::new().read(true).custom_flags(flags).open(place) else {
        return Ok(None);
    };
    match lock(&folder) {
        Ok(()) => Ok(Some(folder)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let message =
                format!("{}: somebody makes or reads it; lslocks(8) tells who", place.display());
            Err(io::Error::new(error.kind(), message))
        }
        Err(_) => Ok(None),
    }
}
