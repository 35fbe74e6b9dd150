//! Long holders that give way at a safe point.

use crate::common::{Participant, Place, field, until};

#[test]
fn a_long_holder_gives_way_when_asked() {
    let place = Place::new();
    let barrier = place.barrier();
    let mut share = barrier.shared().unwrap();
    assert!(!barrier.should_yield());
    let mut tool = Participant::at(&place.barrier_path());
    tool.say("exclusive drain=20000 hold=none");
    until("somebody wants the exclusive side", || barrier.should_yield());
    // In the first closing or with the gate open: the tool waits for this very share, and when it has
    // ended, whether or not another is taken at once, closes and is granted when that gives way too.
    tool.say("release");
    let mut answers = Vec::new();
    until("the pause has come and gone", || {
        share.yield_now().unwrap();
        answers.extend(tool.heard());
        answers.len() == 2
    });
    assert!(answers[0].starts_with("granted"), "{answers:?}");
    assert_eq!(field(&answers[0], "covered"), "false");
    assert_eq!(answers[1], "released grown=0");
    assert_eq!(barrier.depth(), 1, "inside again");
    until("nobody wants it any more", || !barrier.should_yield());
    drop(share);
}

/// Also for one who does not give way: who does takes back what a dead tool left.
#[test]
fn the_wish_ends_with_the_pause() {
    let place = Place::new();
    let barrier = place.barrier();
    let mut tool = Participant::at(&place.barrier_path());
    // This thread's seat is where the wish is seen.
    drop(barrier.shared().unwrap());
    tool.expect_like("exclusive", "granted");
    assert!(barrier.should_yield());
    tool.expect("release", "released grown=0");
    assert!(!barrier.should_yield());
}

#[test]
fn only_the_outermost_share_gives_way() {
    let place = Place::new();
    let barrier = place.barrier();
    let mut outer = barrier.shared().unwrap();
    let mut inner = barrier.shared().unwrap();
    let mut tool = Participant::at(&place.barrier_path());
    tool.say("exclusive patience=0 drain=20000 hold=none");
    until("the gate is closed", || place.status().closed);
    inner.yield_now().unwrap();
    outer.yield_now().unwrap();
    assert_eq!(barrier.depth(), 2);
    assert_eq!(tool.heard(), None);
    drop(inner);
    tool.say("release");
    outer.yield_now().unwrap();
    assert!(tool.hear().starts_with("granted"));
    assert_eq!(tool.hear(), "released grown=0");
    assert_eq!(barrier.depth(), 1);
    drop(outer);
    assert_eq!(barrier.depth(), 0);
}
