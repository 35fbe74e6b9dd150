//! Every way to keep and to lose a lock: the exclusive side sees what the kernel sees.

use crate::harness::{Played, Scene};

fn play(name: &str) {
    let scene = Scene::new();
    let program = scene.compile("scenarios", &[]);
    let mut played = Played::begin(scene.adopted(program).arg(scene.file("file")).arg(name));
    let mut steps = Vec::new();
    loop {
        let step = played.line();
        steps.push(step.clone());
        match step.as_str() {
            "held" => assert!(!scene.is_quiet(), "granted while a lock is held: {steps:?}"),
            "free" => assert!(scene.is_quiet(), "not granted, and nothing is held: {steps:?}"),
            "over" => break,
            _ => panic!("it ended: {steps:?}"),
        }
        played.go_on();
    }
    played.go_on();
    played.succeeds();
    assert!(scene.is_quiet());
    assert_eq!(scene.status().dirty.epoch, 0);
}

macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            play(stringify!($name));
        })*
    };
}

scenarios!(
    part_of_a_range_is_unlocked,
    overlapping_locks_are_undone_by_one_unlock,
    a_write_lock_becomes_a_read_lock,
    an_exclusive_flock_becomes_a_shared_one,
    a_flock_taken_twice_is_given_back_once,
    half_of_a_descriptions_range_is_unlocked,
    another_descriptor_of_the_file_is_closed,
    another_file_is_put_over_the_descriptor,
    a_stream_is_closed,
    a_range_of_descriptors_is_closed,
    every_descriptor_is_closed,
    the_owner_of_a_classic_lock_exits_before_its_child,
    a_child_has_the_flock_longer_than_its_parent,
    the_last_duplicate_is_closed,
    a_parent_exits_and_leaves_its_flock,
    a_child_unlocks_what_it_shares,
    a_child_locks_for_its_parent,
    a_locked_descriptor_is_sent_away,
    a_flock_is_kept_over_exec,
    a_flock_ends_at_exec,
    a_classic_lock_is_kept_over_exec,
    a_spawned_child_has_the_flock,
    a_child_of_vfork_locks,
    a_lock_that_no_function_of_libc_took,
    a_holder_is_killed,
    what_is_no_descriptor,
    somebody_else_holds_it,
    the_thread_that_locked_ends,
    lockf_of_a_section,
    locks_to_read,
    a_handler_jumps_out_of_the_wait,
    a_thread_is_cancelled_in_the_wait,
);
