//! The locks on the file of a manifest.
//!
//! One says that somebody makes, removes or reads the snapshot (`flock`): whoever may read the file may have it.
//! The other says who works on it, which takes the permission to write.

use std::fs::File;
use std::io;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{F_RDLCK, F_UNLCK, F_WRLCK, SEEK_SET, flock};

/// For who makes or removes the snapshot. False if somebody else does, or reads it.
pub fn try_lock(file: &File) -> io::Result<bool> {
    match fs2::FileExt::try_lock_exclusive(file) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// The same for a reader, beside others.
pub fn try_shared(file: &File) -> io::Result<bool> {
    match fs2::FileExt::try_lock_shared(file) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// Says that we work on the manifest. That it cannot be said where there are no such locks, or by whom the
/// file cannot be written, is no error: it is what the other lock keeps away that counts.
pub fn mark_live(file: &File) {
    let _ = fcntl(file, FcntlArg::F_OFD_SETLK(&whole_file(F_WRLCK)));
}

/// Does somebody work on it, as [`mark_live`] says?
pub fn is_marked_live(file: &File) -> io::Result<bool> {
    let mut found = whole_file(F_RDLCK);
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut found))?;
    Ok(i32::from(found.l_type) != F_UNLCK)
}

fn whole_file(kind: i32) -> flock {
    flock { l_type: kind as i16, l_whence: SEEK_SET as i16, l_start: 0, l_len: 0, l_pid: 0 }
}
