//! A table of slots in which there is no room.

use crate::common::{Participant, Place, until};
use stillpoint::{Barrier, ErrorKind, Kind};

const SLOTS: u32 = 4096;
const THREAD_SLOTS: u32 = 3072;

/// Takes that many slots from the first on, as that many processes would.
fn crowd(place: &Place, count: u32) -> Participant {
    let mut crowd = Participant::start();
    let command = format!("lock-life-bytes {} 0 {count}", place.barrier_path().display());
    // A process that another test is spawning may have a copy of a descriptor until it execs.
    until("the slots are free", || crowd.ask(&command) == "locked");
    crowd
}

#[test]
fn a_process_that_finds_no_slot_is_told() {
    let place = Place::new();
    let path = place.make_barrier();
    let mut crowd = crowd(&place, SLOTS);
    let error = Barrier::open(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
    assert!(!error.to_string().contains('\n'));
    crowd.kill();
    drop(Barrier::open(&path).unwrap());
}

#[test]
fn the_dead_make_room() {
    let place = Place::new();
    let path = place.make_barrier();
    let _crowd = crowd(&place, SLOTS - 1);
    let mut last = Participant::at(&path);
    assert_eq!(Barrier::open(&path).unwrap_err().kind(), ErrorKind::Full);
    // Its thread counts in the same slot; it dies in it.
    last.expect("shared", "inside 1");
    last.expect_like("command-share watched", "error Full");
    last.kill();
    let barrier = Barrier::open(&path).unwrap();
    assert_eq!(barrier.dirty().epoch, 1);
    assert_eq!(place.status().writers.len(), 1);
}

#[test]
fn threads_without_a_slot_count_in_their_process() {
    let place = Place::new();
    let path = place.make_barrier();
    let _crowd = crowd(&place, THREAD_SLOTS);
    let mut writer = Participant::at(&path);
    let mut tool = Participant::at(&path);
    let shares = |pid| {
        let status = place.status();
        let mut found = status.writers.iter().filter(|writer| writer.pid == pid);
        let (first, rest) = (found.next().unwrap(), found.count());
        assert_eq!((first.kind, rest), (Kind::Process, 0));
        first.shares
    };
    writer.expect("thread t", "thread t");
    writer.expect("shared", "inside 1");
    writer.expect("@t shared", "inside 1");
    writer.expect("@t shared", "inside 2");
    assert_eq!(shares(writer.pid()), 2, "one for each thread, however deep");
    writer.expect("leave", "depth 0");
    assert_eq!(shares(writer.pid()), 1);
    tool.finds_inside(writer.pid());
    writer.expect("@t leave", "depth 1");
    tool.finds_inside(writer.pid());
    writer.expect("@t leave", "depth 0");
    tool.expect_like("exclusive", "granted");
    writer.expect_like("@t try-shared", "error WouldBlock");
    tool.expect("release", "released grown=0");
    // One that ends inside is a loss, and its share is given back.
    writer.expect("@t shared", "inside 1");
    writer.expect("@t forget", "forgotten");
    writer.expect("end-thread t", "ended t");
    assert_eq!((place.epoch(), shares(writer.pid())), (1, 0));
    tool.expect_like("exclusive", "granted");
}
