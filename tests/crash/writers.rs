//! Writers that are lost inside a share, and writers that only look as if they were.

use crate::common::{Participant, Place, SLACK, field, ms, until};
use nix::sys::signal::Signal;
use std::time::Instant;
use stillpoint::Status;

/// A lost writer is found out at a tick of 10 ms at most; 20 ms are promised.
const FOUND: std::time::Duration = ms(20);

/// Checks that the epoch grew by one, for this process.
fn lost_once(status: &Status, pid: u32) {
    assert_eq!(status.dirty.epoch, 1);
    assert_eq!(status.lost.len(), 1);
    let lost = &status.lost[0];
    assert_eq!((lost.pid, lost.comm.as_str()), (pid, "participant"));
    assert_eq!(lost.label, "lmtpd");
    assert!(lost.when.unwrap().elapsed().unwrap().as_secs() < 60);
}

fn labelled(place: &Place) -> Participant {
    let mut writer = Participant::start();
    let open = format!("open {} lmtpd", place.barrier_path().display());
    writer.expect_like(&open, "open");
    writer
}

#[test]
fn one_killed_inside_is_reclaimed_and_leaves_a_mark() {
    let place = Place::new();
    let path = place.make_barrier();
    let (mut writer, mut tool) = (labelled(&place), Participant::at(&path));
    writer.expect("shared", "inside 1");
    writer.expect("shared", "inside 2");
    writer.kill();
    let before = place.status();
    assert_eq!(before.dirty.epoch, 0, "nobody has looked yet");
    assert!(before.writers.iter().any(|found| found.pid == writer.pid() && !found.alive));
    let asked = Instant::now();
    tool.expect_like("exclusive patience=0 drain=5000", "granted");
    assert!(asked.elapsed() <= FOUND + SLACK, "{:?}", asked.elapsed());
    lost_once(&place.status(), writer.pid());
    // The loss was before the pause, so it does not grow in it; and it is counted once.
    tool.expect("release", "released grown=0");
    tool.finds_quiet();
    assert_eq!(place.epoch(), 1);
    assert!(place.status().writers.iter().all(|found| found.pid != writer.pid()));
}

#[test]
fn one_killed_while_it_is_waited_for_costs_a_tick() {
    let place = Place::new();
    let path = place.make_barrier();
    let (mut writer, mut tool) = (labelled(&place), Participant::at(&path));
    writer.expect("shared", "inside 1");
    tool.say("exclusive patience=0 drain=20000");
    until("the gate is closed", || place.status().closed);
    let killed = Instant::now();
    // Not reaped: a zombie has left as well.
    writer.signal(Signal::SIGKILL);
    let granted = tool.hear();
    assert!(killed.elapsed() <= FOUND + SLACK, "{:?}", killed.elapsed());
    assert_eq!(field(&granted, "closings"), "1");
    lost_once(&place.status(), writer.pid());
}

/// Its share turned out to be long, so it is waited for with the gate open, for 20 s at most.
#[test]
fn one_killed_while_it_is_waited_for_in_patience_ends_that() {
    let place = Place::new();
    let path = place.make_barrier();
    let (mut writer, mut tool) = (labelled(&place), Participant::at(&path));
    writer.expect("shared", "inside 1");
    tool.say("exclusive patience=20000 drain=20000");
    until("it waits with the gate open", || place.status().generation == 2);
    let killed = Instant::now();
    writer.signal(Signal::SIGKILL);
    let granted = tool.hear();
    assert!(killed.elapsed() < ms(10_000), "{:?}", killed.elapsed());
    assert_eq!(field(&granted, "closings"), "2");
    lost_once(&place.status(), writer.pid());
}

#[test]
fn one_killed_with_several_shares_in_its_counted_slot_is_one_loss() {
    let place = Place::new();
    let path = place.make_barrier();
    let (mut writer, mut tool) = (labelled(&place), Participant::at(&path));
    for count in 1..=3 {
        writer.expect("owned", &format!("owned {count}"));
    }
    writer.kill();
    tool.expect_like("exclusive patience=0", "granted");
    lost_once(&place.status(), writer.pid());
    // The slot is as good as new.
    let mut next = Participant::at(&path);
    let shares: u32 = place.status().writers.iter().map(|writer| writer.shares).sum();
    assert_eq!(shares, 0, "a new owner counts from nothing");
    tool.expect("release", "released grown=0");
    next.expect("owned", "owned 1");
    tool.finds_inside(next.pid());
    next.expect("disown", "owned 0");
}

#[test]
fn each_loss_counts() {
    let place = Place::new();
    let path = place.make_barrier();
    let mut writers: Vec<_> = (0..40).map(|_| Participant::at(&path)).collect();
    let mut tool = Participant::at(&path);
    for writer in &mut writers {
        writer.expect("shared", "inside 1");
    }
    writers.iter_mut().for_each(Participant::kill);
    tool.expect_like("exclusive patience=0 drain=10000", "granted");
    let status = place.status();
    assert_eq!(status.dirty.epoch, 40);
    assert_eq!(status.lost.len(), 32, "the ring remembers the last");
    let named = |lost: &stillpoint::Lost| writers.iter().any(|writer| writer.pid() == lost.pid);
    assert!(status.lost.iter().all(named));
}

/// Whoever joins in a dead writer's slot settles what that one left.
#[test]
fn a_slot_that_is_claimed_again_forgets_no_loss() {
    let place = Place::new();
    let path = place.make_barrier();
    let mut first = labelled(&place);
    first.expect("shared", "inside 1");
    let slot = |pid| {
        let status = place.status();
        let found = status.writers.into_iter().find(|writer| writer.pid == pid && writer.inside);
        found.map(|writer| writer.slot)
    };
    let taken = slot(first.pid()).unwrap();
    first.kill();
    // All others are taken: the second can only have that one, which it counts in.
    let mut crowd = Participant::start();
    let path_text = path.display();
    for (from, count) in [(0, taken), (taken + 1, 4095 - taken)] {
        if count > 0 {
            crowd.expect(&format!("lock-life-bytes {path_text} {from} {count}"), "locked");
        }
    }
    let mut second = Participant::at(&path);
    second.expect("shared", "inside 1");
    assert_eq!(slot(second.pid()), Some(taken));
    lost_once(&place.status(), first.pid());
    second.expect("leave", "depth 0");
    crowd.kill();
    let mut tool = Participant::at(&path);
    tool.expect_like("exclusive patience=0", "granted");
    assert_eq!(place.epoch(), 1);
}

#[test]
fn one_that_dumps_core_inside_leaves_a_mark() {
    let place = Place::new();
    let path = place.make_barrier();
    let mut writer = Participant::start_as(|command| with_core_dump(command, &place));
    writer.expect_like(&format!("open {} lmtpd", path.display()), "open");
    writer.expect("shared", "inside 1");
    let mut tool = Participant::at(&path);
    tool.say("exclusive patience=0 drain=20000");
    until("the gate is closed", || place.status().closed);
    writer.signal(Signal::SIGQUIT);
    let granted = tool.hear();
    assert!(granted.starts_with("granted"), "{granted}");
    lost_once(&place.status(), writer.pid());
    use std::os::unix::process::ExitStatusExt;
    assert!(writer.wait().core_dumped());
}

/// Lets a process dump core, into the folder of the place.
pub fn with_core_dump(command: &mut std::process::Command, place: &Place) {
    use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
    use std::os::unix::process::CommandExt;
    let unlimited = || Ok(setrlimit(Resource::RLIMIT_CORE, RLIM_INFINITY, RLIM_INFINITY)?);
    command.current_dir(place.folder());
    // SAFETY: one system call, between fork and exec.
    unsafe { command.pre_exec(unlimited) };
}

#[test]
fn one_that_is_stopped_inside_is_named_and_never_taken_for_dead() {
    let place = Place::new();
    let path = place.make_barrier();
    let (mut writer, mut tool) = (labelled(&place), Participant::at(&path));
    let mut other = Participant::at(&path);
    writer.expect("shared", "inside 1");
    writer.stop();
    let answer = tool.expect_like("exclusive patience=0 drain=200", "error NotQuiet");
    let name = format!("participant[{}] (lmtpd) inside from ", writer.pid());
    let (_, from) = answer.split_once(&name).unwrap_or_else(|| panic!("{answer}"));
    assert!(from.contains(" for at least "), "{answer}");
    let status = place.status();
    assert!(!status.closed && status.dirty.epoch == 0);
    let held = status.writers.iter().find(|found| found.inside).unwrap();
    assert!(held.alive && held.inside_at_least >= ms(150), "{held:?}");
    other.expect("try-shared", "inside 1");
    other.expect("leave", "depth 0");
    // Patience does not make it die either.
    tool.expect_like("exclusive patience=100 drain=100", "error NotQuiet");
    writer.go_on();
    writer.expect("leave", "depth 0");
    tool.finds_quiet();
    assert_eq!(place.epoch(), 0);
}

#[test]
fn a_command_that_may_end_inside_leaves_no_mark() {
    let place = Place::new();
    let path = place.make_barrier();
    for (watched, epoch) in [("unwatched", 0), ("watched", 1)] {
        let mut writer = Participant::at(&path);
        writer.expect(&format!("command-share {watched}"), "inside");
        writer.kill();
        let mut tool = Participant::at(&path);
        tool.expect_like("exclusive patience=0", "granted");
        assert_eq!(place.epoch(), epoch, "{watched}");
    }
}
