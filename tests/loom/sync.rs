//! What `src/sync.rs` is in the product, over the model checker's atomics.
//!
//! Time does not exist here: a wait that only its time-out would end is a deadlock, which is how a
//! lost wake-up shows.

pub use loom::sync::atomic::{AtomicU32, Ordering};

use crate::gate::Fence;
use std::sync::atomic::AtomicU32 as PlainU32;
use std::time::Duration;

static REMOVED: PlainU32 = PlainU32::new(0);

/// Takes one fence away (none: all are there) for the models that follow in this process.
pub fn remove(site: Option<Fence>) {
    REMOVED.store(site.map_or(0, |site| site as u32), Ordering::SeqCst);
}

/// A full fence, unless it was taken away.
pub fn full_fence(site: Fence) {
    if REMOVED.load(Ordering::SeqCst) != site as u32 {
        loom::sync::atomic::fence(Ordering::SeqCst);
    }
}

/// The checker stops between any two accesses by itself.
pub fn step(_name: &str) {}

/// A futex: the kernel compares the word under the queue's lock, and both wait and wake pass a
/// full barrier on their way to it (kernel/futex/waitwake.c).
#[derive(Debug)]
pub struct Futex {
    word: AtomicU32,
    queue: loom::sync::Mutex<u32>,
    woken: loom::sync::Condvar,
}

impl Default for Futex {
    fn default() -> Self {
        Futex {
            word: AtomicU32::new(0),
            queue: loom::sync::Mutex::new(0),
            woken: loom::sync::Condvar::new(),
        }
    }
}

impl Futex {
    /// The word itself.
    pub fn word(&self) -> &AtomicU32 {
        &self.word
    }

    /// Sleeps until woken if the word still is `expected`. The limit is ignored.
    pub fn wait(&self, expected: u32, _limit: Option<Duration>) {
        let mut wakes = self.queue.lock().unwrap();
        loom::sync::atomic::fence(Ordering::SeqCst);
        if self.word.load(Ordering::Relaxed) == expected {
            let before = *wakes;
            while *wakes == before {
                wakes = self.woken.wait(wakes).unwrap();
            }
        }
    }

    /// Wakes all waiters: the order of waking is not modelled.
    pub fn wake(&self, _count: u32) {
        loom::sync::atomic::fence(Ordering::SeqCst);
        *self.queue.lock().unwrap() += 1;
        self.woken.notify_all();
    }
}
