//! What was measured, as it is kept, and what is shown of it: all in `tests/bench/README.md`, a little in README.md.
//!
//! The data is one JSON file. The table and the plots are made from it and from nothing else, so they
//! can be made again without measuring, and a test holds them against it.

mod plots;
pub mod processors;
pub mod table;

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// Where data and plots lie, from the root of the repository.
const FOLDER: &str = "tests/bench/results";

/// Both pages say what is measured between these lines.
const BEGIN: &str = "<!-- Written by `scripts/bench --publish`: -->";
const END: &str = "<!-- End of what `scripts/bench --publish` writes. -->";

/// One run of the bench.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Results {
    pub schema: u32,
    /// Fewer rounds, shorter caps.
    pub quick: bool,
    pub machine: Machine,
    pub rows: Vec<Row>,
    pub growth: Growth,
    /// What could not be measured, and why.
    pub skipped: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Machine {
    pub cores: usize,
    pub processor: String,
    pub kernel: String,
    /// The load average at the end.
    pub load: String,
    /// Whether the bench ran before all ordinary work.
    pub real_time: bool,
}

/// The barrier beside one peer, judged.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Row {
    pub what: String,
    pub measured: Time,
    pub peer: Option<Peer>,
    /// Measured / peer.
    pub ratio: Option<f64>,
    pub target: String,
    pub met: Option<bool>,
    /// How it was measured, or what else was seen.
    pub note: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Peer {
    pub name: String,
    pub time: Time,
}

/// What becomes of a cost as more take part.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Growth {
    /// Time to quiet over writers; the first one is the longest share of any of them.
    pub quiet: Vec<Curve>,
    /// Enter and leave over threads of one process.
    pub threads: Vec<Curve>,
    /// The same over processes.
    pub processes: Vec<Curve>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Curve {
    pub name: String,
    pub points: Vec<Point>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Point {
    pub many: u64,
    pub time: Time,
}

/// Something measured: nanoseconds, with the digits that matter; or at least that many.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(from = "StoredTime", into = "StoredTime")]
pub enum Time {
    Took(f64),
    /// Given up after that long.
    MoreThan(f64),
}

#[derive(Deserialize, Serialize)]
struct StoredTime {
    ns: f64,
    at_least: bool,
}

impl From<StoredTime> for Time {
    fn from(stored: StoredTime) -> Time {
        if stored.at_least { Time::MoreThan(stored.ns) } else { Time::Took(stored.ns) }
    }
}

impl From<Time> for StoredTime {
    fn from(time: Time) -> StoredTime {
        StoredTime { ns: time.nanoseconds(), at_least: time.is_given_up() }
    }
}

impl Time {
    pub fn nanoseconds(self) -> f64 {
        match self {
            Time::Took(nanoseconds) | Time::MoreThan(nanoseconds) => nanoseconds,
        }
    }

    pub fn is_given_up(self) -> bool {
        matches!(self, Time::MoreThan(_))
    }
}

impl std::fmt::Display for Time {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let more = if self.is_given_up() { "> " } else { "" };
        let (value, unit) = match self.nanoseconds() {
            nanoseconds if nanoseconds < 1e3 => (nanoseconds, "ns"),
            nanoseconds if nanoseconds < 1e6 => (nanoseconds / 1e3, "us"),
            nanoseconds if nanoseconds < 1e9 => (nanoseconds / 1e6, "ms"),
            nanoseconds => (nanoseconds / 1e9, "s"),
        };
        let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
        write!(out, "{more}{value:.digits$} {unit}")
    }
}

/// Where the data of a run is kept.
pub fn data(root: &Path) -> PathBuf {
    root.join(FOLDER).join("results.json")
}

/// Every file that is made of the data, with what it has to say.
pub fn files(root: &Path) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let data = data(root);
    let text = std::fs::read_to_string(&data).with_context(|| data.display().to_string())?;
    let results: Results = serde_json::from_str(&text)?;
    let plots = [("quiet.svg", plots::quiet(&results)?), ("pairs.svg", plots::pairs(&results)?)];
    let mut files: Vec<_> =
        plots.into_iter().map(|(name, svg)| (root.join(FOLDER).join(name), svg)).collect();
    let pairs = processors::markdown(&processors::read(root)?);
    let few = format!("{pairs}\n{}", table::short(&results, FOLDER)?);
    let all = format!("{pairs}\n{}", table::markdown(&results, Some("results")));
    for (page, section) in [("README.md", few), ("tests/bench/README.md", all)] {
        let path = root.join(page);
        let text = std::fs::read_to_string(&path).with_context(|| page.to_owned())?;
        files.push((path, with_section(page, &text, &section)?));
    }
    Ok(files)
}

/// A page with another section between the two lines.
fn with_section(page: &str, text: &str, section: &str) -> anyhow::Result<String> {
    let parts = text.split_once(BEGIN).and_then(|(before, after)| {
        let (_, after) = after.split_once(END)?;
        Some((before, after))
    });
    let (before, after) =
        parts.with_context(|| format!("{page} has no lines '{BEGIN}' and '{END}'"))?;
    Ok(format!("{before}{BEGIN}\n\n{section}\n{END}{after}"))
}
