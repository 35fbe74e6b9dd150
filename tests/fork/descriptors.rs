//! An application that closes descriptors which it does not know.

use crate::common::{Participant, Place, at_a_barrier};

/// Waits at the gate for so long that the library asks who holds it, for which it keeps a descriptor.
fn make_it_ask(writer: &mut Participant) {
    writer.expect_like("timed-shared 250", "error TimedOut");
}

fn descriptors(writer: &mut Participant, place: &Place) -> Vec<String> {
    let answer = writer.ask(&format!("descriptors-of {}", place.barrier_path().display()));
    let list = answer.strip_prefix("descriptors").unwrap().trim();
    list.split(',').filter(|number| !number.is_empty()).map(String::from).collect()
}

#[test]
fn shares_and_pauses_need_no_descriptor() {
    let (place, [mut writer, mut tool]) = at_a_barrier();
    writer.expect("shared", "inside 1");
    writer.expect("owned", "owned 1");
    assert_eq!(descriptors(&mut writer, &place), [""; 0], "none is left that could leak");
    writer.expect("close-from 3", "closed");
    tool.finds_inside(writer.pid());
    writer.expect("disown", "owned 0");
    tool.finds_inside(writer.pid());
    writer.expect("leave", "depth 0");
    tool.expect_like("exclusive hold=none", "granted");
    tool.expect("close-from 3", "closed");
    writer.expect_like("timed-shared 300", "error TimedOut");
    tool.expect("is-revoked", "revoked false");
    tool.expect("release", "released grown=0");
    assert_eq!(place.epoch(), 0);
}

#[test]
fn the_spare_descriptor_is_opened_again() {
    let (place, [mut writer, mut tool]) = at_a_barrier();
    tool.expect_like("exclusive hold=none", "granted");
    make_it_ask(&mut writer);
    assert_eq!(descriptors(&mut writer, &place).len(), 1, "one, however often it asks");
    writer.expect("close-from 3", "closed");
    assert_eq!(descriptors(&mut writer, &place).len(), 0);
    make_it_ask(&mut writer);
    assert_eq!(descriptors(&mut writer, &place).len(), 1);
    writer.expect("close-from 3", "closed");
    tool.kill();
    writer.expect("timed-shared 5000", "inside 1");
}

#[test]
fn a_number_that_is_the_applications_now_is_left_alone() {
    let (place, [mut writer, mut tool]) = at_a_barrier();
    let path = place.barrier_path();
    tool.expect_like("exclusive hold=none", "granted");
    make_it_ask(&mut writer);
    let spare = descriptors(&mut writer, &place).remove(0);
    writer.expect("close-from 3", "closed");
    // The application's file gets the number.
    let file = place.path("application");
    let take = format!("take-descriptor {}", file.display());
    writer.expect(&take, &format!("descriptor {spare}"));
    tool.kill();
    // Asked of that file, nobody would hold the exclusive side, or everybody.
    writer.expect("timed-shared 5000", "inside 1");
    writer.expect("leave", "depth 0");
    assert_eq!(descriptors(&mut writer, &place).len(), 1);
    assert_ne!(descriptors(&mut writer, &place)[0], spare);
    // It is still open, and still the application's.
    writer.expect(&format!("give-descriptor {spare}"), "given");
    // A live tool is not taken for dead by way of such a file.
    let mut tool = Participant::at(&path);
    tool.expect_like("exclusive hold=none", "granted");
    writer.expect("close-from 3", "closed");
    writer.expect(&take, &format!("descriptor {spare}"));
    writer.expect_like("timed-shared 300", "error TimedOut");
    tool.expect("release", "released grown=0");
}
