//! What the command of `run` inherits, and what nobody else keeps.

use crate::common::{Participant, Place, at_a_barrier};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn end(child: Pid) {
    kill(child, Signal::SIGKILL).unwrap();
}

#[test]
fn a_killed_wrapper_does_not_end_the_share_under_its_command() {
    let (place, [mut wrapper, mut tool]) = at_a_barrier();
    wrapper.expect("command-share watched", "inside");
    // It has a copy of the descriptor, as the command has.
    let command = wrapper.child_by("fork-sleeper");
    wrapper.kill();
    let answer = tool.ask("exclusive patience=0 drain=30");
    let epoch = place.epoch();
    end(command);
    assert!(answer.starts_with("error NotQuiet"), "{answer}");
    assert_eq!(epoch, 0, "taken for dead");
    tool.expect_like("exclusive patience=0 drain=2000", "granted");
    assert_eq!(place.epoch(), 1);
}

#[test]
fn a_killed_wrapper_does_not_end_the_pause_under_its_command() {
    let (_place, [mut wrapper, mut writer]) = at_a_barrier();
    wrapper.expect_like("exclusive hold=none keep=yes", "granted");
    let command = wrapper.child_by("fork-sleeper");
    wrapper.kill();
    let answer = writer.ask("timed-shared 350");
    end(command);
    assert!(answer.starts_with("error TimedOut"), "{answer}");
    writer.expect("timed-shared 5000", "inside 1");
}

#[test]
fn a_grandchild_that_stays_behind_keeps_nothing() {
    let (place, [mut wrapper, mut tool]) = at_a_barrier();
    let path = place.barrier_path();
    wrapper.expect("command-share watched", "inside");
    let status = place.status();
    let slot = status.writers.iter().find(|writer| writer.inside).unwrap().slot;
    let first = wrapper.child_by("fork-sleeper");
    wrapper.expect("end-command-share", "ended");
    let lock = format!("lock-life-bytes {} {slot} 1", path.display());
    let locked = tool.ask(&lock);
    wrapper.expect_like("exclusive hold=none keep=yes", "granted");
    let second = wrapper.child_by("fork-sleeper");
    wrapper.expect("release", "released grown=0");
    let granted = tool.ask("exclusive patience=0 wait=0");
    end(first);
    end(second);
    assert_eq!(locked, "locked", "the slot is kept");
    assert!(granted.starts_with("granted"), "{granted}");
}

#[test]
fn a_process_that_becomes_the_command_keeps_its_share() {
    let place = Place::new();
    let path = place.make_barrier();
    for (watched, epoch) in [("unwatched", 0), ("watched", 1)] {
        let (mut command, mut tool) = (Participant::at(&path), Participant::at(&path));
        command.expect(&format!("command-share {watched}"), "inside");
        command.expect("into-process", "left to the process");
        command.expect_like("exec", "ready");
        tool.finds_inside(command.pid());
        // It ends when the command does, without a mark if that was said.
        command.kill();
        tool.finds_quiet();
        assert_eq!(place.epoch(), epoch, "{watched}");
    }
}

#[test]
fn a_process_that_becomes_the_command_keeps_its_pause() {
    let (_place, [mut command, mut writer]) = at_a_barrier();
    command.expect_like("exclusive hold=none keep=yes", "granted");
    command.expect("into-process", "left to the process");
    command.expect_like("exec", "ready");
    writer.expect_like("timed-shared 350", "error TimedOut");
    command.kill();
    writer.expect("timed-shared 5000", "inside 1");
}
