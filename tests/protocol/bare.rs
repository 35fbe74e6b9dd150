//! Shares without guards, as other languages take them.

use crate::common::{Place, at_once, ms};
use std::ffi::c_char;
use std::ptr;
use std::sync::mpsc::channel;
use std::time::Duration;
use stillpoint::{AtOnce, Barrier, Error, ErrorKind};

const FILE: *const c_char = c"append.c".as_ptr();

fn enter(barrier: &Barrier, limit: Option<Duration>) -> Result<(), Error> {
    // SAFETY: a string that is never freed.
    unsafe { barrier.enter_shared(limit, FILE, 212) }
}

fn enter_at_once(number: u64) -> bool {
    // SAFETY: as above.
    unsafe { Barrier::enter_shared_at_once(number, FILE, 7) }
}

#[test]
fn they_nest_among_each_other_and_with_guards() {
    let place = Place::new();
    let barrier = place.barrier();
    enter(&barrier, None).unwrap();
    let guard = barrier.shared().unwrap();
    enter(&barrier, Some(Duration::ZERO)).unwrap();
    assert_eq!(barrier.depth(), 3);
    barrier.leave_shared().unwrap();
    drop(guard);
    assert_eq!(barrier.depth(), 1);
    assert_eq!(place.status().writers.iter().filter(|writer| writer.inside).count(), 1);
    barrier.leave_shared().unwrap();
    assert_eq!(barrier.depth(), 0);
    barrier.exclusive(&mut at_once(1000)).unwrap().release().unwrap();
}

#[test]
fn leaving_what_is_not_held_is_an_error() {
    let place = Place::new();
    let barrier = place.barrier();
    let refused = |error: Error| {
        assert_eq!(error.kind(), ErrorKind::NotHeld);
        assert!(error.to_string().contains("mail.barrier"), "{error}");
    };
    refused(barrier.leave_shared().unwrap_err());
    enter(&barrier, None).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| refused(barrier.leave_shared().unwrap_err()));
    });
    assert_eq!(barrier.depth(), 1);
    barrier.leave_shared().unwrap();
    refused(barrier.leave_shared().unwrap_err());
}

#[test]
fn a_closed_gate_is_waited_for_within_the_limit() {
    let place = Place::new();
    let barrier = place.barrier();
    let pause = barrier.exclusive(&mut at_once(1000)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let kind = |limit| enter(&barrier, limit).unwrap_err().kind();
            assert_eq!(kind(Some(Duration::ZERO)), ErrorKind::WouldBlock);
            assert_eq!(kind(Some(ms(20))), ErrorKind::TimedOut);
            assert_eq!(barrier.depth(), 0);
        });
    });
    std::thread::scope(|scope| {
        scope.spawn(|| {
            enter(&barrier, None).unwrap();
            barrier.leave_shared().unwrap();
        });
        pause.release().unwrap();
    });
}

/// What they cannot do at once, they do not begin.
#[test]
fn the_fast_way_is_for_this_threads_barrier_at_an_open_gate() {
    let place = Place::new();
    let barrier = place.barrier();
    let number = barrier.number();
    assert!(!enter_at_once(number), "this thread has not joined");
    enter(&barrier, None).unwrap();
    barrier.leave_shared().unwrap();
    assert!(!Barrier::leave_shared_at_once(number), "nothing is held");
    assert!(enter_at_once(number));
    assert!(enter_at_once(number));
    assert_eq!(barrier.depth(), 2);
    for other in [0, u64::MAX, number + 1] {
        assert!(!Barrier::leave_shared_at_once(other));
        assert!(!enter_at_once(other));
    }
    assert!(Barrier::leave_shared_at_once(number));
    assert!(Barrier::leave_shared_at_once(number));
    assert!(!Barrier::leave_shared_at_once(number));
    let pause = barrier.exclusive(&mut at_once(1000)).unwrap();
    assert!(!enter_at_once(number), "the gate is closed");
    assert_eq!(barrier.depth(), 0);
    pause.release().unwrap();
}

/// A pointer that leads nowhere is not followed, nor one to what this thread has not used last.
#[test]
fn a_handle_may_be_anything() {
    let (one, other) = ([0_u64; 2], 0_u64);
    let (one, other) = (one.as_ptr().cast::<()>(), ptr::from_ref(&other).cast::<()>());
    // SAFETY: as above.
    let express = |handle| unsafe { Barrier::enter_shared_express(handle, FILE, 7) };
    let place = Place::new();
    let barrier = place.barrier();
    barrier.remember_handle(one);
    assert_eq!(express(one), AtOnce::Outside, "there is no seat yet");
    assert_eq!(express(ptr::null()), AtOnce::Outside);
    assert!(!Barrier::leave_shared_express(ptr::null()));
    enter(&barrier, None).unwrap();
    assert_eq!(express(one), AtOnce::Outside, "not known yet");
    for handle in [one, other] {
        barrier.remember_handle(handle);
        assert_eq!(express(handle), AtOnce::Inside);
    }
    barrier.remember_handle(ptr::null());
    for wrong in [ptr::null(), one, ptr::dangling(), other.wrapping_byte_add(1)] {
        assert_eq!(express(wrong), AtOnce::Outside);
        assert!(!Barrier::leave_shared_express(wrong));
    }
    // Another one's end is not this one's.
    barrier.forget_handle(one);
    assert_eq!(express(other), AtOnce::Inside);
    barrier.forget_handle(other);
    assert_eq!(express(other), AtOnce::Outside);
    assert!(!Barrier::leave_shared_express(other));
    barrier.remember_handle(one);
    assert_eq!(barrier.depth(), 4);
    for _ in 0..4 {
        assert!(Barrier::leave_shared_express(one));
    }
    assert!(!Barrier::leave_shared_express(one), "nothing is held");
}

/// Whoever closes a handle does so for every thread.
#[test]
fn a_handle_ends_on_every_thread() {
    let place = Place::new();
    let barrier = place.barrier();
    let handle = ptr::without_provenance::<()>(64);
    let (closed, is_closed) = channel();
    let (ready, is_ready) = channel();
    std::thread::scope(|scope| {
        let barrier = &barrier;
        scope.spawn(move || {
            let handle = ptr::without_provenance::<()>(64);
            enter(barrier, None).unwrap();
            barrier.remember_handle(handle);
            // SAFETY: as above.
            assert_eq!(unsafe { Barrier::enter_shared_express(handle, FILE, 7) }, AtOnce::Inside);
            ready.send(()).unwrap();
            is_closed.recv().unwrap();
            // SAFETY: as above.
            assert_eq!(unsafe { Barrier::enter_shared_express(handle, FILE, 7) }, AtOnce::Outside);
            barrier.leave_shared().unwrap();
            barrier.leave_shared().unwrap();
        });
        is_ready.recv().unwrap();
        barrier.forget_handle(handle);
        closed.send(()).unwrap();
    });
}

#[test]
fn a_leak_names_the_line_that_the_caller_gave() {
    let place = Place::new();
    let barrier = place.barrier();
    assert_eq!(barrier.leaked_share(), None);
    enter(&barrier, None).unwrap();
    assert!(enter_at_once(barrier.number()));
    let leak = barrier.leaked_share().unwrap();
    assert!(leak.ends_with("a share is held here (depth 2), taken at append.c:212"), "{leak}");
    assert_eq!(barrier.leaked_share_of_process(), Some(leak));
    barrier.leave_shared().unwrap();
    barrier.leave_shared().unwrap();
    assert!(enter_at_once(barrier.number()));
    let leak = barrier.leaked_share().unwrap();
    assert!(leak.ends_with("taken at append.c:7"), "{leak}");
    barrier.leave_shared().unwrap();
    assert_eq!(barrier.leaked_share_of_process(), None);
}
