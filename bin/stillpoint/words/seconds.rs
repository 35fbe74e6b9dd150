//! Durations on the command line and in reports.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

/// The largest duration taken: ten years, so that adding it to a clock cannot overflow.
pub const FOREVER: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

/// A duration as an argument: seconds with or without a fraction (`2`, `0.25`), or with units
/// (`1m30s`, `250ms`, `14d`; a day has 24 hours).
pub fn parse(text: &str) -> Result<Duration, String> {
    let seconds =
        text.parse().ok().or_else(|| with_units(text)).filter(|seconds| !seconds.is_nan());
    match seconds {
        Some(..0.0) => Err("must not be negative".to_string()),
        Some(seconds) => match Duration::try_from_secs_f64(seconds) {
            Ok(duration) if duration <= FOREVER => Ok(duration),
            _ => Err("must not be more than ten years".to_string()),
        },
        None => Err("expected seconds, as 2 or 0.25, or a time with units, as 1m30s".to_string()),
    }
}

fn with_units(text: &str) -> Option<f64> {
    let span: Span = text.parse().ok()?;
    Some(span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?.as_secs_f64())
}

/// A limit that can be lifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// There is none.
    None,
    /// It is over then.
    After(Duration),
}

impl Limit {
    /// How long it is, if there is one.
    pub fn duration(self) -> Option<Duration> {
        match self {
            Limit::None => None,
            Limit::After(duration) => Some(duration),
        }
    }
}

/// No command comes to anything in less, and writers round what they wait for.
const SHORTEST: Duration = Duration::from_millis(1);

/// As [`parse`], or `none`.
pub fn parse_limit(text: &str) -> Result<Limit, String> {
    if text == "none" {
        return Ok(Limit::None);
    }
    match parse(text) {
        Ok(duration) if duration < SHORTEST => Err("must be at least 1ms, or none".to_string()),
        Ok(duration) => Ok(Limit::After(duration)),
        Err(message) => Err(format!("{message}, or none")),
    }
}

/// For people: `850 us`, `12.3 ms`, `2.5 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`.
pub fn display(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        ..0.001 => format!("{} us", duration.as_micros()),
        ..1.0 => format!("{:.1} ms", seconds * 1e3),
        ..60.0 => format!("{seconds:.1} s"),
        ..3600.0 => format!("{} min {} s", duration.as_secs() / 60, duration.as_secs() % 60),
        ..86400.0 => {
            format!("{} h {} min", duration.as_secs() / 3600, duration.as_secs() / 60 % 60)
        }
        _ => format!("{} d {} h", duration.as_secs() / 86400, duration.as_secs() / 3600 % 24),
    }
}

/// For JSON: milliseconds, with three decimals at most.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}

/// For people: the same to the second.
pub fn moment(time: std::time::SystemTime) -> String {
    match jiff::Timestamp::try_from(time) {
        Ok(timestamp) => format!("{timestamp:.0}"),
        Err(_) => "unknown".to_string(),
    }
}

/// RFC 3339, in UTC, to the millisecond.
pub fn timestamp(time: std::time::SystemTime) -> String {
    match jiff::Timestamp::try_from(time) {
        Ok(timestamp) => format!("{timestamp:.3}"),
        Err(_) => "unknown".to_string(),
    }
}
