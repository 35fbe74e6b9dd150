//! Opening, closing, and joining in a child.

use crate::failure::{Failure, answer};
use crate::handle::Handle;
use crate::optional::Wish;
use barrier::{Barrier, ErrorKind};
use nix::errno::Errno;
use std::ffi::{CStr, OsStr, c_char, c_int, c_uint, c_void};
use std::os::unix::ffi::OsStrExt;

/// `STILLPOINT_CREATE`.
const CREATE: c_uint = 1;
/// `STILLPOINT_OPTIONAL`.
const OPTIONAL: c_uint = 2;
/// Where the flags carry the interface of the header that the caller was compiled with; 0 from those
/// who call without one.
const INTERFACE_SHIFT: u32 = 24;
/// `STILLPOINT_INTERFACE`.
const INTERFACE: c_uint = 1;

/// Opens a barrier by name or path.
///
/// # Safety
/// Both strings are null or valid; `ret` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn stillpoint_open(
    name_or_path: *const c_char,
    flags: c_uint,
    label: *const c_char,
    ret: *mut *const Handle,
) -> c_int {
    answer(|| {
        // SAFETY: the caller's promise.
        let ret = unsafe { ret.as_mut() }.ok_or(Failure::from(Errno::EINVAL))?;
        *ret = std::ptr::null();
        if ![0, INTERFACE].contains(&(flags >> INTERFACE_SHIFT)) {
            return Err(Errno::EPROTONOSUPPORT.into());
        }
        let options = flags & ((1 << INTERFACE_SHIFT) - 1);
        if ![0, CREATE, OPTIONAL].contains(&options) {
            return Err(Errno::EINVAL.into());
        }
        // SAFETY: the caller's promise.
        let (name, label) = unsafe { (string(name_or_path), string(label)) };
        let name = name.ok_or(Failure::from(Errno::EINVAL))?;
        let mut how = Barrier::options();
        if options & CREATE != 0 {
            how = how.create(true);
        }
        if let Some(label) = label {
            how = how.label(&label.to_string_lossy());
        }
        let name = OsStr::from_bytes(name.to_bytes());
        let found = match how.open(name) {
            Err(error) if options & OPTIONAL != 0 && error.kind() == ErrorKind::Missing => {
                Err(Wish::new(how, barrier::barrier_path(name, false)?)?)
            }
            opened => Ok(opened?),
        };
        *ret = Handle::open(found)?;
        Ok(0)
    })
}

/// # Safety
/// Null, or valid for as long as the result is used.
unsafe fn string<'a>(string: *const c_char) -> Option<&'a CStr> {
    // SAFETY: the caller's promise.
    (!string.is_null()).then(|| unsafe { CStr::from_ptr(string) })
}

/// Closes a handle. The last one of a barrier leaves it; a share that is still held is then lost.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn stillpoint_close(b: *const Handle) {
    answer(|| {
        Handle::close(b);
        Ok(0)
    });
}

/// Joins a forked child, before it changes its root or its user.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn stillpoint_join(b: *const Handle) -> c_int {
    answer(|| Ok(Handle::look(b)?.map_or(Ok(()), Barrier::join).map(|()| 0)?))
}

/// Looks whether the barrier is the one at its path, and comes over if another is.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn stillpoint_check(b: *const Handle) -> c_int {
    answer(|| {
        let barrier = Handle::look(b)?.ok_or(Failure::from(Errno::ENOENT))?;
        Ok(barrier.check().map(|()| 0)?)
    })
}

/// For a handler of SIGBUS: 1 if the fault at this address was that of a barrier whose file was cut.
#[unsafe(no_mangle)]
pub extern "C" fn stillpoint_survive(address: *const c_void) -> c_int {
    barrier::survive_bus_error(address).into()
}
