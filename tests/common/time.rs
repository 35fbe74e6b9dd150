//! Waiting for what is bound to happen, and what a busy machine may add to any promised time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Nothing takes anywhere near as long; a test that hangs shall fail.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the scheduler may add to any promised time on a small and busy machine.
pub const SLACK: Duration = Duration::from_millis(400);

pub const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Waits for something that is bound to happen.
#[track_caller]
pub fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let started = Instant::now();
    while !happened() {
        assert!(started.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(ms(1));
    }
}

/// Ends the threads of a scope, also when the test fails there: set when this is dropped.
#[derive(Default)]
pub struct Over(AtomicBool);

impl Over {
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn when_dropped(&self) -> impl Drop + '_ {
        struct Set<'a>(&'a AtomicBool);
        impl Drop for Set<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        Set(&self.0)
    }
}
