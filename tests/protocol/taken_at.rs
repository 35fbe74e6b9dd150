//! Where a share was taken, as others are told of it.

use crate::common::{Over, Participant, Place, at_once, slot_word, until};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::thread::{self, Builder};
use std::time::Duration;
use stillpoint::{Barrier, Kind, SharedGuard, WriteLock, WriterStatus};

/// Bytes from a slot's word to the line, with the word that it belongs to before it.
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
    drop(share);
    let file = File::create(place.path("mailbox")).unwrap();
    let (_lock, line) = (WriteLock::acquire(&barrier, &file).unwrap(), here!());
    assert_eq!(insider(&place).place, line, "a lock's");
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
    thread::scope(|scope| scope.spawn(writer).join().unwrap());
    let mut killed = Participant::at(&place.barrier_path());
    killed.expect("shared", "inside 1");
    let its = insider(&place).place;
    assert!(its.contains("actor.rs:"), "{its}");
    killed.kill();
    barrier.exclusive(&mut at_once(1000)).unwrap().release().unwrap();
    let lost: Vec<String> = place.status().lost.into_iter().map(|lost| lost.place).collect();
    assert_eq!(lost, [its, line]);
}

/// Nobody can tell which of them is lost, whatever a thread has left in the slot.
#[test]
fn counted_shares_have_none() {
    let place = Place::new();
    let barrier = place.barrier();
    let _share = barrier.shared_owned().unwrap();
    let writer = insider(&place);
    place.set_word(slot_word(writer.slot) + TAKEN_AT, writer.word);
    place.set_word(slot_word(writer.slot) + TAKEN_AT + 4, u32::from_ne_bytes(*b"a.c\0"));
    let writer = insider(&place);
    assert_eq!((writer.kind, &*writer.place), (Kind::Process, ""));
}

/// A library that knows nothing of these bytes leaves them as the last owner of the slot did, or as they were
/// before; and the records of losses.
#[test]
fn another_owners_line_is_not_shown() {
    let place = Place::new();
    place.make_barrier();
    let mut before = Participant::at(&place.barrier_path());
    before.expect("shared", "inside 1");
    let (of_another, slot) = (insider(&place), slot_word(insider(&place).slot));
    assert!(of_another.place.contains("actor.rs:"));
    let bytes =
        |at| -> Vec<u32> { (0..40).step_by(4).map(|offset| place.word(at + offset)).collect() };
    let left = bytes(slot + TAKEN_AT);
    before.kill();
    let barrier = Barrier::open(place.barrier_path()).unwrap();
    barrier.exclusive(&mut at_once(1000)).unwrap().release().unwrap();
    assert_eq!(place.status().lost[0].place, of_another.place);

    let mut older = Participant::at(&place.barrier_path());
    older.expect("shared", "inside 1");
    assert_eq!(insider(&place).slot, of_another.slot, "the same one");
    for (word, offset) in left.into_iter().zip((0..).step_by(4)) {
        place.set_word(slot + TAKEN_AT + offset, word);
    }
    assert_eq!(insider(&place).place, "");
    older.kill();
    barrier.exclusive(&mut at_once(1000)).unwrap().release().unwrap();
    assert_eq!(place.status().lost[0].place, "");
}

/// Two shares at two lines, and the lines.
fn one_way(barrier: &Barrier) -> [u32; 2] {
    let a_while = |_| thread::sleep(Duration::from_micros(20));
    barrier.shared().map(a_while).unwrap();
    barrier.try_shared().map(a_while).unwrap();
    [line!() - 2, line!() - 1]
}

fn another_way(barrier: &Barrier) -> [u32; 2] {
    let a_while = |_| thread::sleep(Duration::from_micros(20));
    barrier.shared().map(a_while).unwrap();
    barrier.try_shared().map(a_while).unwrap();
    [line!() - 2, line!() - 1]
}

/// Threads of two names, each with lines of its own, come and go in each other's slots.
#[test]
fn who_looks_sees_nobody_at_a_line_of_somebody_else() {
    let place = Place::new();
    let barrier = place.barrier();
    let done = Over::default();
    let ways = [("one", one_way as fn(&Barrier) -> [u32; 2]), ("another", another_way)];
    let come_and_go = |(name, take): (&str, fn(&Barrier) -> [u32; 2])| {
        let shares = || (0..20).for_each(|_| assert!(take(&barrier)[0] > 0));
        while !done.is_set() {
            thread::scope(|scope| {
                Builder::new().name(name.into()).spawn_scoped(scope, shares).unwrap();
            });
        }
    };
    thread::scope(|scope| {
        let _done = done.when_dropped();
        for way in ways {
            scope.spawn(move || come_and_go(way));
        }
        let lines = ways.map(|(name, take)| (name, take(&barrier)));
        let mut seen = 0;
        until("lines were seen", || {
            for writer in place.status().writers.iter().filter(|writer| !writer.place.is_empty()) {
                let (_, lines) = lines.iter().find(|(name, _)| writer.comm == *name).unwrap();
                let its = |line| writer.place == format!("tests/protocol/taken_at.rs:{line}");
                assert!(lines.iter().any(its), "{writer:?}");
                seen += 1;
            }
            seen >= 100
        });
    });
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
