//! Shares that stand in the process's counted slot.

use crate::common::{Participant, Place, at_once, ms, until};
use stillpoint::{ErrorKind, Kind};

#[test]
fn an_owned_share_moves_between_threads() {
    let place = Place::new();
    let barrier = place.barrier();
    let (first, second) = (barrier.shared_owned().unwrap(), barrier.shared_owned().unwrap());
    assert_eq!(barrier.depth(), 0, "they belong to no thread");
    let status = place.status();
    assert_eq!(status.writers.len(), 1);
    assert_eq!((status.writers[0].kind, status.writers[0].shares), (Kind::Process, 2));
    let error = barrier.exclusive(&mut at_once(20)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotQuiet);
    std::thread::spawn(move || drop(first)).join().unwrap();
    // One is left: a plain count would have made the word even here.
    assert_eq!(place.status().writers[0].word, 1);
    let error = barrier.exclusive(&mut at_once(20)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotQuiet);
    std::thread::spawn(move || drop(second)).join().unwrap();
    barrier.exclusive(&mut at_once(100)).unwrap().release().unwrap();
    assert_eq!(place.epoch(), 0);
}

#[test]
fn counting_is_not_nesting() {
    let place = Place::new();
    let barrier = place.barrier();
    let held = barrier.shared_owned().unwrap();
    let mut tool = Participant::at(&place.barrier_path());
    tool.say("exclusive patience=0 drain=20000");
    until("the gate is closed", || place.status().closed);
    let error = barrier.shared_owned_timeout(ms(30)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    drop(held);
    assert!(tool.hear().starts_with("granted"));
}

#[test]
fn an_owned_share_keeps_the_barrier() {
    let place = Place::new();
    let barrier = place.barrier();
    let held = barrier.shared_owned().unwrap();
    drop(barrier);
    let mut tool = Participant::at(&place.barrier_path());
    tool.expect_like("exclusive patience=0 drain=20", "error NotQuiet");
    drop(held);
    tool.expect_like("exclusive patience=0 drain=200", "granted");
    assert_eq!(place.status().writers.len(), 1, "only the tool is left");
}
