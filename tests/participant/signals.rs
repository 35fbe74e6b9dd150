//! A signal handler that takes shares, at a high rate.

use crate::actor::Answer;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::os::fd::{AsFd, IntoRawFd};
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, Ordering};
use stillpoint::Barrier;

static BARRIER: AtomicPtr<Barrier> = AtomicPtr::new(std::ptr::null_mut());
static ALARMS: AtomicU32 = AtomicU32::new(0);
static FAILURES: AtomicU32 = AtomicU32::new(0);
static MARKED: AtomicI32 = AtomicI32::new(-1);

extern "C" fn handler(_: libc::c_int) {
    // SAFETY: null or a barrier that is never dropped.
    if let Some(barrier) = unsafe { BARRIER.load(Ordering::Relaxed).as_ref() } {
        ALARMS.fetch_add(1, Ordering::Relaxed);
        let depth = barrier.depth();
        match barrier.shared() {
            Ok(share) => {
                if barrier.depth() != depth + 1 {
                    FAILURES.fetch_add(1, Ordering::Relaxed);
                }
                mark(1);
                for _ in 0..500 {
                    std::hint::spin_loop();
                }
                mark(0);
                drop(share);
            }
            Err(_) => {
                FAILURES.fetch_add(1, Ordering::Relaxed);
            }
        }
        if barrier.depth() != depth {
            FAILURES.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Writes into the marked file whether a handler is inside; pwrite(2) may be called in handlers.
fn mark(inside: u8) {
    // SAFETY: writes one live byte; a descriptor that is none is an error that changes nothing.
    unsafe { libc::pwrite(MARKED.load(Ordering::Relaxed), (&raw const inside).cast(), 1, 0) };
}

/// Where handlers mark that they are inside.
pub fn mark_in(path: &str) -> Answer {
    MARKED.store(std::fs::File::create(path)?.into_raw_fd(), Ordering::Relaxed);
    Ok("marking".into())
}

/// From now on a signal comes every so often, and its handler enters and leaves. 0: no more.
pub fn start(barrier: &'static Barrier, microseconds: i64) -> Answer {
    BARRIER.store(std::ptr::from_ref(barrier).cast_mut(), Ordering::Relaxed);
    let action = SigAction::new(SigHandler::Handler(handler), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler only calls what is under test here, and atomics.
    unsafe { sigaction(Signal::SIGALRM, &action) }?;
    let time = libc::timeval { tv_sec: 0, tv_usec: microseconds };
    let timer = libc::itimerval { it_interval: time, it_value: time };
    // SAFETY: reads the live timer.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) };
    let (alarms, failures) = (&ALARMS, &FAILURES);
    Ok(format!(
        "alarms={} failures={}",
        alarms.load(Ordering::Relaxed),
        failures.load(Ordering::Relaxed)
    ))
}

/// Enters and leaves, nested now and then, until there is more to read.
pub fn churn(barrier: &Barrier) -> Answer {
    let mut shares = 0u64;
    loop {
        for _ in 0..1000 {
            let share = barrier.shared()?;
            let nested = barrier.shared()?;
            drop(nested);
            drop(share);
            shares += 1;
        }
        let input = std::io::stdin();
        let mut watched = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
        if poll(&mut watched, PollTimeout::ZERO).is_ok_and(|ready| ready > 0) {
            return Ok(format!("shares={shares} depth={}", barrier.depth()));
        }
    }
}
