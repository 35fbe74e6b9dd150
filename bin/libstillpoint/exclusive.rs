//! The exclusive side: one drain, no patience.

use crate::failure::{Failure, answer};
use crate::handle::Handle;
use crate::milliseconds;
use barrier::{Error, ExclusiveOptions};
use nix::errno::Errno;
use std::ffi::{CStr, c_char, c_int, c_uint};
use std::ptr;
use std::time::Duration;

/// For `hold_ms`: as long as it takes.
const NO_LIMIT: c_int = -1;

/// Closes the gate and waits until nobody is inside. Where it is asked for is what `status` shows.
///
/// # Safety
/// `file` is null or a valid string.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn stillpoint_lock_exclusive_at(
    b: *const Handle,
    drain_ms: c_int,
    hold_ms: c_int,
    file: *const c_char,
    line: c_uint,
) -> c_int {
    answer(|| {
        // A pause of nothing is no pause.
        let barrier = Handle::look(b)?.ok_or(Failure::from(Errno::ENOENT))?;
        // SAFETY: the caller's promise.
        let file = (!file.is_null()).then(|| unsafe { CStr::from_ptr(file) }.to_string_lossy());
        let label = file.map(|file| {
            let name = file.rsplit('/').next().unwrap_or_default();
            format!("{name}:{line}")
        });
        let hold = if hold_ms == NO_LIMIT { None } else { Some(milliseconds(hold_ms)?) };
        let pause = barrier.exclusive(
            &mut ExclusiveOptions::default()
                .patience(Duration::ZERO)
                .drain(milliseconds(drain_ms)?)
                .hold(hold)
                .label(label),
        );
        let pause = pause.map_err(|error| match error {
            // Not to wait at all is a limit as well.
            Error::WouldBlock { .. } | Error::Pacing { .. } => Failure::from(Errno::ETIMEDOUT),
            error => Failure::from(error),
        })?;
        Handle::set_pause(b, pause)?;
        Ok(0)
    })
}

/// The same for those who do not say where.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn stillpoint_lock_exclusive(
    b: *const Handle,
    drain_ms: c_int,
    hold_ms: c_int,
) -> c_int {
    // SAFETY: null.
    unsafe { stillpoint_lock_exclusive_at(b, drain_ms, hold_ms, ptr::null(), 0) }
}

/// Opens the gate. Success is the certificate.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn stillpoint_unlock_exclusive(b: *const Handle) -> c_int {
    answer(|| {
        Handle::barrier(b)?;
        Handle::take_pause(b)?.release()?;
        Ok(0)
    })
}
