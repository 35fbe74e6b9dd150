//! Bytes that change in a barrier under load.
//!
//! Two threads and a process take and leave shares all the time (`writers`). A run is a list of steps:
//! edits of the live file, and between them everything that a user may do. While bytes change, shares
//! may be refused, tools may fail and even a pause may be granted wrongly; but nothing crashes, every
//! call comes back, and no error is of a kind that says something else.
//!
//! When the edits are over, the barrier has to heal by being used (`healing`), and then the run ends
//! with a pause that must be granted, certified and true: no writer was inside.

#![no_main]

mod healing;
mod scene;
mod steps;
mod writers;

use libfuzzer_sys::fuzz_target;
use scene::Scene;
use std::cell::RefCell;

thread_local! {
    static SCENE: RefCell<Option<Scene>> = const { RefCell::new(None) };
}

fuzz_target!(|steps: Vec<steps::Step>| {
    SCENE.with_borrow_mut(|scene| {
        let scene = scene.get_or_insert_with(Scene::new);
        let edits = scene.edited_by(&steps);
        scene.heal(&edits);
        scene.prove();
        scene.restore(&edits);
    });
});
