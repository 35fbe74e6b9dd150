//! Write locks that bring a share.

use crate::cancel::uncancelled;
use crate::failure::{answer, of_system_call};
use crate::handle::Handle;
use barrier::{Barrier, FileLock, LockKind, LockRequest};
use nix::errno::Errno;
use nix::libc;
use std::ffi::{c_char, c_int, c_uint};
use std::ptr;

/// What a request that has been understood is answered.
///
/// # Safety
/// `file` is null or never freed.
#[inline(always)]
unsafe fn lock_file(
    b: *const Handle,
    lock: FileLock,
    request: LockRequest,
    wait: bool,
    file: *const c_char,
    line: c_uint,
) -> c_int {
    // SAFETY: the caller's promise.
    let at_once =
        || unsafe { Barrier::lock_file_at_once(b.cast(), lock, request, wait, file, line) };
    // flock(2) is no cancellation point, nor is fcntl(2) where it does not wait.
    let done = if lock.kind == LockKind::Flock || !wait { at_once() } else { uncancelled(at_once) };
    match done {
        Some(Ok(())) => 0,
        Some(Err(errno)) => -(of_system_call(Errno::from_raw(errno)) as c_int),
        // SAFETY: the caller's promise.
        None => unsafe { lock_file_slow(b, lock, request, wait, file, line) },
    }
}

/// # Safety
/// `file` is null or never freed.
#[cold]
#[inline(never)]
unsafe fn lock_file_slow(
    b: *const Handle,
    lock: FileLock,
    request: LockRequest,
    wait: bool,
    file: *const c_char,
    line: c_uint,
) -> c_int {
    answer(|| {
        // Only a write lock begins something.
        let found =
            if request == LockRequest::Write { Handle::look(b) } else { Handle::barrier(b) };
        let found = found?.inspect(|barrier| barrier.remember_handle(b.cast()));
        match found {
            // SAFETY: the caller's promise.
            Some(barrier) => unsafe { barrier.lock_file(lock, request, wait, file, line) }?,
            None => request.make(lock, wait)?,
        }
        Ok(0)
    })
}

/// flock(2), with a share for as long as the lock is `LOCK_EX`.
///
/// # Safety
/// `file` is null or never freed.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn stillpoint_flock_at(
    b: *const Handle,
    fd: c_int,
    operation: c_int,
    file: *const c_char,
    line: c_uint,
) -> c_int {
    let request = match operation & !libc::LOCK_NB {
        libc::LOCK_EX => LockRequest::Write,
        libc::LOCK_SH => LockRequest::Read,
        libc::LOCK_UN => LockRequest::Unlock,
        _ => return -libc::EINVAL,
    };
    let wait = operation & libc::LOCK_NB == 0;
    let lock = FileLock { descriptor: fd, kind: LockKind::Flock };
    // SAFETY: the caller's promise.
    unsafe { lock_file(b, lock, request, wait, file, line) }
}

/// The same for those who do not say where.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn stillpoint_flock(b: *const Handle, fd: c_int, operation: c_int) -> c_int {
    // SAFETY: null.
    unsafe { stillpoint_flock_at(b, fd, operation, ptr::null(), 0) }
}

/// fcntl(2) on a whole file, with a share for as long as the lock is `F_WRLCK`. What only asks is
/// passed on.
///
/// # Safety
/// `lk` is null or a valid struct; `file` is null or never freed.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn stillpoint_fcntl_lock_at(
    b: *const Handle,
    fd: c_int,
    cmd: c_int,
    lk: *mut libc::flock,
    file: *const c_char,
    line: c_uint,
) -> c_int {
    // SAFETY: the caller's promise.
    let Some(lk) = (unsafe { lk.as_mut() }) else {
        return -libc::EINVAL;
    };
    let (kind, wait) = match cmd {
        libc::F_SETLK => (LockKind::Classic, false),
        libc::F_SETLKW => (LockKind::Classic, true),
        libc::F_OFD_SETLK => (LockKind::Description, false),
        libc::F_OFD_SETLKW => (LockKind::Description, true),
        libc::F_GETLK | libc::F_OFD_GETLK => return ask(b, fd, cmd, lk),
        _ => return -libc::EINVAL,
    };
    if c_int::from(lk.l_whence) != libc::SEEK_SET || lk.l_start != 0 || lk.l_len != 0 {
        return -libc::ENOTSUP;
    }
    let request = match c_int::from(lk.l_type) {
        libc::F_WRLCK => LockRequest::Write,
        libc::F_RDLCK => LockRequest::Read,
        libc::F_UNLCK => LockRequest::Unlock,
        _ => return -libc::EINVAL,
    };
    // SAFETY: the caller's promise.
    unsafe { lock_file(b, FileLock { descriptor: fd, kind }, request, wait, file, line) }
}

/// fcntl(2) that only asks.
fn ask(b: *const Handle, fd: c_int, cmd: c_int, lk: &mut libc::flock) -> c_int {
    answer(|| {
        Handle::barrier(b)?;
        // SAFETY: a number that the kernel checks, and a live struct.
        Ok(Errno::result(unsafe { libc::fcntl(fd, cmd, &raw mut *lk) })?)
    })
}

/// The same for those who do not say where.
///
/// # Safety
/// `lk` is null or a valid struct.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn stillpoint_fcntl_lock(
    b: *const Handle,
    fd: c_int,
    cmd: c_int,
    lk: *mut libc::flock,
) -> c_int {
    // SAFETY: null, and the caller's promise.
    unsafe { stillpoint_fcntl_lock_at(b, fd, cmd, lk, ptr::null(), 0) }
}

/// close(2), and gives back the share that a write lock by the descriptor brought.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn stillpoint_close_fd(b: *const Handle, fd: c_int) -> c_int {
    answer(|| {
        match Handle::barrier(b)? {
            // SAFETY: the caller asks for it to be closed.
            Some(barrier) => unsafe { barrier.close_descriptor(fd) }?,
            // SAFETY: as above.
            None => drop(Errno::result(unsafe { libc::close(fd) })?),
        }
        Ok(0)
    })
}
