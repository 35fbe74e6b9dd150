//! What the groups have found, judged against its targets.

use crate::figures::{self, Growth, Machine, Peer, Results, table};
use crate::measure::Effort;

pub use crate::figures::Time;

/// What a row has to keep.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// Measured / peer, at most.
    Ratio(f64),
    /// Peer / measured, at least: so many times cheaper.
    Cheaper(f64),
    /// Nanoseconds, at most.
    AtMost(f64),
    /// Something else that was held or not: what, and whether.
    Held(&'static str, bool),
    /// Only shown.
    None,
}

/// One row of the table.
#[derive(Clone, Debug)]
pub struct Row {
    pub what: String,
    pub measured: Time,
    pub peer: Option<(String, Time)>,
    pub target: Target,
    /// How it was measured, or what else was seen.
    pub note: String,
}

impl Row {
    fn ratio(&self) -> Option<f64> {
        self.peer.as_ref().map(|(_, peer)| self.measured.nanoseconds() / peer.nanoseconds())
    }

    fn met(&self) -> Option<bool> {
        let ratio = self.ratio().unwrap_or(f64::NAN);
        let took = matches!(self.measured, Time::Took(_));
        match self.target {
            Target::Ratio(most) => Some(took && ratio <= most),
            Target::Cheaper(times) => Some(took && 1.0 / ratio >= times),
            Target::AtMost(most) => Some(took && self.measured.nanoseconds() <= most),
            Target::Held(_, held) => Some(took && held),
            Target::None => None,
        }
    }

    fn target_text(&self) -> String {
        match self.target {
            Target::Ratio(most) => format!("<= {most} x {}", self.peer_name()),
            Target::Cheaper(times) => format!("<= {} / {times}", self.peer_name()),
            Target::AtMost(most) => format!("<= {}", Time::Took(most)),
            Target::Held(what, _) => what.into(),
            Target::None => String::new(),
        }
    }

    fn peer_name(&self) -> &str {
        self.peer.as_ref().map_or("", |(name, _)| name)
    }
}

impl From<Row> for figures::Row {
    fn from(row: Row) -> figures::Row {
        figures::Row {
            ratio: row.ratio(),
            target: row.target_text(),
            met: row.met(),
            what: row.what,
            measured: row.measured,
            peer: row.peer.map(|(name, time)| Peer { name, time }),
            note: row.note,
        }
    }
}

/// All that was measured so far.
pub struct Report {
    results: Results,
}

impl Report {
    pub fn new(effort: &Effort) -> Report {
        Report { results: Results { schema: 2, quick: effort.quick, ..Default::default() } }
    }

    pub fn add(&mut self, row: Row) {
        self.results.rows.push(row.into());
    }

    pub fn growth(&mut self) -> &mut Growth {
        &mut self.results.growth
    }

    /// Says loudly that something is missing.
    pub fn skip(&mut self, what: &str, why: &str) {
        eprintln!("SKIPPED: {what}: {why}");
        self.results.skipped.push(format!("{what}: {why}"));
    }

    pub fn misses(&self) -> usize {
        self.results.rows.iter().filter(|row| row.met == Some(false)).count()
    }

    pub fn skipped(&self) -> &[String] {
        &self.results.skipped
    }

    /// Nothing more comes.
    pub fn finish(&mut self) {
        self.results.machine = machine();
    }

    pub fn markdown(&self) -> String {
        table::markdown(&self.results, None)
    }

    pub fn results(&self) -> &Results {
        &self.results
    }

    pub fn json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(&self.results)? + "\n")
    }
}

fn machine() -> Machine {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let about = read("/proc/cpuinfo");
    // What comes behind the number is the distributor's.
    let kernel = read("/proc/sys/kernel/osrelease");
    Machine {
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        processor: processor(&about).unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        kernel: kernel.trim().split('-').next().unwrap_or_default().to_owned(),
        load: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
        real_time: runs_at_real_time_priority(),
    }
}

/// Its name, and what tells it from others that are called the same: virtual machines hide the rest.
fn processor(about: &str) -> Option<String> {
    let field = |wanted: &str| {
        let mut fields = about.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(name, _)| name.trim() == wanted).map(|(_, value)| value.trim())
    };
    let name = field("model name")?;
    Some(match (field("cpu family"), field("model")) {
        (Some(family), Some(model)) => format!("{name}, family {family} model {model}"),
        _ => name.to_owned(),
    })
}

/// Whether this program has been started at a priority above all ordinary work: `policy` in
/// proc_pid_stat(5).
fn runs_at_real_time_priority() -> bool {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Fields are counted from the end of the name, which may contain anything; it is the second.
    let policy = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(41 - 3));
    matches!(policy, Some("1" | "2"))
}
