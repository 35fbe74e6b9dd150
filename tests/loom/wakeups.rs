//! Wake-ups: nobody sleeps through the moment that he waits for.
//!
//! In these models a futex wait has no time-out, so a wake-up that is lost leaves everybody asleep,
//! which the checker reports as a deadlock.

use crate::scene::{Scene, check};
use loom::sync::Arc;
use loom::thread;

/// Writers that come back find the gate closed in every phase of a pause and are let in after it.
#[test]
fn two_writers_that_come_back() {
    check(2, || {
        let scene = Scene::new(2);
        let writers = [0, 1].map(|writer| {
            let scene = Arc::clone(&scene);
            thread::spawn(move || {
                for _ in 0..2 {
                    scene.enter(writer, || false);
                    scene.leave(writer);
                }
            })
        });
        scene.pause();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
    });
}

/// Two pauses in a row: what the first one woke must not be missed by the second.
#[test]
fn a_writer_between_two_pauses() {
    check(2, || {
        let scene = Scene::new(1);
        let writer = {
            let scene = Arc::clone(&scene);
            thread::spawn(move || scene.share(0))
        };
        scene.pause();
        scene.pause();
        writer.join().unwrap();
    });
}
