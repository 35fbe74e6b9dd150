//! Wake-ups: nobody sleeps through the moment that he waits for.
//!
//! In these models a wait for the gate has no time-out, so a wake-up that is lost leaves everybody asleep, which
//! the checker reports as a deadlock. So it is with the exclusive side wherever somebody is bound to wake it:
//! who leaves knowing that the gate is closed, and who is refused. Who leaves while it closes may not know; then
//! the tick counts.

use crate::gate::protocol::ALL;
use crate::scene::{Scene, check};
use loom::sync::Arc;
use loom::thread;

/// Writers that come back find the gate closed in every phase of a pause and are let in after it. One that leaves
/// while it closes wakes nobody.
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

/// Shares that stand when the gate is closed, one of a thread and two that are counted together.
#[test]
fn shares_that_end_at_a_closed_gate() {
    check(3, || {
        let scene = Scene::new(2);
        let counted = &scene.words[1];
        scene.enter(0, || false);
        assert_eq!(
            [scene.gate.publish_counted(counted), scene.gate.publish_counted(counted)],
            [0, 0]
        );
        let (generation, closed) = scene.close();
        let own = {
            let scene = Arc::clone(&scene);
            thread::spawn(move || {
                scene.touch();
                scene.leave(0);
            })
        };
        let others = {
            let scene = Arc::clone(&scene);
            thread::spawn(move || {
                for _ in 0..2 {
                    scene.gate.leave_counted(&scene.words[1], 1);
                    scene.gate.tell(false);
                }
            })
        };
        scene.quiesce_without_ticks(&closed);
        scene.touch();
        assert!(scene.gate.open(generation));
        [own, others].into_iter().for_each(|writer| writer.join().unwrap());
    });
}

/// One that comes while the gate is closed, and is refused wherever it is by then. If it gets inside it tells of its
/// leaving in any case, so that only the refusal counts.
fn comes_while_it_is_closed(
    enter: impl Fn(&Scene) -> bool + Send + Sync + Copy + 'static,
    leave: impl Fn(&Scene) + Send + Sync + Copy + 'static,
) {
    check(3, move || {
        let scene = Scene::new(1);
        let writer = {
            let scene = Arc::clone(&scene);
            thread::spawn(move || {
                if enter(&scene) {
                    scene.touch();
                    leave(&scene);
                    scene.gate.bump_drain();
                }
            })
        };
        let (generation, closed) = scene.close();
        scene.quiesce_without_ticks(&closed);
        scene.touch();
        assert!(scene.gate.open(generation));
        scene.gate.generation.wake(ALL);
        writer.join().unwrap();
    });
}

#[test]
fn one_that_is_refused() {
    comes_while_it_is_closed(
        |scene| {
            let word = &scene.words[0];
            scene.gate.try_enter(|| scene.gate.publish(word, 1), || scene.gate.retract(word, 2))
        },
        |scene| {
            scene.gate.leave(&scene.words[0], 2);
        },
    );
}

#[test]
fn one_that_counts_and_is_refused() {
    comes_while_it_is_closed(
        |scene| {
            let word = &scene.words[0];
            let publish = || scene.gate.publish_counted(word);
            scene.gate.try_enter(publish, || scene.gate.retract_counted(word))
        },
        |scene| {
            scene.gate.leave_counted(&scene.words[0], 1);
        },
    );
}
