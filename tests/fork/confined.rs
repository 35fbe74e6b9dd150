//! Processes that open a barrier and then give up their way to it. Needs root.

use crate::common::{Participant, Place, at_a_barrier, is_root};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};

const NOBODY: &str = "setuid 65534";

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

/// Both ways to give it up, each for one of two participants.
fn each(play: impl Fn(&Place, &str, [Participant; 2])) {
    if !is_root() {
        return;
    }
    for setuid in [false, true] {
        let (place, both) = at_a_barrier();
        let confine = if setuid { NOBODY.into() } else { chroot_to(&place, "empty") };
        play(&place, &confine, both);
    }
}

#[test]
fn a_confined_process_goes_on() {
    each(|place, confine, [mut writer, mut tool]| {
        writer.expect("thread before", "thread before");
        writer.expect("@before shared", "inside 1");
        writer.expect("@before leave", "depth 0");
        writer.expect(confine, "confined");
        writer.expect("thread after", "thread after");
        // One has a slot, the other two count in their process's.
        for thread in ["", "@before ", "@after "] {
            writer.expect(&format!("{thread}shared"), "inside 1");
            writer.expect(&format!("{thread}shared"), "inside 2");
            tool.finds_inside(writer.pid());
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
    });
}

#[test]
fn a_confined_child_needs_to_have_joined() {
    each(|_, confine, [mut parent, mut tool]| {
        parent.expect("shared", "inside 1");
        parent.expect_like("fork late", "forked");
        parent.expect(&format!(">late {confine}"), "confined");
        parent.expect_like(">late shared", "error Unreachable");
        parent.expect_like(">late join", "error Unreachable");
        parent.expect(">late depth", "depth 0");
        let early = parent.child_by("fork early");
        parent.expect(">early join", "joined");
        parent.expect(&format!(">early {confine}"), "confined");
        parent.expect(">early shared", "inside 1");
        parent.expect("leave", "depth 0");
        tool.finds_inside(early);
        parent.expect(">early leave", "depth 0");
        tool.finds_quiet();
    });
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
    let early = writer.child_by("fork early");
    writer.expect(">early join", "joined");
    writer.expect_like("fork late", "forked");
    for process in ["", ">early ", ">late "] {
        writer.expect(&format!("{process}{confine}"), "confined");
    }
    writer.expect("thread new", "thread new");
    let pid = Pid::from_raw(writer.pid() as i32);
    for (who, pid) in [("", pid), ("@new ", pid), (">early ", early)] {
        writer.expect(&format!("{who}shared"), "inside 1");
        tool.finds_inside(pid);
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
