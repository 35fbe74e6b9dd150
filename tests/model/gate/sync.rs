//! What `src/gate/sync.rs` is in the product, without sleeping.

pub use std::sync::atomic::{AtomicU32, Ordering, compiler_fence};

use crate::gate::fence::Fence;
use std::sync::atomic::fence;
use std::time::Duration;

/// A full fence.
#[inline(always)]
pub fn full_fence(_site: Fence) {
    fence(Ordering::SeqCst);
}

/// Nothing.
#[inline(always)]
pub fn step(_name: &str) {}

/// A word on which nobody sleeps.
#[derive(Debug, Default)]
pub struct Futex(AtomicU32);

impl Futex {
    /// The word itself.
    #[inline(always)]
    pub fn word(&self) -> &AtomicU32 {
        &self.0
    }

    /// Does not wait.
    pub fn wait(&self, _expected: u32, _limit: Option<Duration>) {}

    /// Nobody is to be woken.
    pub fn wake(&self, _count: u32) {}
}
