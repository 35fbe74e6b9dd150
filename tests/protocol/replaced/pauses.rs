//! Pauses, and gates that are closed for good.

use crate::common::{GENERATION, Participant, Place, at_once};
use std::fs;

#[test]
fn a_pause_whose_file_goes_has_no_certificate() {
    for made_again in [false, true] {
        let place = Place::new();
        let barrier = place.barrier();
        let mut tool = Participant::at(&place.barrier_path());
        tool.expect_like("exclusive", "granted");
        let again = fs::read(place.barrier_path()).unwrap();
        fs::remove_file(place.barrier_path()).unwrap();
        if made_again {
            fs::write(place.barrier_path(), again).unwrap();
        }
        let answer = tool.expect_like("release", "error Revoked");
        assert!(answer.contains("moved, removed or replaced"), "{answer}");
        drop(barrier);
    }
}

/// A gate that is closed for good where the file is in its place: only garbage can have done that.
#[test]
fn a_barrier_in_its_place_is_not_taken_for_a_removed_one() {
    let place = Place::new();
    let barrier = place.barrier();
    for share in ["shared", "owned", "command-share watched", "exclusive"] {
        let mut user = Participant::at(&place.barrier_path());
        place.set_word(GENERATION, u32::MAX);
        let answer = user.ask(share);
        assert!(!answer.starts_with("error"), "{share}: {answer}");
        drop(user);
    }
    place.set_word(GENERATION, u32::MAX);
    barrier.exclusive(&mut at_once(1000)).unwrap().release().unwrap();
    place.set_word(GENERATION, u32::MAX);
    drop(barrier.shared().unwrap());
}

/// Generations go on past the one that means for good.
#[test]
fn no_pause_is_for_good() {
    let place = Place::new();
    let barrier = place.barrier();
    place.set_word(GENERATION, u32::MAX - 3);
    for generation in [u32::MAX - 2, 1, 3] {
        let pause = barrier.exclusive(&mut at_once(1000)).unwrap();
        assert_eq!(pause.report().generations, [generation]);
        pause.release().unwrap();
    }
}
