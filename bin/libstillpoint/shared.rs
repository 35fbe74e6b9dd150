//! The shared side.

use crate::failure::answer;
use crate::handle::Handle;
use crate::milliseconds;
use barrier::{AtOnce, Barrier, ErrorKind};
use nix::errno::Errno;
use std::ffi::{c_char, c_int, c_uint};
use std::ptr;
use std::time::Duration;

/// The fast path is all that is inline: no stack, and nothing that could fail. All else is the last thing that it
/// does.
///
/// # Safety
/// As `Barrier::enter_shared`.
#[inline(always)]
unsafe fn enter(
    b: *const Handle,
    limit: Option<Duration>,
    file: *const c_char,
    line: c_uint,
) -> c_int {
    // SAFETY: the caller's promise.
    match unsafe { Barrier::enter_shared_express(b.cast(), file, line) } {
        AtOnce::Inside => 0,
        // SAFETY: the caller's promise.
        came => unsafe { enter_slow(b, file, line, came, limit) },
    }
}

/// What both are given stands where it stood, in the same registers.
///
/// # Safety
/// As `Barrier::enter_shared`.
#[cold]
#[inline(never)]
pub(crate) unsafe fn enter_slow(
    b: *const Handle,
    file: *const c_char,
    line: c_uint,
    came: AtOnce,
    limit: Option<Duration>,
) -> c_int {
    let at_once = |barrier: &Barrier| {
        barrier.remember_handle(b.cast());
        // SAFETY: the caller's promise.
        unsafe { Barrier::enter_shared_otherwise(barrier.number(), came, file, line) }
    };
    if Handle::barrier(b).is_ok_and(|barrier| barrier.is_some_and(at_once)) {
        return 0;
    }
    answer(|| {
        if let Some(barrier) = Handle::look(b)? {
            // SAFETY: the caller's promise.
            unsafe { barrier.enter_shared(limit, file, line) }?;
        }
        Ok(0)
    })
}

/// Enters the shared side; waits for the gate as long as it takes.
///
/// # Safety
/// `file` is null or never freed.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn stillpoint_lock_shared_at(
    b: *const Handle,
    file: *const c_char,
    line: c_uint,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { enter(b, None, file, line) }
}

/// The same for those who do not say where.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn stillpoint_lock_shared(b: *const Handle) -> c_int {
    // SAFETY: null.
    unsafe { enter(b, None, ptr::null(), 0) }
}

/// Enters the shared side without waiting.
///
/// # Safety
/// `file` is null or never freed.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn stillpoint_trylock_shared_at(
    b: *const Handle,
    file: *const c_char,
    line: c_uint,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { enter(b, Some(Duration::ZERO), file, line) }
}

/// The same for those who do not say where.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn stillpoint_trylock_shared(b: *const Handle) -> c_int {
    // SAFETY: null.
    unsafe { enter(b, Some(Duration::ZERO), ptr::null(), 0) }
}

/// Enters the shared side, waiting at most so many milliseconds.
///
/// # Safety
/// `file` is null or never freed.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn stillpoint_timedlock_shared_at(
    b: *const Handle,
    timeout_ms: c_int,
    file: *const c_char,
    line: c_uint,
) -> c_int {
    let Ok(limit) = milliseconds(timeout_ms) else {
        return -(Errno::EINVAL as c_int);
    };
    // SAFETY: the caller's promise.
    let result = unsafe { enter(b, Some(limit), file, line) };
    // Not to wait at all is a limit as well.
    if result == -(Errno::EAGAIN as c_int) { -(Errno::ETIMEDOUT as c_int) } else { result }
}

/// The same for those who do not say where.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn stillpoint_timedlock_shared(b: *const Handle, timeout_ms: c_int) -> c_int {
    // SAFETY: null.
    unsafe { stillpoint_timedlock_shared_at(b, timeout_ms, ptr::null(), 0) }
}

/// Leaves one share of this thread.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn stillpoint_unlock_shared(b: *const Handle) -> c_int {
    if Barrier::leave_shared_express(b.cast()) { 0 } else { leave_slow(b) }
}

#[cold]
#[inline(never)]
fn leave_slow(b: *const Handle) -> c_int {
    answer(|| match Handle::barrier(b)?.map_or(Ok(()), Barrier::leave_shared) {
        Err(error) if error.kind() == ErrorKind::NotHeld && Handle::was_without(b) => Ok(0),
        left => Ok(left.map(|()| 0)?),
    })
}

/// How many shares this thread holds.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn stillpoint_depth(b: *const Handle) -> c_int {
    answer(|| {
        Ok(c_int::try_from(Handle::barrier(b)?.map_or(0, Barrier::depth)).unwrap_or(c_int::MAX))
    })
}

/// Whether somebody wants the exclusive side.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn stillpoint_should_yield(b: *const Handle) -> c_int {
    answer(|| Ok(c_int::from(Handle::barrier(b)?.is_some_and(Barrier::should_yield))))
}

/// The dirty epoch; 0 without a barrier.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn stillpoint_dirty_epoch(b: *const Handle) -> u32 {
    let mut epoch = 0;
    answer(|| {
        epoch = Handle::barrier(b)?.map_or(0, |barrier| barrier.dirty().epoch);
        Ok(0)
    });
    epoch
}
