//! Exclusion: a writer that is inside is seen, and one that is not seen waits.

use crate::gate::protocol::is_closed;
use crate::scene::{Scene, check};
use loom::sync::Arc;
use loom::sync::atomic::Ordering;
use loom::thread;
use std::convert::Infallible;

/// One writer, one pause.
#[test]
fn one_writer_and_a_pause() {
    check(3, || {
        let scene = Scene::new(1);
        let writer = {
            let scene = Arc::clone(&scene);
            thread::spawn(move || scene.share(0))
        };
        scene.pause();
        writer.join().unwrap();
    });
}

/// Two threads of a process whose shares stand in one counted word. They keep out the exclusive side
/// and not each other, so each has a store of its own.
#[test]
fn two_counted_shares_and_a_pause() {
    check(2, || {
        // The word counts; the second one is only there to have a second store to touch.
        let stores = [Scene::new(0), Scene::new(0)];
        let scene = Scene::new(1);
        let share = |store: Arc<Scene>, scene: Arc<Scene>| {
            move || {
                let word = &scene.words[0];
                let Ok(()) = scene.gate.enter(
                    || scene.gate.publish_counted(word),
                    || scene.gate.retract_counted(word),
                    || false,
                    |generation| {
                        scene.gate.generation.wait(generation, None);
                        Ok::<(), Infallible>(())
                    },
                );
                store.touch();
                if is_closed(scene.gate.leave_counted(word, 1)) {
                    scene.gate.bump_drain();
                }
            }
        };
        let writers = [0, 1].map(|index: usize| {
            thread::spawn(share(Arc::clone(&stores[index]), Arc::clone(&scene)))
        });
        let (generation, closed) = scene.close();
        scene.quiesce(&closed);
        stores.iter().for_each(|store| store.touch());
        assert!(scene.gate.open(generation));
        scene.gate.generation.wake(crate::gate::protocol::ALL);
        writers.into_iter().for_each(|writer| writer.join().unwrap());
    });
}

/// At a closed gate nobody's word moves, however often he knocks, and closing it again is nothing.
#[test]
fn a_gate_that_stays_closed() {
    check(1, || {
        let scene = Scene::new(1);
        let (gate, word) = (&scene.gate, &scene.words[0]);
        let generation = gate.close().expect("it is open at first").generation();
        assert_eq!(gate.close(), None);
        assert_eq!(gate.now(), generation);
        let publish = || gate.publish(word, 1);
        let retract = || gate.retract(word, 2);
        assert!(!gate.try_enter(publish, retract));
        assert_eq!(gate.enter(publish, retract, || false, Err), Err(generation));
        assert_eq!(word.load(Ordering::Relaxed), 0);
    });
}
