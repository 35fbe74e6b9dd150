//! The clock that nobody sets: how long the machine has been running, and since which start of it.
//!
//! Between two moments of one start it tells the time that has passed, whatever the wall clock did
//! meanwhile. It is asked for in two ways, and believed if they agree: a library that fakes time for a
//! program does so for its calls, a container's file system for its files.

use std::fs;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::words::seconds::milliseconds;

/// A moment by that clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClockRecord {
    pub boot_id: String,
    /// `CLOCK_BOOTTIME`, so that the time in which the machine slept counts.
    pub uptime_ms: f64,
}

/// How far the two answers may be apart; they are not given at one moment.
const TOLERANCE: Duration = Duration::from_secs(1);

/// The time namespace in which the machine was started. In another one its clock is set.
const FIRST_NAMESPACE: &str = "time:[4026531834]";

impl ClockRecord {
    /// `None` where it cannot be told.
    pub fn now() -> Option<ClockRecord> {
        // Kernels before 5.6 have no such namespaces.
        if fs::read_link("/proc/self/ns/time").is_ok_and(|link| link.as_os_str() != FIRST_NAMESPACE)
        {
            return None;
        }
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let shown = fs::read_to_string("/proc/uptime").ok()?;
        let shown = shown.split_whitespace().next()?.parse().ok()?;
        let shown = Duration::try_from_secs_f64(shown).ok()?;
        let told = Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?);
        (shown.abs_diff(told) <= TOLERANCE).then(|| ClockRecord {
            boot_id: boot_id.trim().to_owned(),
            uptime_ms: milliseconds(told),
        })
    }

    /// The same clock, so long before.
    pub fn earlier(mut self, by: Duration) -> ClockRecord {
        self.uptime_ms = (self.uptime_ms - milliseconds(by)).max(0.0);
        self
    }

    /// How much later another moment is; `None` if that cannot be: it is of another start.
    pub fn until(&self, later: &ClockRecord) -> Option<Duration> {
        let passed = (later.uptime_ms - self.uptime_ms) / 1e3;
        Duration::try_from_secs_f64(passed).ok().filter(|_| self.boot_id == later.boot_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_within_one_start_and_means_nothing_to_another() {
        let at = |boot_id: &str, uptime_ms: f64| ClockRecord { boot_id: boot_id.into(), uptime_ms };
        assert_eq!(at("a", 1e3).until(&at("a", 3.5e3)), Some(Duration::from_millis(2500)));
        assert_eq!(at("a", 3e3).until(&at("a", 1e3)), None);
        assert_eq!(at("a", 1e3).until(&at("b", 3e3)), None);
        assert_eq!(at("a", 1e3).until(&at("a", f64::NAN)), None);
        assert_eq!(at("a", 1e3).earlier(Duration::from_secs(9)), at("a", 0.0));
    }

    #[test]
    fn it_is_told_where_there_is_one() {
        let Some(before) = ClockRecord::now() else {
            return eprintln!("SKIPPED: the clock of this machine is not its own");
        };
        let passed = before.until(&ClockRecord::now().unwrap()).unwrap();
        assert!(passed < Duration::from_secs(60), "{passed:?}");
    }
}
