//! What `src/gate/sync.rs` is in the product, over the model checker's atomics.
//!
//! Time does not exist here: a wait that only its time-out would end is a deadlock, which is how a
//! lost wake-up shows.

pub use loom::sync::atomic::{AtomicU32, Ordering};
/// What it forbids to a compiler the checker does not do either.
pub use std::sync::atomic::compiler_fence;

use crate::gate::fence::Fence;
use std::sync::atomic::AtomicU32 as PlainU32;
use std::time::Duration;

static REMOVED: PlainU32 = PlainU32::new(0);

/// Takes one fence away (none: all are there) for the models that follow in this process.
pub fn remove(site: Option<Fence>) {
    REMOVED.store(site.map_or(0, |site| site as u32), Ordering::SeqCst);
}

loom::lazy_static! {
    /// Touched before every full fence. Full fences have one order; the checker only tries the
    /// other order of two steps that it sees meet in one place, and it does not see that two fences
    /// meet.
    static ref FENCES: AtomicU32 = AtomicU32::new(0);
}

/// Begins a model, on its first thread.
pub fn begin() {
    FENCES.load(Ordering::Relaxed);
}

/// A full fence, unless it was taken away.
pub fn full_fence(site: Fence) {
    if REMOVED.load(Ordering::SeqCst) != site as u32 {
        // Relaxed: nobody learns anything from it.
        FENCES.fetch_add(1, Ordering::Relaxed);
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
    queue: loom::sync::Mutex<Queue>,
    woken: loom::sync::Condvar,
}

/// Who has come to wait, and how many of those, in the order in which they came, were woken.
#[derive(Debug, Default)]
struct Queue {
    came: u32,
    woken: u32,
}

impl Default for Futex {
    fn default() -> Self {
        Futex {
            word: AtomicU32::new(0),
            queue: loom::sync::Mutex::new(Queue::default()),
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
        let mut queue = self.queue.lock().unwrap();
        loom::sync::atomic::fence(Ordering::SeqCst);
        if self.word.load(Ordering::Relaxed) == expected {
            let place = queue.came;
            queue.came += 1;
            while queue.woken <= place {
                queue = self.woken.wait(queue).unwrap();
            }
        }
    }

    /// Wakes at most `count` waiters, in the order in which they came.
    pub fn wake(&self, count: u32) {
        loom::sync::atomic::fence(Ordering::SeqCst);
        let mut queue = self.queue.lock().unwrap();
        queue.woken = queue.came.min(queue.woken.saturating_add(count));
        drop(queue);
        self.woken.notify_all();
    }
}
