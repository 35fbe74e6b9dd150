//! Handlers of signals, and when they may run.
//!
//! A system call that waits ends when a handler has run, whenever that was: the kernel looks before it lets the
//! thread sleep. A wait that is made of several calls would miss a handler that runs between two of them, and
//! whoever set an alarm to limit it would wait for ever. So handlers are held back from the first to the last of them,
//! run only while the thread sleeps, and one that is due is asked for before it does.

use crate::system::calls::is_pending_to_end_calls;
use nix::sys::signal::Signal::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};

/// No signal is handled for as long as this lives.
pub(crate) struct AllBlocked(SigSet);

impl AllBlocked {
    pub(crate) fn new() -> AllBlocked {
        AllBlocked(exchange(&SigSet::all()))
    }
}

impl Drop for AllBlocked {
    fn drop(&mut self) {
        exchange(&self.0);
    }
}

fn exchange(mask: &SigSet) -> SigSet {
    let mut before = SigSet::empty();
    let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(mask), Some(&mut before));
    before
}

/// Handlers of signals that are held back from this thread, but for those of its own faults, until
/// [`Handlers::let_run`].
#[derive(Clone, Copy, Debug)]
pub struct Handlers {
    before: SigSet,
}

impl Handlers {
    /// Holds them back.
    pub fn hold_back() -> Handlers {
        let mut mask = SigSet::all();
        for fault in [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP] {
            mask.remove(fault);
        }
        let mut before = SigSet::empty();
        let _ = pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&mask), Some(&mut before));
        Handlers { before }
    }

    /// Whether one is due that ends system calls: sigaction(2) without `SA_RESTART`.
    pub fn end_calls(&self) -> bool {
        is_pending_to_end_calls(self.before.as_ref())
    }

    /// They run again, and those that are due at once.
    pub fn let_run(self) {
        exchange(&self.before);
    }

    /// They run while `wait` does.
    pub(crate) fn let_run_during<T>(&self, wait: impl FnOnce() -> T) -> T {
        let held_back = exchange(&self.before);
        let result = wait();
        exchange(&held_back);
        result
    }
}
