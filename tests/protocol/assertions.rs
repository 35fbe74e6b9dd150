//! Not in the command loop. Debug builds check, release builds must not.

use crate::common::Place;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What it panics with, if it does.
fn panic_of(check: impl FnOnce()) -> Option<String> {
    let payload = catch_unwind(AssertUnwindSafe(check)).err()?;
    Some(payload.downcast_ref::<String>().cloned().unwrap_or_default())
}

/// Where the share was taken.
fn names(text: Option<String>, line: u32) {
    if cfg!(debug_assertions) {
        let place = format!("{}:{line}", file!());
        let text = text.expect("no panic");
        assert!(text.contains(&place), "{text:?} does not name {place}");
    } else {
        assert_eq!(text, None);
    }
}

#[test]
fn a_leaked_share_is_named() {
    let place = Place::new();
    let barrier = place.barrier();
    barrier.assert_not_held();
    for _ in 0..2 {
        let (share, line) = (barrier.shared().unwrap(), line!());
        names(panic_of(|| barrier.assert_not_held()), line);
        names(panic_of(|| barrier.assert_process_idle()), line);
        let nested = barrier.shared().unwrap();
        drop(share);
        names(panic_of(|| barrier.assert_not_held()), line);
        drop(nested);
        barrier.assert_not_held();
        barrier.assert_process_idle();
    }
}

#[test]
fn the_command_loop_checks_before_each_command() {
    let place = Place::new();
    let barrier = place.barrier();
    let mut kept = Vec::new();
    let mut line = 0;
    let text = panic_of(|| {
        for command in barrier.command_loop(["APPEND", "leak", "EXPUNGE"]) {
            let (share, here) = (barrier.shared().unwrap(), line!());
            if command == "leak" {
                line = here;
                kept.push(share);
            }
            assert!(command != "EXPUNGE" || !cfg!(debug_assertions));
        }
    });
    names(text, line);
}

#[test]
fn other_threads_count_for_the_process_only() {
    let place = Place::new();
    let barrier = place.barrier();
    let share = barrier.shared().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            barrier.assert_not_held();
            let found = panic_of(|| barrier.assert_process_idle());
            assert_eq!(found.is_some(), cfg!(debug_assertions));
        });
    });
    drop(share);
    let owned = barrier.shared_owned().unwrap();
    barrier.assert_not_held();
    assert_eq!(panic_of(|| barrier.assert_process_idle()).is_some(), cfg!(debug_assertions));
    drop(owned);
    barrier.assert_process_idle();
}
