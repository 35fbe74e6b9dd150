//! Handlers of signals, and when they may run.
//!
//! A system call that waits ends when a handler has run, and misses none: the kernel looks before it lets the thread
//! sleep, and after. A wait that is made of several calls would miss a handler that runs between two of them, or when
//! one of them had just timed out, and whoever set an alarm to limit it would wait for ever. So handlers are held
//! back from the first to the last of them, and asked for now and then: what is due then runs, or ends the wait.

use crate::system::calls::signals_due;
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

    /// Whether one is due that ends system calls: sigaction(2) without `SA_RESTART`. Else those that are due run now.
    pub fn end_calls(&self) -> bool {
        let (any, end_calls) = signals_due(self.before.as_ref());
        if any && !end_calls {
            let held_back = exchange(&self.before);
            exchange(&held_back);
        }
        end_calls
    }

    /// They run again, and those that are due at once.
    pub fn let_run(self) {
        exchange(&self.before);
    }
}
