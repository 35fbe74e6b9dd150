//! Hours, days, weeks, months and years, and which of them a snapshot is of, when no clock is to be trusted.
//!
//! The order of the snapshots can be trusted ([`age`](super::age)), so their times must rise with it. Where they do
//! not, the fewest that disturb it are not believed: a clock that was wrong for some of them, in either direction.
//! One that is not believed is of the day of its neighbours if both are of one day, and of none that is known
//! otherwise. All days are those of UTC, as all times here are: a job must not depend on who starts it.

use jiff::Timestamp;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;

use super::age::{Moment, corrected};

/// What one snapshot is kept of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    Hour,
    Day,
    Week,
    Month,
    Year,
}

pub const PERIODS: [Period; 5] =
    [Period::Hour, Period::Day, Period::Week, Period::Month, Period::Year];

/// The first moment of a period tells it from all others.
type First = (Date, i8);

impl Period {
    /// The one that a moment is in.
    fn of(self, time: Timestamp) -> Option<First> {
        let at = TimeZone::UTC.to_datetime(time);
        let day = at.date();
        let first = match self {
            Period::Hour => return Some((day, at.hour())),
            Period::Day => day,
            // As ISO 8601 has them.
            Period::Week if day.weekday() == Weekday::Monday => day,
            Period::Week => day.nth_weekday(-1, Weekday::Monday).ok()?,
            Period::Month => day.first_of_month(),
            Period::Year => day.first_of_year(),
        };
        Some((first, 0))
    }
}

/// In which hour, day, week, month and year each of a row of moments was, the oldest first; `None` where nothing
/// tells.
#[derive(Debug)]
pub struct Calendar(Vec<[Option<First>; 5]>);

impl Calendar {
    pub fn of(moments: &[Moment<'_>]) -> Calendar {
        let believed = believed(&corrected(moments));
        let mut older = Vec::with_capacity(believed.len());
        let mut last = None;
        for time in &believed {
            last = time.or(last);
            older.push(last);
        }
        let mut newer = vec![None; believed.len()];
        let mut next = None;
        for (index, time) in believed.iter().enumerate().rev() {
            next = time.or(next);
            newer[index] = next;
        }
        let neighbours = older.into_iter().zip(newer);
        Calendar(
            neighbours
                .map(|(older, newer)| {
                    PERIODS.map(|period| {
                        let [older, newer] = [period.of(older?)?, period.of(newer?)?];
                        (older == newer).then_some(newer)
                    })
                })
                .collect(),
        )
    }

    /// The hour, day, week, month and year of one of them.
    pub fn periods(&self, index: usize) -> [Option<First>; 5] {
        self.0[index]
    }
}

/// The most of these times that rise; `None` for the others. Of two choices that which has the later snapshots.
fn believed(times: &[Option<Timestamp>]) -> Vec<Option<Timestamp>> {
    // The last of the best row of each length, and what comes before each in its row.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = vec![None; times.len()];
    for (index, time) in times.iter().enumerate() {
        let Some(time) = time else { continue };
        let length = ends.partition_point(|end| times[*end].is_some_and(|end| end <= *time));
        before[index] = length.checked_sub(1).map(|shorter| ends[shorter]);
        ends.truncate(ends.len().max(length));
        match ends.get_mut(length) {
            Some(end) => *end = index,
            None => ends.push(index),
        }
    }
    let mut believed = vec![None; times.len()];
    let mut next = ends.last().copied();
    while let Some(index) = next {
        believed[index] = times[index];
        next = before[index];
    }
    believed
}

/// The newest ones of a kind, period by period.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen([(usize, Option<First>); 5]);

impl Seen {
    pub fn add(&mut self, periods: [Option<First>; 5]) {
        for ((count, last), period) in self.0.iter_mut().zip(periods) {
            if period.is_some() && *last != period {
                (*count, *last) = (*count + 1, period);
            }
        }
    }

    /// Need it not be kept as the newest of its period, when `keep` of each are?
    pub fn has_enough(&self, periods: [Option<First>; 5], keep: [Option<usize>; 5]) -> bool {
        let rules = self.0.iter().zip(periods).zip(keep);
        rules.into_iter().all(|(((count, last), period), keep)| {
            keep.is_none_or(|keep| *count >= keep || (period.is_some() && *last == period))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn believed_of(times: &[i64]) -> Vec<i64> {
        let times: Vec<_> = times.iter().map(|time| Timestamp::from_second(*time).ok()).collect();
        believed(&times).into_iter().flatten().map(Timestamp::as_second).collect()
    }

    #[test]
    fn the_fewest_that_disturb_the_order_are_not_believed() {
        assert_eq!(believed_of(&[1, 2, 2, 3]), [1, 2, 2, 3]);
        assert_eq!(believed_of(&[1, 2, 99, 3, 4]), [1, 2, 3, 4]);
        assert_eq!(believed_of(&[11, 12, 1, 13]), [11, 12, 13]);
        assert_eq!(believed_of(&[11, 12, 13, 1]), [11, 12, 13]);
        assert_eq!(believed_of(&[99, 1]), [1]);
        assert_eq!(believed_of(&[11, 1, 2, 3]), [1, 2, 3]);
        assert_eq!(believed_of(&[]), [0; 0]);
    }

    #[test]
    fn each_period_begins_where_a_calendar_says() {
        let of = |period: Period, text: &str| {
            let (day, hour) = period.of(text.parse().unwrap()).unwrap();
            format!("{day}/{hour}")
        };
        assert_eq!(of(Period::Hour, "2026-03-01T10:59:59Z"), "2026-03-01/10");
        assert_eq!(of(Period::Day, "2026-03-01T23:59:59Z"), "2026-03-01/0");
        assert_eq!(of(Period::Week, "2026-03-01T10:00:00Z"), "2026-02-23/0");
        assert_eq!(of(Period::Week, "2026-03-02T00:00:00Z"), "2026-03-02/0");
        assert_eq!(of(Period::Week, "2027-01-01T00:00:00Z"), "2026-12-28/0");
        assert_eq!(of(Period::Month, "2026-03-31T10:00:00Z"), "2026-03-01/0");
        assert_eq!(of(Period::Year, "2026-12-31T23:59:59Z"), "2026-01-01/0");
    }
}
