//! What all models share: a gate with the words of its writers, and the two sides as processes play
//! them.

use crate::gate::fence::Fence;
use crate::gate::protocol::{ALL, Closed, Fenced, Gate, is_closed};
use crate::gate::sync::{begin, remove};
use loom::cell::UnsafeCell;
use loom::model::Builder;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;
use std::convert::Infallible;
use std::time::Duration;

/// Takes a fence away, by its name.
pub const WITHOUT: &str = "STILLPOINT_LOOM_WITHOUT";
/// Names a step that a model then leaves out.
pub const BROKEN: &str = "STILLPOINT_LOOM_BROKEN";

/// Whether this run leaves out the step of that name.
pub fn broken(step: &str) -> bool {
    std::env::var(BROKEN).is_ok_and(|name| name == step)
}

/// Runs a model in every order of its steps with at most so many preemptions.
///
/// The bound keeps each model within seconds. The races here are between two parties that each cross
/// the other once, which takes one preemption; a third party that covers, heals or wakes adds one.
/// `LOOM_MAX_PREEMPTIONS` sets another bound.
pub fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let fence = match std::env::var(WITHOUT).as_deref() {
        Ok("Enter") => Some(Fence::Enter),
        Ok("Close") => Some(Fence::Close),
        Ok("Look") => Some(Fence::Look),
        Ok("Admit") => Some(Fence::Admit),
        Ok("Shut") => Some(Fence::Shut),
        _ => None,
    };
    remove(fence);
    let mut builder = Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.check(move || {
        begin();
        model();
    });
}

/// Whoever enters here has a fence of its own, so no call is needed. What the call stands for is in `tests/model/buffers`.
pub fn fenced(closed: Closed) -> Fenced {
    let Ok(fenced) = closed.fence(|| Ok::<(), Infallible>(()));
    fenced
}

/// A barrier in memory: its gate, the words of its writers, and a store that must never be touched
/// by both sides at once.
pub struct Scene {
    pub gate: Gate,
    pub words: Vec<AtomicU32>,
    store: UnsafeCell<u32>,
}

impl Scene {
    pub fn new(writers: usize) -> Arc<Scene> {
        Arc::new(Scene {
            gate: Gate::default(),
            words: (0..writers).map(|_| AtomicU32::new(0)).collect(),
            store: UnsafeCell::new(0),
        })
    }

    /// Changes the store. A writer that meets the exclusive side in here, or another access that is
    /// not ordered with this one, is a race that the checker reports.
    pub fn touch(&self) {
        // SAFETY: the checker proves that nobody else is in here, or fails the test.
        self.store.with_mut(|store| unsafe { *store += 1 });
    }

    /// Enters as the thread that owns the word; waits for the gate as long as it takes.
    pub fn enter(&self, writer: usize, covered: impl Fn() -> bool) {
        self.enter_or(writer, covered, |generation| self.gate.generation.wait(generation, None));
    }

    /// The same with a way to wait of its own.
    pub fn enter_or(&self, writer: usize, covered: impl Fn() -> bool, mut wait: impl FnMut(u32)) {
        let word = &self.words[writer];
        let own = || word.load(Ordering::Relaxed);
        let publish = || self.gate.publish(word, own() + 1);
        let retract = || self.gate.retract(word, own() + 1);
        // As a thread does: the fast path first.
        if self.gate.try_enter(publish, retract) {
            return;
        }
        let waiting = |generation| {
            wait(generation);
            Ok::<(), Infallible>(())
        };
        let Ok(()) = self.gate.enter(publish, retract, covered, waiting);
    }

    /// Leaves, and tells the exclusive side if it may be waiting.
    pub fn leave(&self, writer: usize) {
        let word = &self.words[writer];
        if is_closed(self.gate.leave(word, word.load(Ordering::Relaxed) + 1)) {
            self.gate.tell(false);
        }
    }

    /// One share that changes the store.
    pub fn share(&self, writer: usize) {
        self.enter(writer, || false);
        self.touch();
        self.leave(writer);
    }

    /// Closes the gate.
    pub fn close(&self) -> (u32, Fenced) {
        let closed = self.gate.close().expect("nobody else closes the gate");
        (closed.generation(), fenced(closed))
    }

    /// Waits until nobody is inside, and sleeps no longer than a tick, here a yield: who leaves while the gate
    /// closes need not know of it, and wakes nobody then.
    pub fn quiesce(&self, closed: &Fenced) {
        if broken("ticks") {
            return self.quiesce_without_ticks(closed);
        }
        let tick = |_: &[u32]| {
            thread::yield_now();
            Some(Duration::ZERO)
        };
        assert!(self.gate.wait_until_quiet(closed, || self.words.iter(), tick));
    }

    /// The same where no time passes: a wake-up that gets lost is a deadlock.
    pub fn quiesce_without_ticks(&self, closed: &Fenced) {
        let forever = Some(Duration::from_secs(1));
        assert!(self.gate.wait_until_quiet(closed, || self.words.iter(), |_| forever));
    }

    /// One pause that changes the store, certified.
    pub fn pause(&self) {
        let (generation, closed) = self.close();
        self.quiesce(&closed);
        self.touch();
        assert!(self.gate.open(generation), "nobody else opens the gate");
        self.gate.generation.wake(ALL);
    }
}
