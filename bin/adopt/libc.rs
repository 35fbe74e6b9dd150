//! What stands behind the hooks: libc's own functions.
//!
//! The dynamic linker is asked for them once. Where it knows none the kernel is called: that is no cancellation
//! point, but never wrong. Every hook asks, for one may be called before anything of ours was.
//!
//! # Safety
//!
//! The pointers lead to libc's functions of these names, or to those of another library that stands between.

use crate::flight::is_busy;
use nix::errno::Errno;
use nix::libc::{self, RTLD_NEXT, c_int, c_long, c_void, off_t};
use std::ffi::CStr;
use std::mem::transmute;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A function of libc, by its name.
pub struct Function {
    name: &'static CStr,
    found: AtomicPtr<c_void>,
}

impl Function {
    const fn new(name: &'static CStr) -> Function {
        Function { name, found: AtomicPtr::new(std::ptr::null_mut()) }
    }

    #[inline(always)]
    fn get(&self) -> *mut c_void {
        let found = self.found.load(Ordering::Relaxed);
        if found.is_null() { self.find() } else { found }
    }

    #[cold]
    fn find(&self) -> *mut c_void {
        let errno = Errno::last_raw();
        // SAFETY: a string that ends with a zero byte.
        let found = unsafe { libc::dlsym(RTLD_NEXT, self.name.as_ptr()) };
        self.found.store(found, Ordering::Relaxed);
        Errno::set_raw(errno);
        found
    }
}

pub static FCNTL: Function = Function::new(c"fcntl");
pub static FCNTL64: Function = Function::new(c"fcntl64");
pub static UNDERSCORES_FCNTL: Function = Function::new(c"__fcntl");
static FLOCK: Function = Function::new(c"flock");
static LOCKF: Function = Function::new(c"lockf");
static LOCKF64: Function = Function::new(c"lockf64");

/// The one that knows all commands and both widths of a file's length.
#[cfg(target_pointer_width = "32")]
const FCNTL_CALL: c_long = libc::SYS_fcntl64;
#[cfg(not(target_pointer_width = "32"))]
const FCNTL_CALL: c_long = libc::SYS_fcntl;

/// `fcntl(2)`, by one of its names.
///
/// # Safety
/// As fcntl(2).
#[inline(always)]
pub unsafe fn fcntl(by: &Function, descriptor: c_int, command: c_int, argument: usize) -> c_int {
    type Real = unsafe extern "C-unwind" fn(c_int, c_int, ...) -> c_int;
    // What the core asks is not worth a search: most programs never ask for a lock.
    let real = if is_busy() { by.found.load(Ordering::Relaxed) } else { by.get() };
    if real.is_null() {
        // SAFETY: the caller's promise.
        return unsafe { libc::syscall(FCNTL_CALL, descriptor, command, argument) as c_int };
    }
    // SAFETY: see the head of the module, and the caller's promise.
    unsafe { transmute::<*mut c_void, Real>(real)(descriptor, command, argument) }
}

/// `flock(2)`.
#[inline(always)]
pub fn flock(descriptor: c_int, operation: c_int) -> c_int {
    type Real = unsafe extern "C-unwind" fn(c_int, c_int) -> c_int;
    let real = FLOCK.get();
    if real.is_null() {
        // SAFETY: numbers.
        return unsafe { libc::syscall(libc::SYS_flock, descriptor, operation) as c_int };
    }
    // SAFETY: see the head of the module.
    unsafe { transmute::<*mut c_void, Real>(real)(descriptor, operation) }
}

macro_rules! lockf {
    ($(#[$doc:meta])* $name:ident, $function:ident, $offset:ty) => {
        $(#[$doc])*
        #[inline(always)]
        pub fn $name(descriptor: c_int, command: c_int, length: $offset) -> c_int {
            type Real = unsafe extern "C-unwind" fn(c_int, c_int, $offset) -> c_int;
            let real = $function.get();
            if real.is_null() {
                Errno::set_raw(libc::ENOSYS);
                return -1;
            }
            // SAFETY: see the head of the module.
            unsafe { transmute::<*mut c_void, Real>(real)(descriptor, command, length) }
        }
    };
}

lockf!(
    /// `lockf(3)`.
    lockf, LOCKF, off_t
);
lockf!(
    /// `lockf64(3)`.
    lockf64, LOCKF64, libc::off64_t
);
