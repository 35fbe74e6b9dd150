//! Covered shares: a command under a share goes in while the gate is closed, as long as that share
//! lasts, and is outlasted by the exclusive side like any other.
//!
//! The command's word lies before its wrapper's, which is the order in which a look that passes both
//! can be deceived: the command goes in behind the look, the wrapper leaves ahead of it.

use crate::gate::fence::Fence;
use crate::gate::protocol::ALL;
use crate::gate::sync::full_fence;
use crate::scene::{Scene, broken, check};
use loom::sync::Arc;
use loom::sync::atomic::Ordering;
use loom::thread;

const COMMAND: usize = 0;
const WRAPPER: usize = 1;

const INNERMOST: usize = 0;
const MIDDLE: usize = 1;
const OUTERMOST: usize = 2;

/// A third preemption takes minutes, since the tool looks again by itself: `LOOM_MAX_PREEMPTIONS=3` has it.
#[test]
fn a_command_under_a_share() {
    check(2, || {
        let scene = Scene::new(2);
        scene.enter(WRAPPER, || false);
        let held = scene.words[WRAPPER].load(Ordering::Relaxed);
        let command = {
            let scene = Arc::clone(&scene);
            thread::spawn(move || {
                let covered = || scene.words[WRAPPER].load(Ordering::Acquire) == held;
                if broken("publishing first") && covered() {
                    scene.words[COMMAND].store(1, Ordering::Relaxed);
                } else {
                    scene.enter(COMMAND, covered);
                }
                scene.touch();
                scene.leave(COMMAND);
            })
        };
        let wrapper = {
            let scene = Arc::clone(&scene);
            thread::spawn(move || scene.leave(WRAPPER))
        };
        let (generation, closed) = scene.close();
        if broken("two looks") {
            until_one_look_is_even(&scene);
        } else {
            scene.quiesce(&closed);
        }
        scene.touch();
        assert!(scene.gate.open(generation));
        scene.gate.generation.wake(ALL);
        command.join().unwrap();
        wrapper.join().unwrap();
    });
}

/// A command whose share is counted. Its word may come and go between two looks that find it the
/// same, and what it did is to be seen all the same.
#[test]
fn a_counted_command_under_a_share() {
    check(3, || {
        let scene = Scene::new(2);
        scene.enter(WRAPPER, || false);
        let held = scene.words[WRAPPER].load(Ordering::Relaxed);
        let (generation, closed) = scene.close();
        let command = {
            let scene = Arc::clone(&scene);
            thread::spawn(move || {
                let (gate, word) = (&scene.gate, &scene.words[COMMAND]);
                let entered = gate.enter(
                    || gate.publish_counted(word),
                    || gate.retract_counted(word),
                    || scene.words[WRAPPER].load(Ordering::Acquire) == held,
                    |_| Err(()),
                );
                if entered.is_ok() {
                    scene.touch();
                    gate.leave_counted(word, 1);
                    gate.tell(false);
                }
            })
        };
        let wrapper = {
            let scene = Arc::clone(&scene);
            thread::spawn(move || scene.leave(WRAPPER))
        };
        scene.quiesce(&closed);
        scene.touch();
        assert!(scene.gate.open(generation));
        command.join().unwrap();
        wrapper.join().unwrap();
    });
}

/// A command under a command under a share, all begun at a closed gate. Between two looks at even
/// words the one in the middle can come and go, and let the innermost in: its word has changed.
///
/// The three take their steps in the one order that could deceive, and so in one thread.
#[test]
fn a_command_under_a_command() {
    check(3, || {
        let scene = Scene::new(3);
        scene.enter(OUTERMOST, || false);
        let (generation, closed) = scene.close();
        let commands = {
            let scene = Arc::clone(&scene);
            thread::spawn(move || {
                let middle = enters_under(&scene, MIDDLE, OUTERMOST);
                scene.leave(OUTERMOST);
                let innermost = middle && enters_under(&scene, INNERMOST, MIDDLE);
                if middle {
                    scene.leave(MIDDLE);
                }
                if innermost {
                    scene.touch();
                    scene.leave(INNERMOST);
                }
            })
        };
        if broken("identical words") {
            until_two_looks_are_even(&scene);
        } else {
            scene.quiesce(&closed);
        }
        scene.touch();
        assert!(scene.gate.open(generation));
        commands.join().unwrap();
    });
}

/// Whether a writer gets inside under the first share of another one; it does not wait.
fn enters_under(scene: &Scene, writer: usize, cover: usize) -> bool {
    let word = &scene.words[writer];
    let entered = scene.gate.enter(
        || scene.gate.publish(word, 1),
        || scene.gate.retract(word, 2),
        || scene.words[cover].load(Ordering::Acquire) == 1,
        |_| Err(()),
    );
    entered.is_ok()
}

/// What `quiesce` would be if it did not compare the words of its two looks.
fn until_two_looks_are_even(scene: &Scene) {
    until_one_look_is_even(scene);
    full_fence(Fence::Look);
    until_one_look_is_even(scene);
}

/// What `quiesce` would be without its second look.
fn until_one_look_is_even(scene: &Scene) {
    while scene.words.iter().any(|word| word.load(Ordering::Acquire) % 2 == 1) {
        thread::yield_now();
    }
}
