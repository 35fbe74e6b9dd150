//! Spans of retention: how long something is kept.
//!
//! Not the durations of pauses, where a bare number is seconds and `m` is a minute. What is kept for too
//! short a time is gone, so a span says its unit, and one that could be read in two ways is refused.
//! Months and years are taken at their longest.

use std::time::Duration;

use jiff::Span;

const DAY: u64 = 24 * 60 * 60;

/// A span as an argument: `14d`, `36h`, `6w`, `18mo`, `7y`, `1y6mo`.
pub fn parse(text: &str) -> Result<Duration, String> {
    if text.parse::<f64>().is_ok() {
        return Err("expected a unit: h, d, w, mo or y, as 14d".to_owned());
    }
    let mut units = text.split(|c: char| !c.is_alphabetic());
    if units.any(|unit| unit.eq_ignore_ascii_case("m")) {
        return Err("m may be a minute or a month; write min or mo".to_owned());
    }
    match text.parse::<Span>().ok().and_then(duration) {
        Some(duration) if !duration.is_zero() => Ok(duration),
        Some(_) => Err("must be more than 0".to_owned()),
        None => {
            Err("expected a span of time with units h, d, w, mo or y, as 14d or 1y6mo".to_owned())
        }
    }
}

/// `None` for one that goes backwards.
fn duration(span: Span) -> Option<Duration> {
    let days = |count: i64, days: u64| Some(u64::try_from(count).ok()? * days);
    let whole_days = days(span.get_years().into(), 366)?
        + days(span.get_months().into(), 31)?
        + days(span.get_weeks().into(), 7)?
        + days(span.get_days().into(), 1)?;
    let rest = span.years(0).months(0).weeks(0).days(0);
    let rest = Duration::try_from(rest).ok()?;
    Duration::from_secs(whole_days.checked_mul(DAY)?).checked_add(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_is_what_it_says() {
        for (text, hours) in [
            ("36h", 36),
            ("14d", 14 * 24),
            ("2 weeks", 14 * 24),
            ("1mo", 31 * 24),
            ("2 months", 62 * 24),
            ("1y", 366 * 24),
            ("1y6mo", (366 + 186) * 24),
            ("20y", 20 * 366 * 24),
            ("1d 12h", 36),
            ("120min", 2),
            ("7200s", 2),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs(hours * 3600)), "{text}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for text in ["14", "0.5", "1e3", "14.", "-14"] {
            assert!(parse(text).unwrap_err().contains("unit"), "{text}");
        }
        for text in ["1m", "1M", "1h30m", "30 m", "P1M", "PT5M"] {
            assert!(parse(text).unwrap_err().contains("min or mo"), "{text}");
        }
        for text in ["", "d", "x", "14x", "-14d", "14d ago", "none", "inf", "nan", "99999999999y"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse("0d"), Err("must be more than 0".to_owned()));
    }
}
