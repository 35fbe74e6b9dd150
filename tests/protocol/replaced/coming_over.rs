//! Writers come over, however the file was lost, and all of them when one has noticed.

use crate::common::{Participant, Place, at_once, is_root};
use std::fs;
use stillpoint::{Barrier, ErrorKind};

use super::{is_inside, member, replace};

#[test]
fn writers_of_every_kind_come_over() {
    if !is_root() {
        return;
    }
    for (enter, inside, leave, outside) in [
        ("shared", "inside 1", "leave", "depth 0"),
        ("owned", "owned 1", "disown", "owned 0"),
        ("command-share watched", "inside", "end-command-share", "ended"),
        ("@before shared", "inside 1", "@before leave", "depth 0"),
        ("@after shared", "inside 1", "@after leave", "depth 0"),
        (">before shared", "inside 1", ">before leave", "depth 0"),
        (">after shared", "inside 1", ">after leave", "depth 0"),
    ] {
        let place = Place::new();
        place.make_barrier();
        let mut writer = member(&place);
        writer.expect("thread before", "thread before");
        writer.expect_like("@before shared", "inside");
        writer.expect_like("@before leave", "depth");
        writer.expect_like("fork before", "forked");
        writer.expect_like(">before shared", "inside");
        writer.expect_like(">before leave", "depth");
        let barrier = replace(&place);
        writer.expect("thread after", "thread after");
        writer.expect_like("fork after", "forked");
        for _ in 0..2 {
            writer.expect(enter, inside);
            let error = barrier.exclusive(&mut at_once(50)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotQuiet, "{enter}: {error}");
            writer.expect(leave, outside);
            barrier.exclusive(&mut at_once(1000)).unwrap().release().unwrap();
        }
        assert_eq!(place.epoch(), 0, "{enter}");
    }
}

/// The first of them who has to look where the file is tells the others.
#[test]
fn they_notice_by_themselves() {
    for tell in ["thread", "command", "tool"] {
        let place = Place::new();
        place.make_barrier();
        let mut writer = member(&place);
        writer.expect("thread idle", "thread idle");
        writer.expect("@idle shared", "inside 1");
        writer.expect("@idle leave", "depth 0");
        // By a copy, of which nobody else knows that it is one.
        let aside = place.path("aside");
        fs::copy(place.barrier_path(), &aside).unwrap();
        fs::rename(&aside, place.barrier_path()).unwrap();
        match tell {
            "thread" => {
                writer.expect("thread new", "thread new");
                writer.expect("@new shared", "inside 1");
                writer.expect("@new leave", "depth 0");
            }
            "command" => {
                writer.expect("command-share watched", "inside");
                writer.expect("end-command-share", "ended");
            }
            _ => {
                writer.expect_like("exclusive wait=2000", "granted");
                writer.expect("release", "released grown=0");
            }
        }
        for thread in ["", "@idle "] {
            writer.expect(&format!("{thread}shared"), "inside 1");
            assert!(is_inside(&place, writer.pid()), "{tell}");
            writer.expect(&format!("{thread}leave"), "depth 0");
        }
    }
}

/// A process finds out when it asks.
#[test]
fn whoever_asks_is_told() {
    let place = Place::new();
    place.make_barrier();
    let mut writer = member(&place);
    writer.expect("check", "in place");
    fs::rename(place.barrier_path(), place.path("aside")).unwrap();
    writer.expect_like("check", "error Missing");
    // A child, whose first share cannot join, is told what stands in the way.
    writer.expect_like("fork child", "forked");
    writer.expect_like(">child shared", "error Missing");
    fs::copy(place.path("aside"), place.barrier_path()).unwrap();
    writer.expect("check", "in place");
    writer.expect("shared", "inside 1");
    assert!(place.status().writers.iter().any(|one| one.inside && one.pid == writer.pid()));
    writer.expect(">child shared", "inside 1");
    assert!(place.status().writers.iter().any(|one| one.inside && one.pid != writer.pid()));
}

/// Whoever makes one brings over who is outside there, before any tool comes.
#[test]
fn making_one_brings_them_over() {
    if !is_root() {
        return;
    }
    for create in [false, true] {
        let place = Place::new();
        place.make_barrier();
        let mut writer = member(&place);
        fs::remove_file(place.barrier_path()).unwrap();
        let options = Barrier::options().create(create);
        let path = place.barrier_path();
        let _made = if create { options.open(path) } else { options.found(path) }.unwrap();
        writer.expect("shared", "inside 1");
        assert!(is_inside(&place, writer.pid()), "{create}");
    }
}

/// Renamed, replaced by another, in a folder that was made again: it is the place that counts.
#[test]
fn however_it_was_lost() {
    if !is_root() {
        return;
    }
    for way in ["renamed", "folder", "folder renamed"] {
        let place = Place::new();
        let folder = place.path("folder");
        fs::create_dir(&folder).unwrap();
        let path = folder.join("mail.barrier");
        drop(Barrier::create(&path).unwrap());
        let mut writer = Participant::at(&path);
        writer.expect("shared", "inside 1");
        match way {
            "renamed" => fs::rename(&path, folder.join("other.barrier")).unwrap(),
            "folder" => fs::remove_dir_all(&folder).unwrap(),
            _ => fs::rename(&folder, place.path("aside")).unwrap(),
        }
        let _ = fs::create_dir(&folder);
        let barrier = Barrier::create(&path).unwrap();
        let error = barrier.exclusive(&mut at_once(50)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stragglers, "{way}: {error}");
        writer.expect("leave", "depth 0");
        barrier.exclusive(&mut at_once(1000)).unwrap().release().unwrap();
        writer.expect("shared", "inside 1");
        let error = barrier.exclusive(&mut at_once(50)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotQuiet, "{way}: {error}");
    }
}
