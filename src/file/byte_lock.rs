//! Locks on single bytes of the barrier file: fcntl_locking(2), those of open file descriptions.

use crate::file::layout::LockByte;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use std::io;
use std::os::fd::AsFd;

/// How a byte is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Shared,
    Exclusive,
}

fn range(kind: libc::c_int, byte: LockByte) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: byte.offset(),
        l_len: 1,
        l_pid: 0,
    }
}

/// `fcntl(F_OFD_SETLK)`: locks a byte for this open file description without waiting. False if
/// somebody else holds it. Never `F_SETLK`, whose locks fall when the process closes any descriptor
/// of the file. See fcntl_locking(2).
pub(crate) fn try_lock_byte(file: &impl AsFd, byte: LockByte, mode: Mode) -> io::Result<bool> {
    let kind = match mode {
        Mode::Shared => libc::F_RDLCK,
        Mode::Exclusive => libc::F_WRLCK,
    };
    loop {
        match fcntl(file.as_fd(), FcntlArg::F_OFD_SETLK(&range(kind, byte))) {
            Ok(_) => return Ok(true),
            Err(Errno::EAGAIN | Errno::EACCES) => return Ok(false),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// `fcntl(F_OFD_SETLK, F_UNLCK)`: gives every byte lock of this description back, for everybody
/// who shares the description.
pub(crate) fn unlock_all_bytes(file: &impl AsFd) {
    let whole = libc::flock { l_start: 0, l_len: 0, ..range(libc::F_UNLCK, LockByte::Exclusive) };
    let _ = fcntl(file.as_fd(), FcntlArg::F_OFD_SETLK(&whole));
}

/// `fcntl(F_OFD_GETLK)`: how others hold the byte, if they do, as far as the question can be asked.
pub(crate) fn lock_on(file: &impl AsFd, byte: LockByte) -> Option<Mode> {
    let mut question = range(libc::F_WRLCK, byte);
    fcntl(file.as_fd(), FcntlArg::F_OFD_GETLK(&mut question)).ok()?;
    match i32::from(question.l_type) {
        libc::F_RDLCK => Some(Mode::Shared),
        libc::F_WRLCK => Some(Mode::Exclusive),
        _ => None,
    }
}

/// `fcntl(F_OFD_GETLK)`: whether nobody but this description holds a lock on the byte. Any error
/// counts as held: nobody is taken for dead because a question could not be asked.
pub(crate) fn is_byte_free(file: &impl AsFd, byte: LockByte) -> bool {
    let mut question = range(libc::F_WRLCK, byte);
    fcntl(file.as_fd(), FcntlArg::F_OFD_GETLK(&mut question)).is_ok()
        && i32::from(question.l_type) == libc::F_UNLCK
}

/// `fcntl(F_OFD_GETLK)`: whether nobody but this description holds a lock on any byte. Any error counts
/// as held.
pub(crate) fn is_unlocked(file: &impl AsFd) -> bool {
    let mut question =
        libc::flock { l_start: 0, l_len: 0, ..range(libc::F_WRLCK, LockByte::Exclusive) };
    fcntl(file.as_fd(), FcntlArg::F_OFD_GETLK(&mut question)).is_ok()
        && i32::from(question.l_type) == libc::F_UNLCK
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::OpenOptionsExt;

    #[test]
    fn a_question_that_cannot_be_asked_is_answered_no() {
        // fcntl(2): a descriptor that only stands for a path knows no locks.
        let path = File::options().read(true).custom_flags(libc::O_PATH).open("/").unwrap();
        assert!(!is_byte_free(&path, LockByte::Exclusive));
    }
}
