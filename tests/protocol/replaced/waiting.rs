//! Who is waited for, and who waits.

use crate::common::{Participant, Place, at_a_barrier, is_root};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;
use stillpoint::{Barrier, ErrorKind};

use super::{ONCE, copy_over, excludes, is_inside, member, replace};

/// A writer inside, and another barrier in the place of his.
fn inside_a_removed_one() -> Option<(Place, Participant, Barrier)> {
    if !is_root() {
        return None;
    }
    let (place, [mut writer]) = at_a_barrier();
    writer.expect("shared", "inside 1");
    let barrier = replace(&place);
    Some((place, writer, barrier))
}

#[test]
fn whoever_is_inside_is_waited_for_and_nests_where_he_is() {
    let Some((place, mut writer, barrier)) = inside_a_removed_one() else { return };
    let mut tool = Participant::at(&place.barrier_path());
    for depth in 2..4 {
        writer.expect("shared", &format!("inside {depth}"));
        let answer = tool.expect_like(ONCE, "error Stragglers");
        assert!(answer.contains(&format!("[{}]", writer.pid())), "{answer}");
    }
    // Nobody else is kept waiting for that.
    drop(barrier.try_shared().unwrap());
    ["depth 2", "depth 1", "depth 0"].iter().for_each(|depth| writer.expect("leave", depth));
    excludes(&mut tool, &mut writer);
    assert_eq!(place.status().stragglers, Some(Vec::new()));
}

#[test]
fn a_barrier_is_not_retired_beside_stragglers() {
    let Some((place, mut writer, barrier)) = inside_a_removed_one() else { return };
    assert_eq!(barrier.retire().unwrap_err().kind(), ErrorKind::Stragglers);
    assert!(place.barrier_path().exists());
    writer.expect("leave", "depth 0");
    Barrier::open(place.barrier_path()).unwrap().retire().unwrap();
    // The one that was brought over finds none.
    writer.expect_like("shared", "error Missing");
}

/// Who finds no barrier where he is to go waits a moment: somebody is about to make another.
#[test]
fn the_next_one_is_waited_for() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    place.make_barrier();
    let mut writer = member(&place);
    drop(replace(&place));
    let aside = place.path("aside");
    fs::rename(place.barrier_path(), &aside).unwrap();
    writer.say("shared");
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(writer.heard(), None);
    fs::rename(&aside, place.barrier_path()).unwrap();
    assert_eq!(writer.hear(), "inside 1");
    assert!(is_inside(&place, writer.pid()));
}

/// Who came over does not keep users who see nothing of him waiting, once he is inside nowhere but here.
#[test]
fn whoever_came_over_says_so() {
    let place = Place::new();
    place.make_barrier();
    let mut writer = Participant::at(&place.barrier_path());
    writer.expect("thread before", "thread before");
    for (inside, outside) in [("shared", "leave"), ("owned", "disown")] {
        writer.expect_like(&format!("@before {inside}"), "");
        copy_over(&place, inside);
        writer.expect("thread after", "thread after");
        writer.expect("@after shared", "inside 1");
        writer.expect("@after leave", "depth 0");
        let old = fs::metadata(place.path(inside)).unwrap();
        assert!(is_signed(&old), "{inside}: it may be inside there still");
        writer.expect_like(&format!("@before {outside}"), "");
        assert!(!is_signed(&old), "{inside}: it never will be again");
    }
}

/// Whether somebody says that he uses this file.
fn is_signed(file: &fs::Metadata) -> bool {
    let ending = format!(":{}", file.ino());
    let locks = fs::read_to_string("/proc/locks").unwrap();
    let lines = locks.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut ours = lines.filter(|line| line[1] == "OFDLCK" && line[5].ends_with(&ending));
    ours.any(|line| line[7].parse::<i64>().is_ok_and(|last| last >= 0x5000_0000))
}
