//! Not in the command loop: assertions that no share is held where none may be.
//!
//! The header's macros call these unless `NDEBUG` is defined. `STILLPOINT_ASSERT` in the environment
//! softens them where they are compiled in: `abort` (the default), `log`, `off`.

use crate::failure::{Failure, answer};
use crate::handle::Handle;
use crate::message;
use barrier::Barrier;
use std::ffi::{CStr, c_char, c_int, c_uint};

/// This thread holds no share.
///
/// # Safety
/// `file` is null or a valid string.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn stillpoint_assert_not_held_at(
    b: *const Handle,
    file: *const c_char,
    line: c_uint,
) {
    // SAFETY: the caller's promise.
    answer(|| unsafe { assert(b, Barrier::leaked_share, file, line) });
}

/// No thread of this process holds a share.
///
/// # Safety
/// `file` is null or a valid string.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn stillpoint_assert_idle_at(
    b: *const Handle,
    file: *const c_char,
    line: c_uint,
) {
    // SAFETY: the caller's promise.
    answer(|| unsafe { assert(b, Barrier::leaked_share_of_process, file, line) });
}

/// # Safety
/// `file` is null or a valid string.
unsafe fn assert(
    b: *const Handle,
    leak: impl FnOnce(&Barrier) -> Option<String>,
    file: *const c_char,
    line: c_uint,
) -> Result<c_int, Failure> {
    let Some(leak) = Handle::barrier(b)?.and_then(leak) else {
        return Ok(0);
    };
    let wanted = barrier::variable("STILLPOINT_ASSERT").unwrap_or_default();
    if wanted == "off" {
        return Ok(0);
    }
    // SAFETY: the caller's promise.
    let file = if file.is_null() { c"?" } else { unsafe { CStr::from_ptr(file) } };
    let (file, pid) = (file.to_string_lossy(), std::process::id());
    message::say(&format!("{file}:{line}: stillpoint[{pid}]: {leak}\n"));
    if wanted != "log" {
        std::process::abort();
    }
    Ok(0)
}
