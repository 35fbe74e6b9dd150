//! What is counted: how often the gate was closed, how that ended, and for how long.
//!
//! Only the holder of X counts pauses, one at a time, and nobody else writes there but a waiter that
//! revokes; so the numbers need no order among themselves, and nothing is counted on a writer's path.
//! Garbage in them makes a wrong report and nothing else.

use crate::file::layout::StatsRecord;
use crate::gate::sync::Ordering;
use std::time::Duration;

/// Upper bounds of the classes that pauses are counted in, in microseconds. Longer ones have the last.
pub(crate) const BOUNDS: [u32; 15] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// Counters of a barrier, since it was made or since the restart. They wrap.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Pauses that were granted.
    pub pauses: u32,
    /// Pauses that a waiter ended.
    pub revocations: u32,
    /// Drains that reached their limit.
    pub drain_timeouts: u32,
    /// How long the gate was closed for the last pause.
    pub last_pause: Duration,
    /// How many pauses were at most so long, and longer than the class before; the last class has no
    /// bound.
    pub lengths: Vec<(Option<Duration>, u32)>,
    /// All pauses together.
    pub total_pause: Duration,
}

impl StatsRecord {
    /// Counts a pause that was granted, when its gate is open again. The caller holds X.
    pub(crate) fn count_pause(&self, pause: Duration) {
        let microseconds = u32::try_from(pause.as_micros()).unwrap_or(u32::MAX);
        let class = BOUNDS.iter().position(|bound| microseconds <= *bound);
        self.lengths[class.unwrap_or(BOUNDS.len())].fetch_add(1, Ordering::Relaxed);
        self.total.set(self.total.get().wrapping_add(microseconds.into()));
        self.last_pause.store(microseconds, Ordering::Relaxed);
        self.pauses.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> Stats {
        let count = |counter: &crate::gate::sync::AtomicU32| counter.load(Ordering::Relaxed);
        let bounds = BOUNDS.iter().map(|bound| Some(Duration::from_micros((*bound).into())));
        Stats {
            pauses: count(&self.pauses),
            revocations: count(&self.revocations),
            drain_timeouts: count(&self.drain_timeouts),
            last_pause: Duration::from_micros(count(&self.last_pause).into()),
            lengths: bounds.chain([None]).zip(self.lengths.iter().map(count)).collect(),
            total_pause: Duration::from_micros(self.total.get()),
        }
    }

    /// Begins anew, for another boot.
    pub(crate) fn clear(&self) {
        let counters = [&self.pauses, &self.revocations, &self.drain_timeouts, &self.last_pause];
        let pacing = [&self.last_failed, &self.last_length];
        for field in counters.into_iter().chain(pacing).chain(&self.lengths) {
            field.store(0, Ordering::Relaxed);
        }
        self.total.set(0);
        self.last_opened.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_counted_in_its_class() {
        let folder = tempfile::tempdir().unwrap();
        let barrier = crate::Barrier::create(folder.path().join("test.barrier")).unwrap();
        let stats = barrier.inner.attached().unwrap().parts.stats();
        let pauses = [0, 1_000, 1_001, 60_000_000, 60_000_001].map(Duration::from_micros);
        pauses.into_iter().for_each(|pause| stats.count_pause(pause));
        let now = stats.now();
        assert_eq!((now.pauses, now.last_pause), (5, pauses[4]));
        assert_eq!(now.total_pause, pauses.iter().sum());
        let counts: Vec<u32> = now.lengths.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(now.lengths[0].0, Some(Duration::from_millis(1)));
        assert_eq!(now.lengths[15].0, None);
        stats.clear();
        assert_eq!(stats.now().total_pause, Duration::ZERO);
    }
}
