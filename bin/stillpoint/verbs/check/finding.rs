//! What was found, and how bad it is.

use crate::words::exit::Exit;

/// The worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Ok,
    /// It could not be seen from here, and is not held against anybody.
    Unseen,
    /// It could not be seen, and nothing is known without it.
    Unknown,
    Warning,
    Critical,
}

impl Level {
    /// That of a plug-in.
    pub fn exit(self) -> Exit {
        Exit::new(match self {
            Level::Ok | Level::Unseen => 0,
            Level::Warning => 1,
            Level::Critical => 2,
            Level::Unknown => 3,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Level::Ok => "OK",
            Level::Unseen => "UNSEEN",
            Level::Unknown => "UNKNOWN",
            Level::Warning => "WARNING",
            Level::Critical => "CRITICAL",
        }
    }
}

/// One thing that was looked at.
pub struct Finding {
    pub level: Level,
    /// What kind of thing: `barrier`, `state`, ...
    pub check: &'static str,
    /// Which one; empty: all.
    pub subject: String,
    /// How it is, and what to do.
    pub message: String,
}

/// A number that was measured, for whoever draws it.
pub struct Measure {
    pub label: String,
    pub value: f64,
    pub unit: &'static str,
    pub warning: Option<f64>,
    pub critical: Option<f64>,
}

/// All of it.
#[derive(Default)]
pub struct Findings {
    pub findings: Vec<Finding>,
    pub measures: Vec<Measure>,
}

impl Findings {
    pub fn add(&mut self, level: Level, check: &'static str, subject: &str, message: String) {
        self.findings.push(Finding { level, check, subject: subject.to_owned(), message });
    }

    pub fn measure(&mut self, label: String, value: f64, unit: &'static str) {
        self.add_measure(Measure { label, value, unit, warning: None, critical: None });
    }

    /// A label may come but once, and two series may have the same name, or be in one folder.
    pub fn add_measure(&mut self, mut measure: Measure) {
        let is_taken = |label: &String| self.measures.iter().any(|one| one.label == *label);
        if is_taken(&measure.label) {
            // How much is free is the same for both.
            if measure.unit == "B" {
                return;
            }
            let mut others = (2..).map(|number| format!("{} {number}", measure.label));
            measure.label = others.find(|label| !is_taken(label)).unwrap_or_default();
        }
        self.measures.push(measure);
    }

    pub fn worst(&self) -> Level {
        self.findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok)
    }

    /// That of a plug-in: what could not be seen is held against nobody.
    pub fn state(&self) -> Level {
        match self.worst() {
            Level::Unseen => Level::Ok,
            other => other,
        }
    }

    /// The worst first; else as they were found.
    pub fn sorted(&self) -> Vec<&Finding> {
        let mut sorted: Vec<&Finding> = self.findings.iter().collect();
        sorted.sort_by_key(|finding| std::cmp::Reverse(finding.level));
        sorted
    }
}
