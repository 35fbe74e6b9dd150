//! A file that takes its place back.

use crate::common::{Participant, Place, at_once, is_root};
use std::fs;
use std::time::Duration;
use stillpoint::Barrier;

use super::{ONCE, copy_over, excludes, member};

/// Found to be alone, moved aside, and put back over another one.
#[test]
fn a_barrier_that_comes_back_knows_who_came_meanwhile() {
    if !is_root() {
        return;
    }
    for folder_too in [false, true] {
        let place = Place::new();
        let (folder, moved) = (place.path("folder"), place.path("moved"));
        fs::create_dir(&folder).unwrap();
        let path = folder.join("mail.barrier");
        let barrier = Barrier::create(&path).unwrap();
        // So long that the folder's last change is not taken for one that may yet come.
        std::thread::sleep(Duration::from_millis(150));
        barrier.exclusive(&mut at_once(1000)).unwrap().release().unwrap();
        let aside = if folder_too { moved.join("mail.barrier") } else { folder.join("aside") };
        if folder_too {
            fs::rename(&folder, &moved).unwrap();
            fs::create_dir(&folder).unwrap();
        } else {
            fs::rename(&path, &aside).unwrap();
        }
        drop(Barrier::create(&path).unwrap());
        let mut writer = Participant::at(&path);
        writer.expect("shared", "inside 1");
        fs::rename(&aside, &path).unwrap();
        let mut tool = Participant::at(&path);
        let answer = tool.expect_like(ONCE, "error Stragglers");
        assert!(answer.contains(&format!("[{}]", writer.pid())), "{folder_too}: {answer}");
        writer.expect("leave", "depth 0");
        excludes(&mut tool, &mut writer);
    }
}

/// A file that was renamed, and takes its place back.
#[test]
fn a_file_that_comes_back_is_not_come_back_to() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    place.make_barrier();
    let mut writer = member(&place);
    copy_over(&place, "first");
    writer.expect("thread new", "thread new");
    writer.expect("@new shared", "inside 1");
    writer.expect("@new leave", "depth 0");
    fs::rename(place.path("first"), place.barrier_path()).unwrap();
    let mut tool = Participant::at(&place.barrier_path());
    tool.expect_like("exclusive wait=2000", "granted");
    writer.expect_like("command-share watched", "error Replaced");
    writer.expect_like("exclusive wait=100", "error Replaced");
    writer.expect_like("shared", "error Replaced");
    tool.expect("release", "released grown=0");
}
