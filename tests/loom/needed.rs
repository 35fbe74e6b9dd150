//! What each fence and step is for, shown by what goes wrong without it.
//!
//! Each test runs one model of this file's neighbours again, in a process of its own, with one thing
//! left out, and insists on the failure that is predicted.

use crate::scene::{BROKEN, WITHOUT};
use std::process::Command;

/// What the checker says of a store that both sides touch.
const RACE: &str = "Causality violation";
/// What it says when everybody sleeps.
const DEADLOCK: &str = "deadlock";

fn fails(model: &str, variable: &str, left_out: &str, how: &str) {
    let run = Command::new(std::env::current_exe().expect("the path of this test"))
        .args(["--exact", model, "--nocapture", "--test-threads=1"])
        .env_remove(WITHOUT)
        .env_remove(BROKEN)
        .env(variable, left_out)
        .output()
        .expect("this test runs again");
    let said = [run.stdout, run.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    let said = said.concat();
    assert!(said.contains("running 1 test"), "there is no model {model}: {said}");
    assert!(!run.status.success(), "{model} holds without {left_out}");
    assert!(said.contains(how), "{model} without {left_out} fails otherwise: {said}");
}

#[test]
fn the_fence_in_enter() {
    fails("exclusion::one_writer_and_a_pause", WITHOUT, "Enter", RACE);
    fails("exclusion::two_counted_shares_and_a_pause", WITHOUT, "Enter", RACE);
    fails("superseded::a_writer_and_a_gate_closed_for_good", WITHOUT, "Enter", RACE);
}

/// Who leaves while the gate closes wakes nobody.
#[test]
fn the_ticks_of_the_exclusive_side() {
    fails("exclusion::one_writer_and_a_pause", BROKEN, "ticks", DEADLOCK);
    fails("wakeups::two_writers_that_come_back", BROKEN, "ticks", DEADLOCK);
}

#[test]
fn the_fence_between_two_looks() {
    fails("covered::a_command_under_a_share", WITHOUT, "Look", RACE);
}

#[test]
fn the_second_look() {
    fails("covered::a_command_under_a_share", BROKEN, "two looks", RACE);
}

#[test]
fn identical_words() {
    fails("covered::a_command_under_a_command", BROKEN, "identical words", RACE);
}

#[test]
fn the_fences_around_shutting() {
    fails("holders::one_whose_lock_is_given_back_meanwhile", WITHOUT, "Admit", RACE);
    fails("holders::one_whose_lock_is_given_back_meanwhile", WITHOUT, "Shut", RACE);
}

#[test]
fn counting_who_is_admitted() {
    fails("holders::one_that_goes_from_lock_to_lock", BROKEN, "counting", RACE);
}

#[test]
fn publishing_before_the_cover_is_believed() {
    fails("covered::a_command_under_a_share", BROKEN, "publishing first", RACE);
}

#[test]
fn the_certificate() {
    let how = "inside a certified pause";
    fails("revocation::a_waiter_that_revokes", BROKEN, "certificate", how);
}

#[test]
fn healing_the_very_generation_that_was_seen() {
    let how = "a healer opened a gate that it had not seen closed";
    fails("revocation::a_healer_and_the_next_tool", BROKEN, "healing by generation", how);
}
