//! Counted shares: begun on one thread and ended on any, by their cookie.

use crate::failure::{Failure, answer};
use crate::handle::Handle;
use crate::milliseconds;
use nix::errno::Errno;
use std::ffi::{c_char, c_int, c_uint};
use std::os::fd::IntoRawFd;
use std::ptr;
use std::time::Duration;

/// No share's cookie.
const NONE: u64 = 0;

/// # Safety
/// `cookie` is null or can be written to; `file` is null or never freed.
unsafe fn begin(
    b: *const Handle,
    limit: Result<Option<Duration>, Failure>,
    cookie: *mut u64,
    file: *const c_char,
    line: c_uint,
) -> c_int {
    answer(|| {
        // SAFETY: the caller's promise.
        let cookie = unsafe { cookie.as_mut() }.ok_or(Failure::from(Errno::EINVAL))?;
        *cookie = NONE;
        let limit = limit?;
        if let Some(barrier) = Handle::look(b)? {
            // SAFETY: the caller's promise.
            *cookie = unsafe { barrier.begin_shared(limit, file, line) }?;
        }
        Ok(0)
    })
}

/// Begins a counted share; waits for the gate as long as it takes.
///
/// # Safety
/// `cookie` is null or can be written to; `file` is null or never freed.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn stillpoint_begin_at(
    b: *const Handle,
    cookie: *mut u64,
    file: *const c_char,
    line: c_uint,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { begin(b, Ok(None), cookie, file, line) }
}

/// The same for those who do not say where.
///
/// # Safety
/// `cookie` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn stillpoint_begin(b: *const Handle, cookie: *mut u64) -> c_int {
    // SAFETY: the caller's promise, and null.
    unsafe { stillpoint_begin_at(b, cookie, ptr::null(), 0) }
}

/// Begins a counted share without waiting.
///
/// # Safety
/// `cookie` is null or can be written to; `file` is null or never freed.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn stillpoint_try_begin_at(
    b: *const Handle,
    cookie: *mut u64,
    file: *const c_char,
    line: c_uint,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { begin(b, Ok(Some(Duration::ZERO)), cookie, file, line) }
}

/// The same for those who do not say where.
///
/// # Safety
/// `cookie` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn stillpoint_try_begin(b: *const Handle, cookie: *mut u64) -> c_int {
    // SAFETY: the caller's promise, and null.
    unsafe { stillpoint_try_begin_at(b, cookie, ptr::null(), 0) }
}

/// Begins a counted share, waiting at most so many milliseconds.
///
/// # Safety
/// `cookie` is null or can be written to; `file` is null or never freed.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn stillpoint_timed_begin_at(
    b: *const Handle,
    timeout_ms: c_int,
    cookie: *mut u64,
    file: *const c_char,
    line: c_uint,
) -> c_int {
    // SAFETY: the caller's promise.
    let result = unsafe { begin(b, milliseconds(timeout_ms).map(Some), cookie, file, line) };
    // Not to wait at all is a limit as well.
    if result == -(Errno::EAGAIN as c_int) { -(Errno::ETIMEDOUT as c_int) } else { result }
}

/// The same for those who do not say where.
///
/// # Safety
/// `cookie` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn stillpoint_timed_begin(
    b: *const Handle,
    timeout_ms: c_int,
    cookie: *mut u64,
) -> c_int {
    // SAFETY: the caller's promise, and null.
    unsafe { stillpoint_timed_begin_at(b, timeout_ms, cookie, ptr::null(), 0) }
}

/// Ends the counted share of a cookie.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn stillpoint_end(b: *const Handle, cookie: u64) -> c_int {
    answer(|| match Handle::barrier(b)? {
        // Begun where there was no barrier yet.
        _ if cookie == NONE && Handle::was_without(b) => Ok(0),
        Some(barrier) => Ok(barrier.end_shared(cookie).map(|()| 0)?),
        None => Err(Errno::EPERM.into()),
    })
}

/// A descriptor that becomes readable when the gate has opened.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn stillpoint_gate_fd(b: *const Handle) -> c_int {
    answer(|| {
        let barrier = Handle::barrier(b)?.ok_or(Failure::from(Errno::ENOENT))?;
        Ok(barrier.gate_descriptor()?.into_raw_fd())
    })
}
