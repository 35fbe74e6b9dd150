//! Threads that come and go, some of them inside a share.

use crate::common::{Place, at_a_barrier, at_once, field, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::thread::scope;
use stillpoint::{Barrier, Kind};

#[test]
fn a_thread_that_ends_inside_a_share_is_a_loss() {
    let (place, [mut writer, mut tool]) = at_a_barrier();
    writer.expect("thread worker", "thread worker");
    writer.expect("@worker shared", "inside 1");
    writer.expect("@worker shared", "inside 2");
    writer.expect("@worker forget", "forgotten");
    tool.finds_inside(writer.pid());
    writer.expect("end-thread worker", "ended worker");
    let status = place.status();
    assert_eq!(status.dirty.epoch, 1);
    assert_eq!((status.lost[0].pid, status.lost[0].comm.as_str()), (writer.pid(), "worker"));
    assert_eq!(status.writers.len(), 2, "its slot is free, both processes have theirs");
    tool.finds_quiet();
    writer.expect("shared", "inside 1");
}

#[test]
fn a_thread_that_ends_in_order_leaves_no_mark() {
    let place = Place::new();
    let barrier = place.barrier();
    let mut slots = Vec::new();
    for _ in 0..20 {
        let share = || {
            drop(barrier.shared().unwrap());
            let status = place.status();
            let own = status.writers.iter().find(|writer| writer.kind == Kind::Thread);
            own.unwrap().slot
        };
        // Joined one by one: a scope does not wait until what its threads own is given back.
        slots.push(scope(|scope| scope.spawn(share).join().unwrap()));
        assert_eq!(place.status().writers.len(), 1);
    }
    slots.dedup();
    assert_eq!(slots.len(), 1, "the slot is used again");
    assert_eq!(place.epoch(), 0);
}

#[test]
fn a_panic_inside_a_share_leaves_it() {
    let (place, [mut writer, mut tool]) = at_a_barrier();
    writer.expect("panic-inside", "caught depth 0");
    tool.finds_quiet();
    assert_eq!(place.epoch(), 0);
}

#[test]
fn threads_that_open_at_once_join_once() {
    for _ in 0..40 {
        let place = Place::new();
        let path = place.make_barrier();
        let all: Vec<Barrier> = scope(|scope| {
            let opening: Vec<_> =
                (0..8).map(|_| scope.spawn(|| Barrier::open(&path).unwrap())).collect();
            opening.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(place.status().writers.len(), 1);
        drop(all);
        assert_eq!(place.status().writers.len(), 0);
    }
}

/// The last handle may be dropped while another thread is looking for an open one.
#[test]
fn opening_and_closing_at_once_never_hangs() {
    let place = Place::new();
    let (path, other) = (place.make_barrier(), place.path("other"));
    drop(Barrier::create(&other).unwrap());
    scope(|scope| {
        for thread in 0..6 {
            let path = if thread % 2 == 0 { &path } else { &other };
            scope.spawn(move || {
                for _ in 0..300 {
                    let barrier = Barrier::open(path).unwrap();
                    drop(barrier.shared().unwrap());
                }
            });
        }
    });
    until("all have left", || place.status().writers.is_empty());
    assert_eq!(place.epoch(), 0);
    let barrier = Barrier::open(place.barrier_path()).unwrap();
    barrier.exclusive(&mut at_once(1000)).unwrap().release().unwrap();
}

#[test]
fn children_forked_while_threads_join_hang_nowhere_and_keep_nothing() {
    let (place, [mut parent, mut tool]) = at_a_barrier();
    let answer = parent.ask("fork-among-joins 400");
    let living: Vec<i32> =
        field(&answer, "living").split(',').map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(living.len(), 20);
    parent.kill();
    let granted = tool.ask("exclusive patience=0 drain=3000");
    for pid in living {
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }
    assert_eq!(field(&answer, "failed"), "0", "{answer}");
    assert!(granted.starts_with("granted"), "a child keeps its parent's lock: {granted}");
    assert_eq!(place.epoch().to_string(), field(&answer, "inside"));
}
