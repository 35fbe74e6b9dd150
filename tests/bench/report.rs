//! The table: what was measured, beside what, and whether that is good enough.

use serde_json::{Value, json};

use crate::measure::Effort;

/// Something measured: nanoseconds, with the digits that matter; or at least that many.
#[derive(Clone, Copy, Debug)]
pub enum Time {
    Took(f64),
    /// Given up after that long.
    MoreThan(f64),
}

impl Time {
    fn nanoseconds(self) -> f64 {
        match self {
            Time::Took(nanoseconds) | Time::MoreThan(nanoseconds) => nanoseconds,
        }
    }

    /// The longer of two.
    pub fn longer(self, other: Time) -> Time {
        if other.nanoseconds() > self.nanoseconds() { other } else { self }
    }

    fn json(self) -> Value {
        json!({ "ns": self.nanoseconds(), "at_least": matches!(self, Time::MoreThan(_)) })
    }
}

impl std::fmt::Display for Time {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let more = if matches!(self, Time::MoreThan(_)) { "> " } else { "" };
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

    fn ratio_text(&self) -> String {
        let Some(ratio) = self.ratio() else { return String::new() };
        let bound = match (self.measured, &self.peer) {
            (_, Some((_, Time::MoreThan(_)))) => "< ",
            (Time::MoreThan(_), _) => "> ",
            _ => "",
        };
        if ratio < 0.1 {
            format!("{bound}1 / {:.0}", 1.0 / ratio)
        } else {
            format!("{bound}{ratio:.2}")
        }
    }

    fn target_text(&self) -> String {
        match self.target {
            Target::Ratio(most) => format!("<= {most} x"),
            Target::Cheaper(times) => format!("<= 1 / {times}"),
            Target::AtMost(most) => format!("<= {}", Time::Took(most)),
            Target::Held(what, _) => what.into(),
            Target::None => String::new(),
        }
    }

    fn verdict(&self) -> &'static str {
        match self.met() {
            None => "",
            Some(true) => "met",
            Some(false) => "NOT MET",
        }
    }
}

/// All rows so far.
pub struct Report {
    json: bool,
    quick: bool,
    rows: Vec<Row>,
    /// What could not be measured here, and why.
    skipped: Vec<String>,
}

impl Report {
    pub fn new(json: bool, effort: &Effort) -> Report {
        Report { json, quick: effort.quick, rows: Vec::new(), skipped: Vec::new() }
    }

    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Says loudly that something is missing.
    pub fn skip(&mut self, what: &str, why: &str) {
        eprintln!("SKIPPED: {what}: {why}");
        self.skipped.push(format!("{what}: {why}"));
    }

    pub fn misses(&self) -> usize {
        self.rows.iter().filter(|row| row.met() == Some(false)).count()
    }

    pub fn print(&self) {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().unwrap_or_default();
        let real_time = runs_at_real_time_priority();
        if self.json {
            let rows: Vec<Value> = self.rows.iter().map(Row::json).collect();
            let machine = json!({ "cores": cores, "kernel": kernel.trim(), "load": load, "real_time": real_time });
            println!(
                "{:#}",
                json!({ "schema": 1, "quick": self.quick, "machine": machine, "rows": rows, "skipped": self.skipped })
            );
            return;
        }
        println!("| what | measured | peer | ratio | target | |");
        println!("|---|---|---|---|---|---|");
        for row in &self.rows {
            let peer = row
                .peer
                .as_ref()
                .map_or_else(String::new, |(name, time)| format!("{name}: {time}"));
            let note = if row.note.is_empty() { String::new() } else { format!(" ({})", row.note) };
            println!(
                "| {}{note} | {} | {peer} | {} | {} | {} |",
                row.what,
                row.measured,
                row.ratio_text(),
                row.target_text(),
                row.verdict()
            );
        }
        println!();
        println!(
            "{cores} cores, Linux {}, load average {load} at the end{}; nothing pinned, contenders interleaved, medians of rounds{}.",
            kernel.trim(),
            if real_time { ", measured at real-time priority" } else { "" },
            if self.quick { ", short run" } else { "" }
        );
        for skipped in &self.skipped {
            println!("Skipped: {skipped}.");
        }
        let judged = self.rows.iter().filter(|row| row.met().is_some()).count();
        println!("{} of {judged} targets met.", judged - self.misses());
    }
}

impl Row {
    fn json(&self) -> Value {
        let peer =
            self.peer.as_ref().map(|(name, time)| json!({ "name": name, "time": time.json() }));
        json!({
            "what": self.what,
            "measured": self.measured.json(),
            "peer": peer,
            "ratio": self.ratio(),
            "target": self.target_text(),
            "met": self.met(),
            "note": self.note,
        })
    }
}

/// Whether this program has been started at a priority above all ordinary work: `policy` in
/// proc_pid_stat(5).
fn runs_at_real_time_priority() -> bool {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Fields are counted from the end of the name, which may contain anything; it is the second.
    let policy = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(41 - 3));
    matches!(policy, Some("1" | "2"))
}
