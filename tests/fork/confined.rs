//! Processes that open a barrier and then give up their way to it. Needs root.

use crate::common::{Participant, Place, is_root};
use std::path::{Path, PathBuf};

const NOBODY: &str = "setuid 65534";
const ONCE: &str = "exclusive patience=0 drain=30";

fn chroot_to(place: &Place, name: &str) -> String {
    let folder = place.path(name);
    std::fs::create_dir_all(&folder).unwrap();
    format!("chroot {}", folder.display())
}

/// A folder to be confined to, in which another barrier stands at the same path.
fn jail(place: &Place, path: &Path) -> (String, PathBuf) {
    let confine = chroot_to(place, "jail");
    let inside = place.path("jail").join(path.strip_prefix("/").unwrap());
    std::fs::create_dir_all(inside.parent().unwrap()).unwrap();
    drop(stillpoint::Barrier::create(&inside).unwrap());
    (confine, inside)
}

#[test]
fn a_confined_process_goes_on() {
    if !is_root() {
        return;
    }
    for setuid in [false, true] {
        let place = Place::new();
        let path = place.make_barrier();
        let confine = if setuid { NOBODY.into() } else { chroot_to(&place, "empty") };
        let (mut writer, mut tool) = (Participant::at(&path), Participant::at(&path));
        writer.expect("thread before", "thread before");
        writer.expect("@before shared", "inside 1");
        writer.expect("@before leave", "depth 0");
        writer.expect(&confine, "confined");
        writer.expect("thread after", "thread after");
        // One has a slot, the other two count in their process's.
        for thread in ["", "@before ", "@after "] {
            writer.expect(&format!("{thread}shared"), "inside 1");
            writer.expect(&format!("{thread}shared"), "inside 2");
            let answer = tool.expect_like(ONCE, "error NotQuiet");
            assert!(answer.contains(&format!("[{}]", writer.pid())), "{answer}");
            writer.expect(&format!("{thread}leave"), "depth 1");
            writer.expect(&format!("{thread}leave"), "depth 0");
        }
        tool.expect_like("exclusive hold=none", "granted");
        for thread in ["", "@before ", "@after "] {
            writer.expect_like(&format!("{thread}timed-shared 250"), "error TimedOut");
        }
        tool.expect("release", "released grown=0");
        assert_eq!(place.epoch(), 0);
        // Its death is seen all the same.
        writer.expect("shared", "inside 1");
        writer.kill();
        tool.expect_like("exclusive", "granted");
        assert_eq!(place.epoch(), 1);
    }
}

#[test]
fn a_confined_child_needs_to_have_joined() {
    if !is_root() {
        return;
    }
    for setuid in [false, true] {
        let place = Place::new();
        let path = place.make_barrier();
        let confine = if setuid { NOBODY.into() } else { chroot_to(&place, "empty") };
        let (mut parent, mut tool) = (Participant::at(&path), Participant::at(&path));
        parent.expect("shared", "inside 1");
        parent.expect_like("fork late", "forked");
        parent.expect(&format!(">late {confine}"), "confined");
        parent.expect_like(">late shared", "error Unreachable");
        parent.expect_like(">late join", "error Unreachable");
        parent.expect(">late depth", "depth 0");
        parent.expect_like("fork early", "forked");
        parent.expect(">early join", "joined");
        parent.expect(&format!(">early {confine}"), "confined");
        parent.expect(">early shared", "inside 1");
        parent.expect("leave", "depth 0");
        tool.expect_like(ONCE, "error NotQuiet");
        parent.expect(">early leave", "depth 0");
        tool.expect_like("exclusive", "granted");
        tool.expect("release", "released grown=0");
    }
}

/// What a confined process finds at the path, or does not find there, says nothing about its barrier.
#[test]
fn a_confined_process_does_not_follow_its_path() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let path = place.make_barrier();
    let (confine, inside) = jail(&place, &path);
    let (mut writer, mut tool) = (Participant::at(&path), Participant::at(&path));
    writer.expect("check", "in place");
    writer.expect_like("fork early", "forked");
    writer.expect(">early join", "joined");
    writer.expect_like("fork late", "forked");
    for process in ["", ">early ", ">late "] {
        writer.expect(&format!("{process}{confine}"), "confined");
    }
    writer.expect("thread new", "thread new");
    for who in ["", "@new ", ">early "] {
        writer.expect(&format!("{who}shared"), "inside 1");
        tool.expect_like(ONCE, "error NotQuiet");
        writer.expect(&format!("{who}leave"), "depth 0");
    }
    for ask in ["check", "exclusive", ">late shared", ">late join", ">late check"] {
        writer.expect_like(ask, "error Unreachable");
    }
    // Nor that it finds nothing there.
    let mut nowhere = Participant::at(&path);
    nowhere.expect(&chroot_to(&place, "empty"), "confined");
    for ask in ["check", "exclusive"] {
        nowhere.expect_like(ask, "error Unreachable");
    }
    tool.expect_like("exclusive", "granted");
    writer.expect_like("timed-shared 50", "error TimedOut");
    tool.expect("release", "released grown=0");
    assert!(stillpoint::Status::read(&inside).unwrap().writers.is_empty());
}

/// Nor when it was replaced, and what stands at that path for the process is another still.
#[test]
fn a_confined_process_whose_barrier_was_replaced_is_told() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let path = place.make_barrier();
    let (confine, inside) = jail(&place, &path);
    let mut writer = Participant::at(&path);
    writer.expect("shared", "inside 1");
    writer.expect("leave", "depth 0");
    writer.expect(&confine, "confined");
    std::fs::remove_file(&path).unwrap();
    drop(stillpoint::Barrier::create(&path).unwrap());
    for share in ["shared", "owned"] {
        writer.expect_like(share, "error Replaced");
    }
    assert!(stillpoint::Status::read(&inside).unwrap().writers.is_empty());
}

/// Without /proc a process cannot tell this boot from another. It must not act on that.
#[test]
fn a_process_without_proc_takes_part() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let path = place.make_barrier();
    for somebody_has_it_open in [true, false] {
        let other = somebody_has_it_open.then(|| Participant::at(&path));
        let mut confined = Participant::start();
        confined.expect(&format!("chroot {}", place.folder().display()), "confined");
        confined.expect_like("open /mail.barrier", "open");
        confined.expect("shared", "inside 1");
        confined.expect("leave", "depth 0");
        drop((other, confined));
    }
    assert_eq!(place.epoch(), 0, "taken for a restart");
}
