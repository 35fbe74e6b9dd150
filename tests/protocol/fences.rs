//! Writers without a fence, and tools that have them pass one.

use crate::common::filter::{Answer, Filter};
use crate::common::{GENERATION, Participant, Place, at_once, ms};
use nix::libc;
use stillpoint::{Barrier, Error, ErrorKind, ExclusiveOptions, GateChange, Kind};

// linux/membarrier.h
const GLOBAL: u32 = 1;
const GLOBAL_EXPEDITED: u32 = 2;
const REGISTER_GLOBAL_EXPEDITED: u32 = 4;

/// Where the barrier file has the minor layout, and the features that one must know.
const MINOR: u64 = 12;
const INCOMPAT: u64 = 16;

fn refuse(first: Option<u32>, error: i32) {
    let answer = Answer::Error(error);
    Filter { call: libc::SYS_membarrier, first, answer }.install().unwrap();
}

/// In a thread of its own, which a filter may be for.
fn alone<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().unwrap())
}

/// Of the threads that this process has in the barrier: whether they are unfenced.
fn unfenced(place: &Place, pid: u32) -> Vec<bool> {
    let status = place.status();
    let threads = status.writers.iter().filter(|one| one.kind == Kind::Thread && one.pid == pid);
    threads.map(|thread| thread.is_unfenced).collect()
}

fn is_unavailable(error: &Error) -> bool {
    error.kind() == ErrorKind::Unavailable && error.to_string().contains("--fences")
}

#[test]
fn a_tool_that_cannot_make_the_call_closes_nothing() {
    let place = Place::new();
    let barrier = place.barrier();
    for error in [libc::EPERM, libc::ENOSYS, libc::EINVAL] {
        let refused = alone(|| {
            refuse(None, error);
            barrier.exclusive(&mut at_once(100)).unwrap_err()
        });
        assert!(is_unavailable(&refused), "{refused}");
    }
    assert_eq!(place.word(GENERATION), 0);
    barrier.exclusive(&mut at_once(100)).unwrap().release().unwrap();
}

/// A call that fails once the gate is closed, in the first closing or in the one after a courtesy.
#[test]
fn a_call_that_fails_in_a_closing_opens_the_gate() {
    for closing in 1..=2 {
        let place = Place::new();
        let barrier = place.barrier();
        let mut long = Participant::at(&place.barrier_path());
        long.expect("shared", "inside 1");
        let mut closings = 0;
        let mut around = |change| {
            if change == GateChange::Reopened {
                long.expect("leave", "depth 0");
            }
            closings += u32::from(change == GateChange::AboutToClose);
            if closings == closing && change == GateChange::AboutToClose {
                refuse(None, libc::EPERM);
            }
            true
        };
        let refused = alone(|| {
            let mut options = ExclusiveOptions::default().around_closing(&mut around);
            barrier.exclusive(&mut options).unwrap_err()
        });
        assert!(is_unavailable(&refused), "{refused}");
        assert_eq!(place.word(GENERATION), 2 * closing, "opened");
        drop(barrier.try_shared().unwrap());
        assert!(!place.status().wanted);
    }
}

/// The kernel lacks the memory to know whom to interrupt: all are asked, once.
#[test]
fn a_call_without_memory_takes_the_other_way() {
    let place = Place::new();
    let barrier = place.barrier();
    alone(|| {
        refuse(Some(GLOBAL_EXPEDITED), libc::ENOMEM);
        barrier.exclusive(&mut at_once(1000)).unwrap().release().unwrap();
        refuse(Some(GLOBAL), libc::ENOMEM);
        let refused = barrier.exclusive(&mut at_once(1000)).unwrap_err();
        assert!(is_unavailable(&refused), "{refused}");
    });
}

#[test]
fn where_writers_have_fences_nobody_needs_the_call() {
    let place = Place::new();
    let path = place.barrier_path();
    let barrier = Barrier::options().fences(true).found(&path).unwrap();
    assert!(!barrier.is_unfenced());
    drop(barrier.shared().unwrap());
    assert_eq!(unfenced(&place, std::process::id()), [false]);
    alone(|| {
        refuse(None, libc::EPERM);
        barrier.exclusive(&mut at_once(100)).unwrap().release().unwrap();
    });
}

/// One that was made before there was such a thing, by a version that is still about.
#[test]
fn a_barrier_of_an_older_layout_keeps_its_fences() {
    let place = Place::new();
    place.make_barrier();
    place.set_word(MINOR, 2);
    place.set_word(INCOMPAT, 0);
    let mut writer = Participant::at(&place.barrier_path());
    writer.expect("shared", "inside 1");
    assert_eq!(unfenced(&place, writer.pid()), [false]);
    writer.expect("leave", "depth 0");
    let barrier = Barrier::open(place.barrier_path()).unwrap();
    barrier.exclusive(&mut at_once(1000)).unwrap().release().unwrap();
}

/// Whatever asks for it or is in the way of registering; and its shares exclude as any do.
#[test]
fn who_keeps_its_fence() {
    let place = Place::new();
    let barrier = place.barrier();
    let with = |change: &dyn Fn(&mut std::process::Command)| {
        let mut writer = Participant::start_as(|command| change(command));
        writer.open(&place.barrier_path());
        writer.expect("shared", "inside 1");
        let flags = unfenced(&place, writer.pid());
        let refused = barrier.exclusive(&mut at_once(20)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NotQuiet);
        flags
    };
    let refused = |first, answer| {
        with(&move |command| Filter { call: libc::SYS_membarrier, first, answer }.of(command))
    };
    assert_eq!(with(&|_| {}), [true]);
    assert_eq!(refused(None, Answer::Error(libc::EPERM)), [false]);
    assert_eq!(refused(None, Answer::Error(libc::ENOSYS)), [false]);
    let registering = Some(REGISTER_GLOBAL_EXPEDITED);
    assert_eq!(refused(registering, Answer::Error(libc::EPERM)), [false]);
    assert_eq!(
        with(&|command| {
            command.env("STILLPOINT_FORK_CHECK", "pid");
        }),
        [false]
    );
    assert_eq!(
        with(&|command| {
            command.env("STILLPOINT_FENCES", "1");
        }),
        [false]
    );
    let killed = |command: &mut std::process::Command| {
        command.env("STILLPOINT_FENCES", "1");
        Filter { call: libc::SYS_membarrier, first: None, answer: Answer::Kills }.of(command);
    };
    assert_eq!(with(&killed), [false]);
}

/// What did not come to an end is not relied on when the barrier is opened again.
#[test]
fn a_registration_that_failed_is_not_remembered() {
    let place = Place::new();
    place.make_barrier();
    let registering = Some(REGISTER_GLOBAL_EXPEDITED);
    let answer = Answer::Error(libc::EPERM);
    let filter = Filter { call: libc::SYS_membarrier, first: registering, answer };
    let mut writer = Participant::start_as(|command| filter.of(command));
    for _ in 0..2 {
        writer.open(&place.barrier_path());
    }
    writer.expect("shared", "inside 1");
    assert_eq!(unfenced(&place, writer.pid()), [false]);
}

/// Threads that come later, children and programs: each is what its own address space has registered for.
#[test]
fn threads_children_and_programs() {
    let place = Place::new();
    let barrier = place.barrier();
    let mut writer = Participant::at(&place.barrier_path());
    let pid = writer.pid();
    writer.expect_like("thread late", "thread");
    writer.expect("@late shared", "inside 1");
    assert_eq!(unfenced(&place, pid), [true]);
    writer.expect("@late leave", "depth 0");
    writer.expect("shared", "inside 1");
    assert_eq!(unfenced(&place, pid), [true, true]);
    let child = writer.child_by("fork c");
    writer.expect(">c shared", "inside 1");
    assert_eq!(unfenced(&place, child.as_raw() as u32), [true]);
    writer.expect("leave", "depth 0");
    let refused = barrier.exclusive(&mut at_once(20)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotQuiet, "the child is inside");
    writer.expect(">c leave", "depth 0");
    writer.expect_like("vfork-true", "vforked");
    writer.expect("shared", "inside 1");
    writer.expect("leave", "depth 0");
    writer.expect_like("exec", "ready");
    writer.open(&place.barrier_path());
    writer.expect("shared", "inside 1");
    assert_eq!(unfenced(&place, pid), [true]);
    writer.expect("leave", "depth 0");
    barrier.exclusive(&mut at_once(2000).wait(ms(3000))).unwrap().release().unwrap();
    assert_eq!(place.epoch(), 0);
}

/// Once a process has joined, no share makes the call: neither the first one of a thread nor any other.
#[test]
fn no_share_makes_the_call() {
    let place = Place::new();
    place.make_barrier();
    let mut writer = Participant::at(&place.barrier_path());
    writer.expect("forbid-membarrier by-death", "forbidden");
    writer.expect_like("thread late", "thread");
    for who in ["", "@late "] {
        for _ in 0..2 {
            writer.expect(&format!("{who}shared"), "inside 1");
            writer.expect(&format!("{who}leave"), "depth 0");
        }
    }
    assert_eq!(unfenced(&place, writer.pid()), [true, true]);
}

/// A child that is not allowed what its parent was.
#[test]
fn a_child_that_may_not_register() {
    let place = Place::new();
    place.make_barrier();
    let mut writer = Participant::start();
    writer.open(&place.barrier_path());
    writer.expect("shared", "inside 1");
    writer.expect("leave", "depth 0");
    let child = writer.child_by("fork c");
    writer.expect(">c forbid-membarrier by-error", "forbidden");
    writer.expect(">c shared", "inside 1");
    assert_eq!(unfenced(&place, child.as_raw() as u32), [false]);
    assert_eq!(unfenced(&place, writer.pid()), [true]);
}
