//! What a file can do to a process: a limit on its size, and somebody who cuts it while it is mapped, are errors that we can
//! name and clean up after, rather than our death. Asked for here, also by `stillpoint-cluster`.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::ignored::is_ignored;

/// Survives both from now on.
pub fn survive() {
    if !is_ignored(Signal::SIGXFSZ) {
        // RLIMIT_FSIZE. A handler, unlike an ignored signal, ends with exec.
        let unread = Arc::new(AtomicBool::new(false));
        let _ = signal_hook::flag::register(Signal::SIGXFSZ as i32, unread);
    }
    let handler = SigHandler::SigAction(survive_bus_error);
    let action = SigAction::new(handler, SaFlags::SA_SIGINFO, SigSet::empty());
    // SAFETY: the handler calls nothing but what is made for handlers.
    let _ = unsafe { sigaction(Signal::SIGBUS, &action) };
}

extern "C" fn survive_bus_error(
    signal: libc::c_int,
    fault: *mut libc::siginfo_t,
    _context: *mut libc::c_void,
) {
    // SAFETY: the kernel says what the fault was.
    let address = unsafe { (*fault).si_addr() };
    if !stillpoint::survive_bus_error(address) {
        let _ = signal_hook::low_level::emulate_default_handler(signal);
    }
}
