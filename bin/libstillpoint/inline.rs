//! What the header's own functions ask of the library: where a thread's seat is, and whatever is not the common case.

use crate::handle::Handle;
use crate::shared::enter_slow;
use barrier::{AtOnce, Barrier};
use std::ffi::{c_char, c_int, c_uint};
use std::time::Duration;

/// Where this thread finds its seat, if the header's layout is the library's. A signal handler may ask.
#[unsafe(no_mangle)]
pub extern "C" fn stillpoint_seat_of_thread_(layout: c_uint) -> *const *const () {
    Barrier::word_of_this_thread(layout)
}

/// Goes on with a share that stopped in the middle of its steps. It waits for the gate, or not.
///
/// # Safety
/// `place` is a string that is never freed.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn stillpoint_enter_halfway_(
    b: *const Handle,
    wait: c_int,
    place: *const c_char,
) -> c_int {
    let limit = if wait == 0 { Some(Duration::ZERO) } else { None };
    // SAFETY: the caller's promise.
    unsafe { enter_slow(b, place, 0, AtOnce::Halfway, limit) }
}

/// Tells those who wait for the end of a share that it has ended.
///
/// # Safety
/// `seat` is the one that the share was left with.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn stillpoint_after_leaving_(seat: *const ()) {
    // SAFETY: the caller's promise.
    unsafe { Barrier::tell_of_leaving(seat) };
}
