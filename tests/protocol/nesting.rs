//! Nesting, and what a thread cannot ask for because it would wait for itself.

use crate::common::{Participant, Place, at_once, ms, until};
use std::time::Instant;
use stillpoint::{Barrier, CommandShareOptions, ErrorKind};

#[test]
fn a_thread_nests_while_the_gate_is_closed() {
    let place = Place::new();
    let barrier = place.barrier();
    let outer = barrier.shared().unwrap();
    let mut tool = Participant::at(&place.barrier_path());
    tool.say("exclusive patience=0 drain=20000");
    until("the gate is closed", || place.status().closed);
    let inner = barrier.shared().unwrap();
    let innermost = barrier.try_shared().unwrap();
    assert_eq!(barrier.depth(), 3);
    drop(outer);
    assert_eq!(barrier.depth(), 2);
    drop(innermost);
    assert_eq!(tool.heard(), None, "granted with a share inside");
    assert!(place.status().closed);
    drop(inner);
    assert!(tool.hear().starts_with("granted"));
    tool.expect("release", "released grown=0");
}

#[test]
fn a_closed_gate_keeps_every_kind_of_share_out() {
    let place = Place::new();
    let barrier = place.barrier();
    let mut tool = Participant::at(&place.barrier_path());
    tool.expect_like("exclusive hold=none", "granted");
    assert_eq!(barrier.try_shared().unwrap_err().kind(), ErrorKind::WouldBlock);
    let started = Instant::now();
    let error = barrier.shared_timeout(ms(60)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(started.elapsed() >= ms(60));
    let error = barrier.shared_owned_timeout(ms(10)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let error = barrier
        .shared_for_command(&mut CommandShareOptions::default().wait(ms(0)))
        .err()
        .unwrap()
        .kind();
    assert_eq!(error, ErrorKind::WouldBlock);
    assert_eq!(barrier.depth(), 0);
    tool.expect("release", "released grown=0");
    drop(barrier.shared_timeout(ms(60)).unwrap());
    // Nothing of the failed attempts stands in the way of the next pause.
    let pause = barrier.exclusive(&mut at_once(100)).unwrap();
    assert!(pause.report().waited_for.is_empty());
    pause.release().unwrap();
    assert_eq!(place.epoch(), 0);
}

#[test]
fn exclusive_inside_a_share_is_refused_at_once() {
    let place = Place::new();
    let barrier = place.barrier();
    let share = barrier.shared().unwrap();
    let error = barrier.exclusive(&mut at_once(100)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadlock);
    assert_eq!(place.status().generation, 0, "the gate was not touched");
    drop(share);
    barrier.exclusive(&mut at_once(100)).unwrap().release().unwrap();
}

#[test]
fn exclusive_inside_ones_own_exclusive_is_refused_at_once() {
    let place = Place::new();
    let barrier = place.barrier();
    let pause = barrier.exclusive(&mut at_once(100)).unwrap();
    let error = barrier.exclusive(&mut at_once(100)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadlock);
    pause.release().unwrap();
}

#[test]
fn a_share_inside_ones_own_exclusive_is_refused_at_once() {
    let place = Place::new();
    let barrier = place.barrier();
    let pause = barrier.exclusive(&mut at_once(100)).unwrap();
    assert_eq!(barrier.shared().unwrap_err().kind(), ErrorKind::Deadlock);
    let limited = barrier.shared_timeout(ms(5000)).unwrap_err();
    assert_eq!(limited.kind(), ErrorKind::Deadlock);
    assert_eq!(barrier.shared_owned().unwrap_err().kind(), ErrorKind::Deadlock);
    assert_eq!(barrier.try_shared().unwrap_err().kind(), ErrorKind::WouldBlock);
    pause.release().unwrap();
    drop(barrier.shared().unwrap());
}

#[test]
fn two_handles_of_one_file_are_one_barrier() {
    let place = Place::new();
    let first = place.barrier();
    let second = Barrier::open(place.barrier_path()).unwrap();
    let share = first.shared().unwrap();
    assert_eq!(second.depth(), 1);
    let nested = second.shared().unwrap();
    assert_eq!(first.depth(), 2);
    let error = second.exclusive(&mut at_once(50)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadlock);
    drop((share, nested));
    drop(first);
    drop(second.shared().unwrap());
    assert_eq!(place.status().writers.len(), 2, "one process, one thread");
    drop(second);
    assert_eq!(place.status().writers.len(), 0, "the last handle leaves");
}

#[test]
fn barriers_do_not_mix() {
    let place = Place::new();
    let (one, two) = (place.barrier(), Barrier::create(place.path("other")).unwrap());
    let share = one.shared().unwrap();
    assert_eq!((one.depth(), two.depth()), (1, 0));
    two.exclusive(&mut at_once(100)).unwrap().release().unwrap();
    for _ in 0..3 {
        let nested = (two.shared().unwrap(), one.shared().unwrap());
        assert_eq!((one.depth(), two.depth()), (2, 1));
        drop(nested);
    }
    drop(share);
    one.exclusive(&mut at_once(100)).unwrap().release().unwrap();
}
