//! What an agent counts, for metrics.

use std::sync::{Arc, Mutex, PoisonError};

use crate::record::identity::EpochId;
use crate::record::report::Certificate;
use crate::record::verdict::{Outcome, Verdict};

/// Counters that are shared by the agent's tasks.
#[derive(Clone, Debug, Default)]
pub struct Totals(Arc<Mutex<Counted>>);

/// What was counted since the agent started.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// Whether it takes part.
    pub member: bool,
    /// Epochs that were obeyed.
    pub begun: u64,
    /// Those that failed here.
    pub failed: u64,
    /// Those whose verdict was complete.
    pub complete: u64,
    /// Those whose verdict was partial.
    pub partial: u64,
    /// Those whose verdict was aborted.
    pub aborted: u64,
    /// Certificates without a verdict yet.
    pub waiting: u64,
    /// The last epoch that was obeyed.
    pub last: EpochId,
    /// The last whose verdict was complete.
    pub last_complete: EpochId,
    /// The pause of the last certificate.
    pub pause_ms: Option<u64>,
}

impl Totals {
    /// As they are now.
    pub fn read(&self) -> Counted {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes them.
    pub(super) fn change(&self, change: impl FnOnce(&mut Counted)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn certified(&self, certificate: &Certificate) {
        self.change(|counted| counted.pause_ms = Some(certificate.pause_ms));
    }

    pub(super) fn verdict(&self, id: EpochId, verdict: &Verdict) {
        self.change(|counted| match verdict.outcome {
            Outcome::Complete => {
                counted.complete += 1;
                counted.last_complete = id;
            }
            Outcome::Partial => counted.partial += 1,
            Outcome::Aborted => counted.aborted += 1,
        });
    }
}
