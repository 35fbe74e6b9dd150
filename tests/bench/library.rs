//! The C library, loaded as a C program would load it.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::path::Path;

use anyhow::{Context, ensure};
use nix::libc;

type Handle = *mut c_void;
type Open = unsafe extern "C" fn(*const c_char, c_uint, *const c_char, *mut Handle) -> c_int;
type LockShared = unsafe extern "C" fn(Handle, *const c_char, c_uint) -> c_int;
type Unlock = unsafe extern "C" fn(Handle) -> c_int;
type Begin = unsafe extern "C" fn(Handle, *mut u64, *const c_char, c_uint) -> c_int;
type End = unsafe extern "C" fn(Handle, u64) -> c_int;
type LockFile = unsafe extern "C" fn(Handle, c_int, c_int, *const c_char, c_uint) -> c_int;

/// `STILLPOINT_CREATE`.
const CREATE: c_uint = 1;
/// What the header's macros pass on.
pub const FILE: &CStr = c"bench.c";

/// The library with a barrier open. Never unloaded.
pub struct Library {
    pub handle: Handle,
    lock_shared: LockShared,
    unlock_shared: Unlock,
    pub begin: Begin,
    pub end: End,
    lock_file: LockFile,
}

// SAFETY: the library's functions may be called from any thread.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

impl Library {
    /// Loads what was built beside this program, and opens a barrier by it.
    pub fn open(barrier: &Path) -> anyhow::Result<Library> {
        let program = std::env::current_exe()?;
        let folder = program.ancestors().nth(2).context("this program lies in a folder")?;
        let path = folder.join("libstillpoint.so");
        ensure!(path.exists(), "{} is not built: cargo build --release", path.display());
        let path = CString::new(path.into_os_string().into_encoded_bytes())?;
        // SAFETY: a valid string; what the library does when it is loaded is nothing.
        let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
        ensure!(!library.is_null(), "{path:?} cannot be loaded");
        let find = |name: &CStr| {
            // SAFETY: a library that was just loaded, and a valid string.
            let found = unsafe { libc::dlsym(library, name.as_ptr()) };
            ensure!(!found.is_null(), "{path:?} has no {name:?}");
            Ok(found)
        };
        // SAFETY: the types are those of the header.
        let open: Open = unsafe { std::mem::transmute(find(c"stillpoint_open")?) };
        let mut handle = std::ptr::null_mut();
        let barrier = CString::new(barrier.as_os_str().as_encoded_bytes())?;
        // SAFETY: valid strings, and a place for the handle.
        let opened = unsafe { open(barrier.as_ptr(), CREATE, c"bench".as_ptr(), &raw mut handle) };
        ensure!(opened == 0, "stillpoint_open: {opened}");
        // SAFETY: the types are those of the header.
        unsafe {
            Ok(Library {
                handle,
                lock_shared: std::mem::transmute::<*mut c_void, LockShared>(find(
                    c"stillpoint_lock_shared_at",
                )?),
                unlock_shared: std::mem::transmute::<*mut c_void, Unlock>(find(
                    c"stillpoint_unlock_shared",
                )?),
                begin: std::mem::transmute::<*mut c_void, Begin>(find(c"stillpoint_begin_at")?),
                end: std::mem::transmute::<*mut c_void, End>(find(c"stillpoint_end")?),
                lock_file: std::mem::transmute::<*mut c_void, LockFile>(find(
                    c"stillpoint_flock_at",
                )?),
            })
        }
    }

    /// Enters and leaves.
    #[inline(always)]
    pub fn share(&self, inside: impl FnOnce()) {
        // SAFETY: an open handle, and a string that is never freed.
        assert_eq!(unsafe { (self.lock_shared)(self.handle, FILE.as_ptr(), 1) }, 0);
        inside();
        // SAFETY: as above.
        assert_eq!(unsafe { (self.unlock_shared)(self.handle) }, 0);
    }

    /// flock(2) with a share for as long as the lock is to write.
    #[inline(always)]
    pub fn flock(&self, descriptor: c_int, operation: c_int) -> c_int {
        // SAFETY: an open handle, a number, and a string that is never freed.
        unsafe { (self.lock_file)(self.handle, descriptor, operation, FILE.as_ptr(), 1) }
    }
}
