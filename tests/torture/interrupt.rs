//! Ctrl-C: the run ends early, in order, and nothing is left of it.

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;

static COME: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_: i32) {
    COME.store(true, SeqCst);
}

/// Notes from now on what would end this process.
pub fn watch() {
    let action = SigAction::new(SigHandler::Handler(note), SaFlags::SA_RESTART, SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler only stores to an atomic.
        unsafe { sigaction(signal, &action) }.expect("sigaction(2)");
    }
}

pub fn has_come() -> bool {
    COME.load(SeqCst)
}
