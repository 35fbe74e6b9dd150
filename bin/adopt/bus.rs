//! A barrier file that is cut under the program.
//!
//! Whoever takes part in a barrier may cut its file, and the next touch of it is a SIGBUS, whose default is the end of
//! the program. So once this process has joined, the library handles that signal, if the program does not: a fault in the
//! barrier's memory lets go of that, and the call goes on as if the barrier were missing. Any other is left to what
//! would have become of it: the default is set again, and the fault comes again.
//!
//! # Safety
//!
//! The handler does what a handler may: the core promises that of what it does here.

use nix::libc::{self, SIG_DFL, SIGBUS, c_int, c_void, siginfo_t};
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};

/// From now on.
pub fn survive() {
    let mut before = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: places of their type; the handler is a function of this library, which stays loaded.
    unsafe {
        if libc::sigaction(SIGBUS, null(), before.as_mut_ptr()) != 0
            || before.assume_init().sa_sigaction != SIG_DFL
        {
            return;
        }
        let mut ours = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        ours.sa_sigaction = handle as *const () as usize;
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        libc::sigaction(SIGBUS, &ours, null_mut());
    }
}

extern "C" fn handle(signal: c_int, about: *mut siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel gives it, and of a fault its address.
    let (is_fault, address) = unsafe { ((*about).si_code > 0, (*about).si_addr()) };
    if is_fault && barrier::survive_bus_error(address) {
        return;
    }
    // SAFETY: what was set before this handler; one that somebody has sent comes again when this returns.
    unsafe {
        libc::signal(signal, SIG_DFL);
        if !is_fault {
            libc::raise(signal);
        }
    }
}
