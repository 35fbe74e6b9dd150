//! Where a share was taken, as others are told of it.

use crate::common::{Participant, Place, at_once, slot_word};
use std::fs::File;
use std::os::unix::fs::FileExt;
use stillpoint::{Barrier, Kind, SharedGuard, WriterStatus};

/// Bytes from a slot's word to its owner's thread id, and to the line with its owner before it.
const TID: u64 = 16;
const TAKEN_AT: u64 = 88;

/// This line, as it is shown.
macro_rules! here {
    () => {
        format!("tests/protocol/taken_at.rs:{}", line!())
    };
}

/// The thread that is inside.
fn insider(place: &Place) -> WriterStatus {
    let writers = place.status().writers;
    writers.into_iter().find(|writer| writer.inside).expect("one is inside")
}

fn taken_here(barrier: &Barrier) -> (SharedGuard<'_>, String) {
    (barrier.shared().unwrap(), here!())
}

#[test]
fn it_is_the_line_of_the_outermost_share() {
    let place = Place::new();
    let barrier = place.barrier();
    for _ in 0..3 {
        let (outer, line) = (barrier.shared().unwrap(), here!());
        let nested = barrier.try_shared().unwrap();
        assert_eq!(insider(&place).place, line);
        drop(outer);
        assert_eq!(insider(&place).place, line, "the share goes on");
        drop(nested);
        assert!(place.status().writers.iter().all(|writer| writer.place.is_empty()), "outside");
        let (_share, line) = taken_here(&barrier);
        assert_eq!(insider(&place).place, line);
    }
    let (mut share, _) = taken_here(&barrier);
    let (again, line) = (share.yield_now(), here!());
    again.unwrap();
    assert_eq!(insider(&place).place, line, "it was taken again");
}

/// Its first enter there may have been refused before it said anything.
#[test]
fn a_seat_that_serves_another_barrier_says_it_there() {
    let (before, place) = (Place::new(), Place::new());
    let taken = |barrier: &Barrier| barrier.try_shared().map(std::mem::forget);
    let line = here!().replace(&line!().to_string(), &(line!() - 1).to_string());
    let first = before.barrier();
    taken(&first).unwrap();
    drop(first);
    let barrier = place.barrier();
    let mut tool = Participant::at(&place.barrier_path());
    tool.expect_like("exclusive patience=0", "granted");
    taken(&barrier).unwrap_err();
    tool.expect("release", "released grown=0");
    taken(&barrier).unwrap();
    assert_eq!(insider(&place).place, line);
}

#[test]
fn who_is_waited_for_and_who_is_lost_is_named_with_it() {
    let place = Place::new();
    let barrier = place.barrier();
    let (share, line) = taken_here(&barrier);
    let mut tool = Participant::at(&place.barrier_path());
    let answer = tool.expect_like("exclusive patience=0 drain=20", "error NotQuiet");
    assert!(answer.contains(&format!(" inside from {line} for at least ")), "{answer}");
    drop(share);

    let writer = || std::mem::forget(taken_here(&barrier));
    std::thread::scope(|scope| scope.spawn(writer).join().unwrap());
    let mut killed = Participant::at(&place.barrier_path());
    killed.expect("shared", "inside 1");
    let its = insider(&place).place;
    assert!(its.contains("actor.rs:"), "{its}");
    killed.kill();
    barrier.exclusive(&mut at_once(1000)).unwrap().release().unwrap();
    let lost: Vec<String> = place.status().lost.into_iter().map(|lost| lost.place).collect();
    assert_eq!(lost, [its, line]);
}

/// Nobody can tell which of them is lost.
#[test]
fn counted_shares_have_none() {
    let place = Place::new();
    let barrier = place.barrier();
    // The slot was a thread's once.
    std::thread::scope(|scope| scope.spawn(|| drop(taken_here(&barrier))).join().unwrap());
    let _share = barrier.shared_owned().unwrap();
    let writer = insider(&place);
    assert_eq!((writer.kind, &*writer.place), (Kind::Process, ""));
}

/// A library that knows nothing of these bytes leaves them as the last owner did, or as they were before.
#[test]
fn another_owners_line_is_not_shown() {
    let place = Place::new();
    let barrier = place.barrier();
    let (share, line) = taken_here(&barrier);
    let slot = slot_word(insider(&place).slot);
    let tid = place.word(slot + TID);
    place.set_word(slot + TID, tid + 1);
    assert_eq!(insider(&place).place, "");
    place.set_word(slot + TID, tid);
    assert_eq!(insider(&place).place, line);
    place.set_word(slot + TAKEN_AT, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| std::mem::forget(taken_here(&barrier))).join().unwrap();
    });
    drop(share);
    assert_eq!(place.status().lost[0].place, line, "of another slot");

    // The next owner says nothing, and is lost.
    let mut older = Participant::at(&place.barrier_path());
    older.expect("shared", "inside 1");
    place.set_word(slot_word(insider(&place).slot) + TAKEN_AT, tid);
    older.kill();
    barrier.exclusive(&mut at_once(1000)).unwrap().release().unwrap();
    assert_eq!(place.status().lost[0].place, "");
}

#[test]
fn bytes_of_somebody_else_disturb_no_terminal() {
    let place = Place::new();
    let barrier = place.barrier();
    let (_share, _) = taken_here(&barrier);
    let text = slot_word(insider(&place).slot) + TAKEN_AT + 4;
    let file = File::options().write(true).open(place.barrier_path()).unwrap();
    for bytes in [*b"\x1b[22J\r\ndeliver.c:1, acknowledged\x07\x9b2J", [0xff; 36], [b'x'; 36]] {
        file.write_all_at(&bytes, text).unwrap();
        let shown = insider(&place).place;
        assert!(shown.chars().count() <= 36 && !shown.contains(char::is_control), "{shown:?}");
        assert!(shown.len() > 20, "{shown:?}");
    }
}
