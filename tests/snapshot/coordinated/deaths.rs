//! Whoever dies, or stops, at whichever step: no gate stays closed, and nothing is left that could be taken for a snapshot.

use nix::sys::signal::Signal;

use super::{Part, STEPS, name};
use crate::common::{Running, is_alive, ms, names, stands_by, start, until};
use crate::scene::Scene;

/// Whoever comes by next finds nothing, or has removed it.
fn assert_nothing_is_left(scene: &Scene, epoch: u64) {
    scene.assert_writers_go_on();
    assert_eq!(scene.latest(&["--any"]), None);
    let done = scene.verb(["prune", "--keep", "1000"]);
    done.assert_code(0);
    assert_eq!(scene.snapshots(), [""; 0]);
    assert_eq!(scene.part(epoch)["status"], "failed");
    // What failed is no part of a complete one, whatever somebody says.
    scene.settle_as(epoch, "complete").assert_code(65);
    scene.settle(epoch, &["aborted"]).assert_code(0);
    assert_eq!(scene.latest(&["--any"]), None);
}

#[test]
fn the_end_of_the_line_is_as_term() {
    let scene = Scene::new();
    for step in 1..4 {
        let epoch = step as u64;
        let mut part = Part::at(&scene, &[], epoch, step);
        assert_eq!(scene.is_closed(), step > 1);
        part.hang_up();
        let done = part.ended();
        assert_eq!(done.signal(), Some(Signal::SIGTERM as i32), "{}: {done:?}", STEPS[step - 1].1);
        assert_eq!(scene.snapshots(), [""; 0], "{done:?}");
        assert_eq!(scene.part(epoch)["reason"], "whoever told each step is gone");
        assert_nothing_is_left(&scene, epoch);
    }
    // Before there was an order there is nothing to end.
    let mut part = Part::of(&scene, &[]);
    part.hang_up();
    assert_eq!(part.ended().signal(), Some(Signal::SIGTERM as i32));
    assert_eq!(scene.manifests().len(), 3);
}

/// Words that were said ahead count for nothing then, not even `release`.
#[test]
fn the_end_of_the_line_counts_more_than_what_was_said_before() {
    let scene = Scene::new();
    let mut part = Part::of(&scene, &[]).until(7, 1);
    part.signal(Signal::SIGSTOP);
    until("it is stopped", || part.is_stopped());
    part.tell_bytes(b"freeze\nrelease\n");
    part.hang_up();
    part.signal(Signal::SIGCONT);
    part.ended();
    assert_eq!(scene.generation(), 0, "no gate was closed for nothing");
    assert_nothing_is_left(&scene, 7);
}

#[test]
fn the_end_of_the_line_ends_a_wait_for_writers() {
    let scene = Scene::new();
    let writer = scene.holder();
    for words in [&["--patience", "60"][..], &["--patience", "0", "--drain", "60"]] {
        let mut part = Part::of(&scene, words).until(7, 1);
        part.tell("freeze");
        until("it waits", || scene.status("mail")["holder"].is_object());
        part.hang_up();
        let done = part.ended();
        assert_eq!(done.signal(), Some(Signal::SIGTERM as i32), "{done:?}");
        assert!(!scene.is_closed());
        std::fs::remove_file(scene.path("catalog/post-7.json")).unwrap();
    }
    drop(writer);
}

#[test]
fn the_end_of_the_line_ends_what_makes_the_snapshot() {
    let scene = Scene::new();
    let pid = scene.path("pid");
    let mut command = scene.stillpoint();
    command.args(["snapshot", "mail", "--min-open", "0", "--coordinated", "--", "sh", "-c"]);
    command.arg(format!("echo $$ >{}; exec sleep 60", pid.display()));
    let mut part = Part::start(&mut command).until(7, 2);
    let read = || std::fs::read_to_string(&pid).unwrap_or_default();
    until("it runs", || read().ends_with('\n'));
    part.hang_up();
    let done = part.ended();
    assert_eq!(done.signal(), Some(Signal::SIGTERM as i32), "{done:?}");
    let command = nix::unistd::Pid::from_raw(read().trim().parse().unwrap());
    until("it is gone", || !is_alive(command));
    scene.assert_writers_go_on();
}

/// Neither a gate nor a lock of another program, nor data that nobody knows of.
#[test]
fn a_part_that_is_killed_leaves_an_open_gate() {
    let scene = Scene::new();
    for step in 1..4 {
        let epoch = step as u64;
        let mut part = Part::at(&scene, &[], epoch, step);
        part.signal(Signal::SIGKILL);
        part.end();
        assert_nothing_is_left(&scene, epoch);
    }
}

/// A process that cannot run cannot hear that nobody tells it anything any more: then those who wait open the gate.
fn stops(scene: &Scene, step: usize, dies: bool) {
    let epoch = step as u64;
    let mut part = Part::at(scene, &["--hold", "1", "--drain", "0.5"], epoch, step);
    part.signal(Signal::SIGSTOP);
    until("it is stopped", || part.is_stopped());
    if dies {
        part.hang_up();
    }
    let mut writer: Running = start(scene.stillpoint().args(["run", "-s", "mail", "true"]));
    assert_eq!(writer.end(), 0);
    assert!(!scene.is_closed() && part.is_stopped());
    part.signal(Signal::SIGCONT);
    let done = part.ended();
    match dies {
        true => assert_eq!(done.signal(), Some(Signal::SIGTERM as i32), "{done:?}"),
        false => done.assert_code(124),
    }
    let status = scene.part(epoch)["status"].clone();
    assert!(status == "revoked" || status == "failed", "{status}");
    assert_eq!(scene.snapshots(), [""; 0]);
    scene.settle_as(epoch, "complete").assert_code(65);
}

#[test]
fn a_part_that_is_stopped_does_not_keep_writers_out() {
    let scene = Scene::new();
    stops(&scene, 2, false);
    stops(&scene, 3, false);
}

#[test]
fn nor_do_both_when_both_are_stopped() {
    let scene = Scene::new();
    stops(&scene, 2, true);
    stops(&scene, 3, true);
}

#[test]
fn who_is_killed_while_he_waits_for_the_verdict_leaves_it_waiting() {
    let scene = Scene::new();
    let mut part = Part::of(&scene, &[]).until(7, 4);
    part.signal(Signal::SIGKILL);
    part.end();
    scene.verb(["prune", "--keep", "1"]).assert_code(0);
    assert_eq!(scene.part(7)["status"], "certified");
    assert_eq!(scene.snapshots(), [scene.partial_name(&name(7))]);
    scene.settle_as(7, "complete").assert_code(0);
    assert_eq!(scene.latest(&[]), Some(name(7)));
    assert_eq!(names(&scene.path("snapshots/post-7")), ["a"]);
}

/// Whoever holds a lock of another program for a tool that is stopped gives it back.
#[test]
fn a_lock_of_another_program_is_given_back_at_the_limit() {
    let scene = Scene::new();
    let lock = scene.path("lock");
    std::fs::write(&lock, "").unwrap();
    let also = format!("flock:{}", lock.display());
    let mut part =
        Part::of(&scene, &["--also", &also, "--hold", "1", "--drain", "0.5"]).until(7, 3);
    assert!(stands_by(part.pid).is_some());
    part.signal(Signal::SIGSTOP);
    let mut other = start(std::process::Command::new("flock").arg(&lock).arg("true"));
    assert_eq!(other.end(), 0);
    part.hang_up();
    part.signal(Signal::SIGCONT);
    part.ended();
    assert_nothing_or_revoked(&scene);
}

fn assert_nothing_or_revoked(scene: &Scene) {
    std::thread::sleep(ms(1));
    assert_eq!(scene.snapshots(), [""; 0]);
    assert_eq!(scene.latest(&["--any"]), None);
}
