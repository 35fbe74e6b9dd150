//! Waits that a signal handler ends, as it ends the program's system calls.

use crate::common::{Place, at_once, ms, until};
use nix::libc::{pthread_kill, pthread_self};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;
use stillpoint::Handlers;

static STRUCK: AtomicU32 = AtomicU32::new(0);

extern "C" fn handler(_: i32) {
    STRUCK.fetch_add(1, Ordering::Relaxed);
}

/// One signal for each kind of handler, so that nobody else in this program is disturbed.
#[test]
fn a_handler_ends_the_wait_unless_it_restarts_calls() {
    let place = Place::new();
    let barrier = place.barrier();
    for (signal, flags) in
        [(Signal::SIGUSR1, SaFlags::empty()), (Signal::SIGUSR2, SaFlags::SA_RESTART)]
    {
        let action = SigAction::new(SigHandler::Handler(handler), flags, SigSet::empty());
        // SAFETY: the handler only counts.
        unsafe { sigaction(signal, &action) }.unwrap();
        let pause = barrier.exclusive(&mut at_once(1000)).unwrap();
        let (told, hears) = channel();
        let ended = std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                // SAFETY: it only answers.
                told.send(unsafe { pthread_self() }).unwrap();
                let limit = Duration::from_secs(20);
                let handlers = Handlers::hold_back();
                // SAFETY: null.
                let entered =
                    unsafe { barrier.enter_shared_interruptibly(limit, handlers, ptr::null(), 0) };
                handlers.let_run();
                entered.inspect(|()| barrier.leave_shared().unwrap())
            });
            let thread = hears.recv().unwrap();
            let waits = || place.status().writers.iter().any(|writer| writer.waiting.is_some());
            until("the waiter waits", waits);
            std::thread::sleep(ms(20));
            let before = STRUCK.load(Ordering::Relaxed);
            // SAFETY: the thread waits until the pause is over.
            assert_eq!(unsafe { pthread_kill(thread, signal as i32) }, 0);
            until("the handler runs", || STRUCK.load(Ordering::Relaxed) > before);
            std::thread::sleep(ms(300));
            let ended = waiter.is_finished();
            pause.release().unwrap();
            (ended, waiter.join().unwrap())
        });
        match (flags.is_empty(), ended) {
            (true, (true, Err(error))) => {
                assert!(error.to_string().contains("nterrupted"), "{error}")
            }
            (false, (false, Ok(()))) => {}
            other => panic!("{other:?}"),
        }
    }
}

static DUE: AtomicU32 = AtomicU32::new(0);

extern "C" fn due_handler(_: i32) {
    DUE.fetch_add(1, Ordering::Relaxed);
}

/// One that is due before the thread sleeps is not missed, and one that restarts calls ends nothing.
#[test]
fn a_handler_that_is_due_ends_the_wait_before_it_begins() {
    let place = Place::new();
    let barrier = place.barrier();
    for (signal, flags) in
        [(Signal::SIGURG, SaFlags::empty()), (Signal::SIGWINCH, SaFlags::SA_RESTART)]
    {
        let action = SigAction::new(SigHandler::Handler(due_handler), flags, SigSet::empty());
        // SAFETY: the handler only counts.
        unsafe { sigaction(signal, &action) }.unwrap();
        let pause = barrier.exclusive(&mut at_once(1000)).unwrap();
        let entered = std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let handlers = Handlers::hold_back();
                let before = DUE.load(Ordering::Relaxed);
                // SAFETY: it only answers.
                unsafe { pthread_kill(pthread_self(), signal as i32) };
                assert_eq!(DUE.load(Ordering::Relaxed), before, "it was held back");
                assert_eq!(handlers.end_calls(), flags.is_empty());
                // SAFETY: null.
                let entered = unsafe {
                    barrier.enter_shared_interruptibly(ms(200), handlers, ptr::null(), 0)
                };
                handlers.let_run();
                assert!(DUE.load(Ordering::Relaxed) > before);
                entered
            });
            waiter.join().unwrap()
        });
        pause.release().unwrap();
        let error = entered.unwrap_err().to_string();
        assert_eq!(error.contains("nterrupted"), flags.is_empty(), "{error}");
    }
}
