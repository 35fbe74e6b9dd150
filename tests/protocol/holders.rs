//! Who holds what a tool's predicate asks for is let in while the gate is closing.

use crate::common::{Over, Place, at_once, ms};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use stillpoint::{Barrier, Error, ErrorKind, ExclusiveOptions, GateChange};

fn as_holder(barrier: &Barrier) -> Result<(), Error> {
    // SAFETY: null.
    unsafe { barrier.enter_shared_as_holder(ptr::null(), 0) }
}

fn is_refused(result: Result<(), Error>) -> bool {
    matches!(result, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

/// While the predicate is not true yet, and not afterwards; nor without a predicate.
#[test]
fn a_holder_is_let_in_until_the_gate_is_shut() {
    let place = Place::new();
    let barrier = place.barrier();
    let (entered, newcomer_waits) = (AtomicBool::new(false), AtomicBool::new(false));
    let mut asked = 0;
    let mut predicate = || {
        asked += 1;
        if asked == 1 {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    newcomer_waits.store(barrier.try_shared().is_err(), Ordering::Relaxed);
                    as_holder(&barrier).unwrap();
                    entered.store(true, Ordering::Relaxed);
                    barrier.leave_shared().unwrap();
                });
            });
            return false;
        }
        true
    };
    let mut options = at_once(2000).predicate(&mut predicate);
    let pause = barrier.exclusive(&mut options).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| assert!(is_refused(as_holder(&barrier))));
    });
    pause.release().unwrap();
    assert!(entered.into_inner() && newcomer_waits.into_inner());
    let pause = barrier.exclusive(&mut at_once(100)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| assert!(is_refused(as_holder(&barrier))));
    });
    pause.release().unwrap();
    as_holder(&barrier).unwrap();
    assert_eq!(barrier.depth(), 1);
    as_holder(&barrier).unwrap();
    assert_eq!(barrier.depth(), 2);
    barrier.leave_shared().unwrap();
    barrier.leave_shared().unwrap();
    pause_of(&barrier);
}

fn pause_of(barrier: &Barrier) {
    barrier.exclusive(&mut at_once(100)).unwrap().release().unwrap();
}

/// What was taken while the predicate looked elsewhere is not overlooked, by a thread of its own slot or of the
/// counted one.
#[test]
fn an_answer_that_somebody_was_let_in_during_does_not_count() {
    let place = Place::new();
    let barrier = place.barrier();
    let mut asked = 0;
    let mut predicate = || {
        asked += 1;
        if asked < 3 {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    as_holder(&barrier).unwrap();
                    barrier.leave_shared().unwrap();
                });
            });
        }
        true
    };
    let mut options = at_once(2000).predicate(&mut predicate);
    barrier.exclusive(&mut options).unwrap().release().unwrap();
    drop(options);
    assert_eq!(asked, 3);
}

/// One that is inside as a holder is waited for, as everybody.
#[test]
fn a_holder_that_is_inside_is_waited_for() {
    let place = Place::new();
    let barrier = place.barrier();
    let over = Over::default();
    let asked = AtomicU32::new(0);
    let inside = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _over = over.when_dropped();
        let mut predicate = || {
            assert!(!inside.load(Ordering::Relaxed), "asked while somebody is inside");
            if asked.fetch_add(1, Ordering::Relaxed) == 0 {
                inside.store(true, Ordering::Relaxed);
                let (told, entered) = std::sync::mpsc::channel();
                let (barrier, inside) = (&barrier, &inside);
                scope.spawn(move || {
                    as_holder(barrier).unwrap();
                    told.send(()).unwrap();
                    std::thread::sleep(ms(50));
                    inside.store(false, Ordering::Relaxed);
                    barrier.leave_shared().unwrap();
                });
                entered.recv().unwrap();
            }
            true
        };
        let mut options = at_once(2000).predicate(&mut predicate);
        barrier.exclusive(&mut options).unwrap().release().unwrap();
    });
    assert_eq!(asked.into_inner(), 2);
}

/// A chain of processes that keep each other waiting at the gate ends when it is opened; the tool tries again.
#[test]
fn a_closing_that_takes_too_long_is_given_up_and_tried_again() {
    let place = Place::new();
    let barrier = place.barrier();
    let opened = AtomicU32::new(0);
    let mut changes = Vec::new();
    let mut around = |change| {
        changes.push(change);
        if change == GateChange::Reopened {
            opened.fetch_add(1, Ordering::Relaxed);
        }
        true
    };
    let mut predicate = || opened.load(Ordering::Relaxed) == 2;
    let mut options = ExclusiveOptions::default()
        .patience(Duration::from_secs(20))
        .around_closing(&mut around)
        .predicate(&mut predicate);
    let report = barrier.exclusive(&mut options).unwrap().release().unwrap();
    assert_eq!(report.closings, 3);
    drop(options);
    use GateChange::{AboutToClose, Reopened};
    assert_eq!(changes, [AboutToClose, Reopened, AboutToClose, Reopened, AboutToClose]);
}

#[test]
fn one_that_is_never_true_is_an_error_and_the_gate_is_open() {
    let place = Place::new();
    let barrier = place.barrier();
    for patience in [0, 300] {
        let mut never = || false;
        let options = ExclusiveOptions::default().patience(ms(patience)).drain(ms(100));
        let error = barrier.exclusive(&mut options.predicate(&mut never)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotQuiet);
        drop(barrier.try_shared().unwrap());
    }
}

/// A writer that is not watched leaves no mark, in a slot of its own or counted.
#[test]
fn one_that_is_lost_unwatched_is_no_loss() {
    let place = Place::new();
    place.make_barrier();
    let barrier = Barrier::options().watched(false).open(place.barrier_path()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| std::mem::forget(barrier.shared().unwrap())).join().unwrap();
    });
    assert_eq!(place.epoch(), 0);
    std::mem::forget(barrier.shared_owned().unwrap());
    drop(barrier);
    assert_eq!(place.epoch(), 0);
}
