//! Atomics, fences, futexes and steps: the one place that names them.
//!
//! Everything that several processes touch at once goes through this module, so that the model
//! checker can take its place: it compiles the protocol's own file (`protocol`) beside a module of this
//! name over atomics of its own, and a futex there is a word with a mutex and a condition variable that
//! behave as the kernel's wait queue does.

pub use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering, compiler_fence, fence,
};

use crate::gate::fence::Fence;
use std::time::Duration;

/// A full fence: every access before it comes before every access after it, for everybody.
#[inline(always)]
pub fn full_fence(_site: Fence) {
    fence(Ordering::SeqCst);
}

/// Marks a place between two steps of the protocol. It is nothing in the product; `steps` says what
/// `--cfg stillpoint_steps` makes of it, and the core's own tests.
#[cfg(not(any(stillpoint_steps, test)))]
#[inline(always)]
pub fn step(_name: &'static str) {}

#[cfg(any(stillpoint_steps, test))]
pub use crate::gate::steps::step;

/// A word that processes wait on: futex(2), shared between processes.
#[repr(transparent)]
#[derive(Debug, Default)]
pub struct Futex(AtomicU32);

impl Futex {
    /// The word itself.
    #[inline(always)]
    pub fn word(&self) -> &AtomicU32 {
        &self.0
    }

    /// Sleeps until woken if the word still is `expected`; at most `limit`. May wake early.
    pub fn wait(&self, expected: u32, limit: Option<Duration>) {
        crate::system::calls::futex_wait(&self.0, expected, limit);
    }

    /// Wakes at most `count` waiters, in the order in which they came.
    pub fn wake(&self, count: u32) {
        crate::system::calls::futex_wake(&self.0, count);
    }
}
