//! Who holds what a tool waits for is let in while the gate is closing, and never once it is shut.

use crate::gate::protocol::ALL;
use crate::scene::{Scene, broken, check};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

/// It holds one lock, takes another one and gives the first back, as programs do that lock hand over hand. The
/// tool reads who holds them one after the other, as the kernel lists them, and so may see neither.
#[test]
fn one_that_goes_from_lock_to_lock() {
    check(3, || {
        let scene = Scene::new(1);
        let locks = Arc::new([AtomicBool::new(true), AtomicBool::new(false)]);
        let holder = {
            let (scene, locks) = (Arc::clone(&scene), Arc::clone(&locks));
            thread::spawn(move || {
                let word = &scene.words[0];
                let publish = || {
                    scene.gate.publish(word, 1);
                };
                let retract = || scene.gate.retract(word, 2);
                let mut last = 0;
                if scene.gate.try_enter_admitted(publish, retract) {
                    locks[1].store(true, Ordering::Release);
                    scene.leave(0);
                    locks[0].store(false, Ordering::Release);
                    last = 1;
                }
                scene.touch();
                locks[last].store(false, Ordering::Release);
            })
        };
        let (generation, closed) = scene.close();
        scene.gate.admit(generation);
        let admissions = scene.gate.admissions();
        scene.quiesce(&closed);
        let free = |index: usize| !locks[index].load(Ordering::Acquire);
        let predicate = free(1) && free(0);
        if predicate && (scene.gate.shut(admissions) || broken("counting")) {
            scene.touch();
        }
        assert!(scene.gate.open(generation), "nobody else opens the gate");
        scene.gate.generation.wake(ALL);
        holder.join().unwrap();
    });
}

/// What made it a holder was given back just before it is let in: its parent's lock, say. The predicate may be true
/// then, and only the gate keeps them apart.
#[test]
fn one_whose_lock_is_given_back_meanwhile() {
    check(3, || {
        let scene = Scene::new(1);
        let lock = Arc::new(AtomicBool::new(true));
        let holder = {
            let (scene, lock) = (Arc::clone(&scene), Arc::clone(&lock));
            thread::spawn(move || {
                lock.store(false, Ordering::Release);
                let word = &scene.words[0];
                let publish = || {
                    scene.gate.publish(word, 1);
                };
                if scene.gate.try_enter_admitted(publish, || scene.gate.retract(word, 2)) {
                    scene.touch();
                    scene.leave(0);
                }
            })
        };
        let (generation, closed) = scene.close();
        scene.gate.admit(generation);
        let admissions = scene.gate.admissions();
        scene.quiesce(&closed);
        if !lock.load(Ordering::Acquire) && scene.gate.shut(admissions) {
            scene.touch();
        }
        assert!(scene.gate.open(generation), "nobody else opens the gate");
        scene.gate.generation.wake(ALL);
        holder.join().unwrap();
    });
}
