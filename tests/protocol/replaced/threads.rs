//! Threads of one process, some of which have been in several files.

use crate::common::{Place, at_once, is_root};
use std::fs;
use stillpoint::{Barrier, ErrorKind, Kind, Status};

use super::{come_over, copy_over};

/// A thread that finds no slot where it came to counts there, and leaves there.
#[test]
fn a_thread_may_count_where_it_came_to() {
    let place = Place::new();
    let barrier = place.barrier();
    copy_over(&place, "first");
    come_over(&barrier);
    let aside = place.path("aside");
    fs::rename(place.barrier_path(), &aside).unwrap();
    let share = barrier.shared().unwrap();
    fs::rename(&aside, place.barrier_path()).unwrap();
    let counted = place.status().writers.into_iter().find(|writer| writer.inside).unwrap();
    assert_eq!((counted.kind, counted.shares), (Kind::Process, 1));
    drop(share);
    barrier.exclusive(&mut at_once(1000)).unwrap().release().unwrap();
}

/// What a thread holds is known whichever of the files it holds it in.
#[test]
fn a_thread_knows_what_it_holds() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let barrier = place.barrier();
    let deadlock = |what: &str| {
        let error = barrier.exclusive(&mut at_once(50)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Deadlock, "{what}: {error}");
    };
    copy_over(&place, "first");
    come_over(&barrier);
    let pause = barrier.exclusive(&mut at_once(1000)).unwrap();
    deadlock("a pause where it came to");
    pause.release().unwrap();
    let share = barrier.shared_owned().unwrap();
    assert!(barrier.leaked_share_of_process().is_some());
    drop(share);
    assert_eq!(barrier.leaked_share_of_process(), None);
    let share = barrier.shared().unwrap();
    copy_over(&place, "second");
    // It has been where it will come to.
    let there = Barrier::open(place.barrier_path()).unwrap();
    drop(there.shared().unwrap());
    come_over(&barrier);
    assert_eq!((barrier.depth(), there.depth()), (1, 0));
    deadlock("a share where it was");
    let nested = barrier.shared().unwrap();
    assert_eq!((barrier.depth(), there.depth()), (2, 0));
    drop(nested);
    drop(share);
    assert_eq!(barrier.depth(), 0);
    barrier.exclusive(&mut at_once(1000)).unwrap().release().unwrap();
}

/// A thread that ends gives back its seats in each of the files.
#[test]
fn threads_that_came_over_end() {
    let place = Place::new();
    let barrier = place.barrier();
    let (before, after) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            drop(barrier.shared().unwrap());
            before.wait();
            after.wait();
            drop(barrier.shared().unwrap());
        });
        before.wait();
        copy_over(&place, "first");
        come_over(&barrier);
        after.wait();
        thread.join().unwrap();
    });
    for path in [place.path("first"), place.barrier_path()] {
        let writers = Status::read(&path).unwrap().writers;
        let kinds: Vec<Kind> = writers.iter().map(|writer| writer.kind).collect();
        assert_eq!(kinds, [Kind::Process], "{}", path.display());
    }
    assert_eq!(place.epoch(), 0);
}
