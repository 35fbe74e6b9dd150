//! The C interface: `libstillpoint.so` and `libstillpoint.a`, declared in `stillpoint.h`, described in libstillpoint(3).
//!
//! Each function does what the Rust one of the same name does, on a handle, and returns 0 or more on
//! success and a negative errno on failure. Nothing unwinds into the caller, and no handle, however
//! wrong, is followed: a handle is checked against the table that it must lie in.
//!
//! # Safety
//!
//! What comes from C is numbers and pointers. Handles are checked (see `handle`). Strings and structs
//! are the caller's promise, as libstillpoint(3) states it: null, or valid for the call; the names of
//! files given to the `_at` functions are never freed.

mod assertions;
mod cancel;
mod counted;
mod exclusive;
mod failure;
mod handle;
mod inline;
mod lifecycle;
mod locks;
mod message;
mod optional;
mod reserve;
mod shared;

/// A duration as C gives it; a negative one is none.
fn milliseconds(count: std::ffi::c_int) -> Result<std::time::Duration, failure::Failure> {
    let count = u64::try_from(count).map_err(|_| nix::errno::Errno::EINVAL)?;
    Ok(std::time::Duration::from_millis(count))
}
