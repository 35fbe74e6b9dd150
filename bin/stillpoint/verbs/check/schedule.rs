//! How old the newest snapshot of a job may be, by the schedule in its file.
//!
//! The longest time between two runs counts, as over a week-end: `systemd-analyze calendar` says when the next ones are.
//! Where it is not there, the words are understood that stand for a time of the calendar, and nothing else is guessed.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::finding::{Findings, Level};
use crate::job::Job;
use crate::process::tool;

/// Beyond these something is wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub warning: Option<Duration>,
    pub critical: Option<Duration>,
}

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;
/// How many runs are looked at: more than a week of hourly ones.
const RUNS: &str = "--iterations=200";
/// However often it runs, it may be late by that.
const LEAST_LATE: Duration = Duration::from_secs(HOUR / 4);

/// Words of systemd.time(7), at their longest.
const WORDS: [(&str, u64); 9] = [
    ("minutely", 60),
    ("hourly", HOUR),
    ("daily", DAY),
    ("weekly", 7 * DAY),
    ("monthly", 31 * DAY),
    ("quarterly", 92 * DAY),
    ("semiannually", 184 * DAY),
    ("yearly", 366 * DAY),
    ("annually", 366 * DAY),
];

/// None for a job that says nothing of when it is run: who runs it knows.
pub fn limits(job: &Job, findings: &mut Findings) -> Limits {
    let moments = &job.schedule.on_calendar;
    if moments.is_empty() {
        return Limits::default();
    }
    let Some(gap) = asked(moments).or_else(|| longest_word(moments)) else {
        let what = "how old its snapshots may be: its schedule cannot be read without systemd-analyze; give --warn-age";
        findings.add(Level::Unseen, "age", &job.name, what.to_owned());
        return Limits::default();
    };
    of(gap, job.schedule.randomized_delay.as_deref().and_then(span).unwrap_or_default())
}

/// One run may be late. One that did not come is a warning, and so many that it cannot be chance are critical.
fn of(gap: Duration, delay: Duration) -> Limits {
    let late = delay + (gap / 4).max(LEAST_LATE);
    Limits { warning: Some(gap + late), critical: Some(gap * 3 + late) }
}

/// The longest time between two of the next runs.
fn asked(moments: &[String]) -> Option<Duration> {
    let mut runs = Vec::new();
    let mut known_until = Timestamp::MAX;
    for moment in moments {
        let answer =
            tool::ask_within("systemd-analyze", &["calendar", RUNS, "--", moment], tool::PATIENCE)
                .ok()?;
        let next = elapses(&answer);
        known_until = known_until.min(*next.last()?);
        runs.extend(next);
    }
    runs.retain(|run| *run <= known_until);
    runs.sort();
    let gaps = runs.windows(2).map(|pair| pair[1].duration_since(pair[0]));
    Duration::try_from(gaps.max()?).ok()
}

/// The times in the answer of `systemd-analyze calendar`. Those of another zone are followed by the same in UTC.
fn elapses(answer: &str) -> Vec<Timestamp> {
    let mut found: Vec<Option<Timestamp>> = Vec::new();
    for (key, value) in answer.lines().filter_map(|line| line.trim().split_once(": ")) {
        match key {
            "(in UTC)" => drop(found.pop()),
            "Next elapse" => {}
            _ if key.starts_with("Iter") => {}
            _ => continue,
        }
        found.push(utc(value));
    }
    found.into_iter().flatten().collect()
}

fn utc(text: &str) -> Option<Timestamp> {
    let moment = DateTime::strptime("%a %Y-%m-%d %H:%M:%S UTC", text).ok()?;
    Some(moment.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn longest_word(moments: &[String]) -> Option<Duration> {
    let word = |moment: &String| WORDS.iter().find(|(word, _)| word == moment);
    // The oftenest decides, as long as each is understood.
    let seconds = moments.iter().map(|moment| word(moment).map(|(_, seconds)| *seconds));
    seconds.collect::<Option<Vec<u64>>>()?.into_iter().min().map(Duration::from_secs)
}

/// As in systemd.time(7): `5min`.
fn span(text: &str) -> Option<Duration> {
    let answer =
        tool::ask_within("systemd-analyze", &["timespan", "--", text], tool::PATIENCE).ok()?;
    let micros = answer.lines().filter_map(|line| line.trim().split_once("s: "));
    let micros = micros.filter_map(|(_, value)| value.trim().parse().ok()).next();
    micros.map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_gap_counts() {
        let answer = "  Original form: hourly\n    Next elapse: Mon 2026-11-30 00:00:00 CET\n       (in UTC): Sun 2026-11-29 23:00:00 UTC\n       From now: 33min left\n       Iter. #2: Mon 2026-11-30 03:00:00 CET\n       (in UTC): Mon 2026-11-30 02:00:00 UTC\n";
        let found = elapses(answer);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[1].duration_since(found[0]).as_hours(), 3);
        let answer = "    Next elapse: Fri 2026-11-27 02:00:00 UTC\n       Iter. #2: Mon 2026-11-30 02:00:00 UTC\n";
        assert_eq!(elapses(answer).len(), 2);
        assert_eq!(elapses("    Next elapse: never\n"), []);
    }

    #[test]
    fn words_are_understood_without_systemd() {
        let longest = |words: &[&str]| {
            longest_word(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(longest(&["daily"]), Some(Duration::from_secs(DAY)));
        assert_eq!(longest(&["weekly", "hourly"]), Some(Duration::from_secs(HOUR)));
        assert_eq!(longest(&["daily", "*-*-* 02:00"]), None);
    }

    #[test]
    fn one_that_is_missing_is_a_warning_and_three_are_critical() {
        let hours = |count: u64| Duration::from_secs(count * HOUR);
        let limits = of(hours(24), hours(1));
        assert_eq!((limits.warning, limits.critical), (Some(hours(31)), Some(hours(79))));
    }
}
