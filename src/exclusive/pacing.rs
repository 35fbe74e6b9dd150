//! Pacing: how long the gate stays open between two closings, whichever tools close it.
//!
//! A closing that failed is followed by at least its own length, and at least 100 ms (twenty times the
//! length of a single look, which is less), of open gate:
//! otherwise one stuck writer and an eager tool would keep everybody out, again and again. A tool that
//! pauses on a schedule also waits nine times the last closing (at most 10 s), so that its pauses cost
//! the writers a tenth of their time at most: the bound of BRAVO ("Biased Locking for Reader-Writer
//! Locks", USENIX ATC 2019), which inhibits reader bias for N times a revocation.
//!
//! The record lies in the file and is believed within bounds only.

use crate::file::layout::StatsRecord;
use crate::gate::sync::Ordering;
use crate::system::calls::monotonic_milliseconds;
use std::time::Duration;

/// How long to leave the gate open since the last closing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pacing {
    /// Only what a failed drain asks of everybody.
    #[default]
    Minimal,
    /// Nine times the last closing, at most 10 s.
    Tenth,
    /// This long.
    Open(Duration),
}

/// No record makes a tool wait longer than this.
const CAP: Duration = Duration::from_secs(10);
/// The least after a failed drain, unless twenty times its length is less: after a single look.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

impl Pacing {
    /// How long to wait yet before closing, going by the record of the last closing.
    pub(crate) fn remaining(self, stats: &StatsRecord) -> Duration {
        let now = monotonic_milliseconds();
        let last = Last {
            ago: now.checked_sub(stats.last_opened.get()).map(Duration::from_millis),
            length: Duration::from_micros(stats.last_length.load(Ordering::Relaxed).into()),
            failed: stats.last_failed.load(Ordering::Relaxed) != 0,
        };
        self.after(last)
    }

    fn after(self, last: Last) -> Duration {
        // Opened in the future: the record is garbage, or of another time namespace.
        let Some(ago) = last.ago else {
            return Duration::ZERO;
        };
        let least = last.length.saturating_mul(20).min(AFTER_FAILURE);
        let failure = if last.failed { last.length.max(least) } else { Duration::ZERO };
        let wanted = match self {
            Pacing::Minimal => Duration::ZERO,
            Pacing::Tenth => last.length.saturating_mul(9),
            Pacing::Open(wanted) => return wanted.max(failure.min(CAP)).saturating_sub(ago),
        };
        wanted.max(failure).min(CAP).saturating_sub(ago)
    }
}

/// What is known of the last closing.
#[derive(Clone, Copy, Debug)]
struct Last {
    ago: Option<Duration>,
    length: Duration,
    failed: bool,
}

/// Records a closing that ended now.
pub(crate) fn record(stats: &StatsRecord, length: Duration, failed: bool) {
    let microseconds = u32::try_from(length.as_micros()).unwrap_or(u32::MAX);
    stats.last_length.store(microseconds, Ordering::Relaxed);
    stats.last_failed.store(u32::from(failed), Ordering::Relaxed);
    stats.last_opened.set(monotonic_milliseconds());
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn the_gate_stays_open_as_long_as_the_rules_say() {
        let last = |ago, length, failed| Last { ago: Some(ms(ago)), length: ms(length), failed };
        assert_eq!(Pacing::Minimal.after(last(0, 50, false)), ms(0));
        assert_eq!(Pacing::Minimal.after(last(0, 50, true)), ms(100));
        assert_eq!(Pacing::Minimal.after(last(500, 2000, true)), ms(1500));
        assert_eq!(Pacing::Minimal.after(last(0, 2, true)), ms(40));
        assert_eq!(Pacing::Tenth.after(last(0, 50, false)), ms(450));
        assert_eq!(Pacing::Tenth.after(last(1000, 5000, true)), ms(9000));
        assert_eq!(Pacing::Open(ms(300)).after(last(100, 5, false)), ms(200));
        assert_eq!(Pacing::Open(ms(20_000)).after(last(0, 5, false)), ms(20_000));
    }

    #[test]
    fn garbage_delays_nobody_for_long() {
        let garbage =
            Last { ago: Some(ms(0)), length: Duration::from_micros(u32::MAX.into()), failed: true };
        assert!(Pacing::Tenth.after(garbage) <= CAP && Pacing::Minimal.after(garbage) <= CAP);
        assert_eq!(Pacing::Tenth.after(Last { ago: None, ..garbage }), Duration::ZERO);
    }
}
