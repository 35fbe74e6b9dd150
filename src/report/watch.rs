//! Who waits tells for what, and hears that he is to give up.

use crate::error::Error;
use crate::error::who::Writer;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// Between two reports of progress.
const REPORT: Duration = Duration::from_millis(100);

/// What the exclusive side waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Another tool has the exclusive side.
    OtherTool,
    /// The gate must stay open a while after the last closing.
    Pacing,
    /// Users of flock(1) on the barrier file.
    Foreign,
    /// Users of a file that was removed from the barrier's place.
    Stragglers,
    /// The gate is closed; writers inside are to leave.
    Draining,
    /// The gate is open; shares that turned out to be long are to end.
    LongShares,
    /// The barrier is quiet; the caller's predicate is not true yet.
    Predicate,
    /// The shared side is wanted, and the gate is closed.
    Gate,
}

/// A wait in progress.
#[derive(Debug)]
#[non_exhaustive]
pub struct Waiting<'a> {
    /// What is waited for.
    pub phase: Phase,
    /// How long all of it has taken so far.
    pub since: Duration,
    /// For whom, as far as that is known.
    pub writers: &'a [Writer],
    /// On which barrier.
    pub barrier: &'a Path,
}

/// The caller's eyes and ears while somebody waits for him.
pub(crate) struct Watch<'a> {
    progress: Option<&'a mut dyn FnMut(&Waiting<'_>)>,
    cancel: Option<&'a AtomicBool>,
    started: Instant,
    reported: Instant,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(
        progress: Option<&'a mut dyn FnMut(&Waiting<'_>)>,
        cancel: Option<&'a AtomicBool>,
    ) -> Self {
        let now = Instant::now();
        Watch { progress, cancel, started: now, reported: now }
    }

    /// How long all of it has taken.
    pub(crate) fn waited(&self) -> Duration {
        self.started.elapsed()
    }

    /// Reports now and then; an error if the caller wants no more.
    pub(crate) fn tick(
        &mut self,
        phase: Phase,
        barrier: &Path,
        writers: impl FnOnce() -> Vec<Writer>,
    ) -> Result<(), Error> {
        if self.cancel.is_some_and(|cancel| cancel.load(std::sync::atomic::Ordering::SeqCst)) {
            return Err(Error::Cancelled);
        }
        let due = self.reported.elapsed() >= REPORT;
        if let Some(progress) = self.progress.as_mut().filter(|_| due) {
            self.reported = Instant::now();
            let since = self.started.elapsed();
            progress(&Waiting { phase, since, writers: &writers(), barrier });
        }
        Ok(())
    }
}
