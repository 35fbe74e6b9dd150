//! Letting pent-up writers in again, fewer than there are: each who was woken wakes the next when it
//! leaves, and nobody is forgotten. There is no tick here that would find him.

use crate::gate::protocol::is_closed;
use crate::scene::{Scene, check};
use loom::sync::Arc;
use loom::thread;

/// One share of a writer that passes a wake-up on if it had to wait, as every kind of share does.
fn share(scene: &Scene, writer: usize) {
    let mut readmitted = false;
    let (gate, word) = (&scene.gate, &scene.words[writer]);
    scene.enter_or(
        writer,
        || false,
        |generation| {
            readmitted = true;
            gate.among_waiters(|| gate.generation.wait(generation, None));
        },
    );
    let odd = word.load(loom::sync::atomic::Ordering::Relaxed);
    if is_closed(gate.leave(word, odd + 1)) || readmitted {
        gate.tell(readmitted);
    }
}

/// Two writers, one wake-up each time that the gate is opened.
fn two_writers(preemptions: usize, pauses: usize) {
    check(preemptions, move || {
        let scene = Scene::new(2);
        let first = Some(scene.close());
        let writers = [0, 1].map(|writer| {
            let scene = Arc::clone(&scene);
            thread::spawn(move || share(&scene, writer))
        });
        let mut closed = first;
        for _ in 0..pauses {
            let (generation, fenced) = closed.take().unwrap_or_else(|| scene.close());
            scene.quiesce(&fenced);
            assert!(scene.gate.open(generation));
            scene.gate.readmit(1);
        }
        writers.into_iter().for_each(|writer| writer.join().unwrap());
    });
}

#[test]
fn one_at_a_time_all_get_in() {
    two_writers(2, 1);
}

/// Whoever was woken may find the gate closed again.
#[test]
fn one_at_a_time_between_two_pauses() {
    two_writers(1, 2);
}
