//! How far something long has come: bytes, files, how fast, and how long it may still take.
//!
//! On the line of [`live`](super::live), so on a terminal only. It costs the work itself a look at the clock each
//! time, and a count five times a second. What matters most stands first, where a narrow terminal shows it.

use std::fmt::Display;
use std::time::{Duration, Instant};

use indicatif::{BinaryBytes, HumanCount};

use super::live::Live;
use super::output::escaped;
use super::seconds;

/// What has been done so far; `None` where that cannot be told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Amount {
    pub bytes: Option<u64>,
    pub files: Option<u64>,
}

/// Something long that is under way.
pub struct Progress {
    live: Live,
    doing: &'static str,
    what: String,
    began: Instant,
    of: Amount,
    limit: Option<Instant>,
}

impl Progress {
    /// As `copying`, and what.
    pub fn new(doing: &'static str, what: impl Display) -> Progress {
        Progress {
            live: Live::new(),
            doing,
            what: escaped(&what.to_string()).into_owned(),
            began: Instant::now(),
            of: Amount::default(),
            limit: None,
        }
    }

    /// How much it will be, about.
    pub fn of(mut self, of: Amount) -> Progress {
        self.of = of;
        self
    }

    /// When it is ended if it has not ended by then.
    pub fn until(mut self, limit: Option<Instant>) -> Progress {
        self.limit = limit;
        self
    }

    /// Will anybody see it?
    pub fn is_possible(&self) -> bool {
        self.live.is_possible()
    }

    /// Says how far it is, if it is time to; only then is it counted.
    pub fn show(&mut self, count: impl FnOnce() -> Amount) {
        let since = self.began.elapsed();
        if self.live.is_due(since) {
            let left = self.limit.map(|limit| limit.saturating_duration_since(Instant::now()));
            let far = describe(count(), self.of, since, left);
            self.live.show(&format!("{}: {far}: {}", self.doing, self.what));
        }
    }
}

fn describe(done: Amount, of: Amount, since: Duration, left: Option<Duration>) -> String {
    let mut parts = Vec::new();
    let known = |of: Option<u64>, done: u64| of.filter(|of| *of >= done && *of > 0);
    parts.extend(done.bytes.map(|bytes| match known(of.bytes, bytes) {
        Some(of) => format!("{} of ~{}", BinaryBytes(bytes), BinaryBytes(of)),
        None => BinaryBytes(bytes).to_string(),
    }));
    parts.extend(left.map(|left| format!("at most {} more", seconds::display(left))));
    parts.extend(done.files.map(|files| match known(of.files, files) {
        Some(of) => format!("{} of ~{} files", HumanCount(files), HumanCount(of)),
        None => format!("{} files", HumanCount(files)),
    }));
    let per_second = |done: u64| (done as f64 / since.as_secs_f64()) as u64;
    match done {
        Amount { bytes: Some(bytes), .. } => {
            parts.push(format!("{}/s", BinaryBytes(per_second(bytes))));
        }
        Amount { files: Some(files), .. } => {
            parts.push(format!("{}/s", HumanCount(per_second(files))));
        }
        _ => {}
    }
    parts.push(format!("since {}", seconds::display(since)));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_is_known_and_nothing_else() {
        let second = Duration::from_secs(2);
        let all = Amount { bytes: Some(3 << 20), files: Some(1200) };
        let none = Amount::default();
        let of = Amount { bytes: Some(4 << 20), files: Some(2400) };
        assert_eq!(
            describe(all, of, second, Some(second * 4)),
            "3.00 MiB of ~4.00 MiB, at most 8.0 s more, 1,200 of ~2,400 files, 1.50 MiB/s, since 2.0 s"
        );
        let files = Amount { bytes: None, ..all };
        assert_eq!(describe(files, none, second, None), "1,200 files, 600/s, since 2.0 s");
        assert_eq!(describe(none, of, second, None), "since 2.0 s");
        // An estimate that turned out to be too small is none.
        let more = Amount { bytes: Some(5 << 20), files: None };
        assert_eq!(describe(more, of, second, None), "5.00 MiB, 2.50 MiB/s, since 2.0 s");
    }
}
