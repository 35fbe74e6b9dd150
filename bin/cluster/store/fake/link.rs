//! What can go wrong between a process and the engine.

use std::pin::pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use crate::store::error::Trouble;
use crate::store::view::Revision;

#[derive(Default)]
pub(super) struct Link {
    faults: Mutex<Faults>,
    /// Wakes those who wait for it to be mended, in the order in which they came.
    changes: Notify,
    seen: AtomicI64,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Faults {
    /// None arrives.
    pub requests: bool,
    /// None comes back.
    pub answers: bool,
    /// The other end is not there.
    pub refused: bool,
    /// How many more answers get lost.
    pub losses: usize,
    /// How many more answers to transactions do.
    pub commits: usize,
    /// Of each way.
    pub delay: Duration,
}

impl Link {
    pub fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.faults());
        self.changes.notify_waiters();
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest revision that this process has seen.
    pub fn seen(&self) -> Revision {
        self.seen.load(Ordering::Relaxed)
    }

    pub fn has_seen(&self, revision: Revision) {
        self.seen.fetch_max(revision, Ordering::Relaxed);
    }

    /// Has the work done at the other end, and brings its answer back.
    pub async fn carry<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Trouble> {
        let Faults { delay, refused, requests, .. } = *self.faults();
        if refused {
            return Err(Trouble::NotSent("connection refused".to_string()));
        }
        if requests {
            return std::future::pending().await;
        }
        let answer = match delay.is_zero() {
            true => work(),
            // It arrives even if nobody waits for it any more.
            false => {
                let arrival = tokio::spawn(async move {
                    sleep(delay).await;
                    work()
                });
                arrival.await.map_err(|error| Trouble::Lost(error.to_string()))?
            }
        };
        self.comes_back().await;
        let is_lost = {
            let mut faults = self.faults();
            let is_lost = faults.losses > 0;
            faults.losses -= usize::from(is_lost);
            is_lost
        };
        match is_lost {
            true => Err(Trouble::Lost("connection reset".to_string())),
            false => Ok(answer),
        }
    }

    /// Whether the answer to this transaction gets lost.
    pub fn loses_commit(&self) -> bool {
        let mut faults = self.faults();
        let is_lost = faults.commits > 0;
        faults.commits -= usize::from(is_lost);
        is_lost
    }

    /// Returns when the other end would hear of a watch.
    pub async fn hears(&self) {
        self.wait_for(|faults| !faults.requests && !faults.refused).await;
    }

    /// Returns when what the other end says is here.
    pub async fn comes_back(&self) {
        let delay = self.faults().delay;
        if !delay.is_zero() {
            sleep(delay).await;
        }
        self.wait_for(|faults| !faults.answers && !faults.refused).await;
    }

    async fn wait_for(&self, condition: impl Fn(&Faults) -> bool) {
        loop {
            let mut changed = pin!(self.changes.notified());
            changed.as_mut().enable();
            if condition(&self.faults()) {
                return;
            }
            changed.await;
        }
    }
}
