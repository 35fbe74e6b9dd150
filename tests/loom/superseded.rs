//! A gate that is closed for good: whoever is inside is seen, and whoever comes goes elsewhere.

use crate::gate::protocol::{SUPERSEDED, is_superseded};
use crate::scene::{Scene, check, fenced};
use loom::sync::Arc;
use loom::sync::atomic::Ordering;
use loom::thread;

impl Scene {
    /// One share that changes the store, unless the gate is closed for good.
    fn share_or_go_elsewhere(&self, writer: usize) -> bool {
        let word = &self.words[writer];
        let own = || word.load(Ordering::Relaxed);
        let entered = self.gate.enter(
            || self.gate.publish(word, own() + 1),
            || self.gate.retract(word, own() + 1),
            || false,
            |generation| {
                if is_superseded(generation) {
                    return Err(());
                }
                self.gate.generation.wait(generation, None);
                Ok(())
            },
        );
        if entered.is_ok() {
            self.touch();
            self.leave(writer);
        }
        entered.is_ok()
    }
}

/// Whoever has closed it for good and seen it quiet is alone with the store.
#[test]
fn a_writer_and_a_gate_closed_for_good() {
    check(3, || {
        let scene = Scene::new(1);
        let writer = {
            let scene = Arc::clone(&scene);
            thread::spawn(move || {
                let shares = [0, 0].map(|writer| scene.share_or_go_elsewhere(writer));
                assert_ne!(shares, [false, true], "for good");
            })
        };
        let closed = fenced(scene.gate.supersede());
        scene.quiesce(&closed);
        scene.touch();
        assert!(!scene.gate.open(SUPERSEDED), "for good");
        writer.join().unwrap();
    });
}

/// A pause that stood there has no certificate, and its waiters go elsewhere.
#[test]
fn a_pause_and_a_gate_closed_for_good() {
    check(2, || {
        let scene = Scene::new(1);
        let (generation, _) = scene.close();
        let writer = {
            let scene = Arc::clone(&scene);
            thread::spawn(move || assert!(!scene.share_or_go_elsewhere(0)))
        };
        scene.gate.supersede();
        assert!(!scene.gate.open(generation));
        assert_eq!(scene.gate.close(), None);
        writer.join().unwrap();
    });
}
