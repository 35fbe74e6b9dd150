//! What a file can do to a process: a limit on its size, and somebody who cuts it while it is mapped, are errors that we can
//! name and clean up after, rather than our death. Asked for here, also by `stillpoint-cluster`.

use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::fatal::die_by;
use super::ignored::is_ignored;

/// Survives both from now on.
pub fn survive() {
    if !is_ignored(Signal::SIGXFSZ) {
        // RLIMIT_FSIZE. A handler, unlike an ignored signal, ends with exec.
        handle(Signal::SIGXFSZ, SigHandler::Handler(survive_limit), SaFlags::SA_RESTART);
    }
    handle(Signal::SIGBUS, SigHandler::SigAction(survive_bus_error), SaFlags::SA_SIGINFO);
}

fn handle(signal: Signal, handler: SigHandler, flags: SaFlags) {
    let action = SigAction::new(handler, flags, SigSet::empty());
    // SAFETY: the handlers call nothing but what is made for handlers.
    let _ = unsafe { sigaction(signal, &action) };
}

/// What was to be written is an error.
extern "C" fn survive_limit(_signal: libc::c_int) {}

extern "C" fn survive_bus_error(
    _signal: libc::c_int,
    fault: *mut libc::siginfo_t,
    _context: *mut libc::c_void,
) {
    // SAFETY: the kernel says what the fault was.
    let address = unsafe { (*fault).si_addr() };
    if !stillpoint::survive_bus_error(address) {
        die_by(Signal::SIGBUS);
    }
}
