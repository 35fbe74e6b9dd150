//! The certificate: a pause that somebody else ended is not certified, and one that is certified had
//! nobody inside from the grant to the release.
//!
//! Writers keep an invariant over two numbers, as they would over two files. The exclusive side looks
//! at both when the pause is granted and again before it is released. It may see anything if it is
//! then refused the certificate.

use crate::gate::protocol::is_closed;
use crate::scene::{Scene, broken, check};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;

struct Files {
    scene: Arc<Scene>,
    index: AtomicU32,
    counter: AtomicU32,
}

impl Files {
    fn new() -> Arc<Files> {
        let (index, counter) = (AtomicU32::new(0), AtomicU32::new(0));
        Arc::new(Files { scene: Scene::new(1), index, counter })
    }

    fn look(&self) -> (u32, u32) {
        (self.index.load(Ordering::Relaxed), self.counter.load(Ordering::Relaxed))
    }

    /// A writer that does not wait: it opens the gate that it finds closed, as one does that has
    /// waited for the pause's limit or found its holder dead.
    fn impatient_share(&self) {
        let gate = &self.scene.gate;
        let open = |generation| {
            gate.open(generation);
        };
        self.scene.enter_or(0, || false, open);
        let next = self.index.load(Ordering::Relaxed) + 1;
        self.index.store(next, Ordering::Relaxed);
        self.counter.store(next, Ordering::Relaxed);
        self.scene.leave(0);
    }

    /// A pause that looks twice, and insists on what it saw if it is certified.
    fn pause(&self) {
        let gate = &self.scene.gate;
        let (generation, closed) = self.scene.close();
        // Who leaves after the gate was opened wakes nobody: the tick finds out.
        self.scene.quiesce(&closed);
        let granted = gate.now() == generation;
        let at_grant = self.look();
        let at_release = self.look();
        let certified = gate.open(generation) || broken("certificate");
        if granted && certified {
            assert_eq!(at_grant.0, at_grant.1, "a writer is inside a certified pause");
            assert_eq!(at_grant, at_release, "a writer was inside a certified pause");
        }
    }
}

/// A waiter revokes the pause at any moment: while it drains, before the grant, during the hold.
#[test]
fn a_waiter_that_revokes() {
    check(3, || {
        let files = Files::new();
        let writer = {
            let files = Arc::clone(&files);
            thread::spawn(move || files.impatient_share())
        };
        files.pause();
        writer.join().unwrap();
    });
}

/// A holder has died with the gate closed. A waiter heals it while the next tool does the same and
/// closes it again: the waiter may be late, and must not open what it did not see closed.
#[test]
fn a_healer_and_the_next_tool() {
    check(3, || {
        let files = Files::new();
        let (dead, _) = files.scene.close();
        let writer = {
            let files = Arc::clone(&files);
            thread::spawn(move || {
                let gate = &files.scene.gate;
                if broken("healing by generation") {
                    gate.open(gate.now());
                } else {
                    gate.open(dead);
                }
                files.scene.enter(0, || false);
                files.scene.leave(0);
            })
        };
        let gate = &files.scene.gate;
        gate.open(gate.now());
        assert!(!is_closed(gate.now()), "an odd gate is healed before it is closed again");
        let (generation, closed) = files.scene.close();
        files.scene.quiesce(&closed);
        assert!(gate.open(generation), "a healer opened a gate that it had not seen closed");
        gate.generation.wake(crate::gate::protocol::ALL);
        writer.join().unwrap();
    });
}
