//! Losses are not forgotten with the file in which they happened.

use crate::common::{Participant, Place, at_once, is_root};
use stillpoint::ErrorKind;

use super::{copy_over, member, replace};

/// What was lost in the old file is not forgiven in the new one.
#[test]
fn losses_are_carried_over() {
    if !is_root() {
        return;
    }
    for killed_before in [true, false] {
        let place = Place::new();
        place.make_barrier();
        let (_left, mut lost) = (member(&place), member(&place));
        lost.expect("shared", "inside 1");
        if killed_before {
            lost.kill();
        }
        let barrier = replace(&place);
        if !killed_before {
            assert_eq!(place.epoch(), 0);
            lost.kill();
        }
        let pause = barrier.exclusive(&mut at_once(1000)).unwrap();
        assert!(pause.report().dirty_at_grant[0].is_dirty(), "{killed_before}");
        pause.release().unwrap();
        let named = &place.status().lost[0];
        assert_eq!(named.pid, lost.pid());
        assert!(named.place.contains("actor.rs:"), "{named:?}");
        barrier.exclusive(&mut at_once(1000)).unwrap().release().unwrap();
        assert_eq!(place.epoch(), 1, "once");
    }
}

/// However often a tool looks, because of somebody in another file.
#[test]
fn losses_are_carried_over_once() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    place.make_barrier();
    let (_left, mut lost) = (member(&place), member(&place));
    copy_over(&place, "first");
    lost.expect("shared", "inside 1");
    lost.kill();
    let mut inside = Participant::at(&place.barrier_path());
    inside.expect("shared", "inside 1");
    let barrier = replace(&place);
    for _ in 0..2 {
        let error = barrier.exclusive(&mut at_once(200)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stragglers, "{error}");
        assert_eq!(place.epoch(), 1);
    }
}
