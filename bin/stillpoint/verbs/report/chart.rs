//! The drawings: SVG without text, so that it may be stretched; what it shows is said beside it in HTML.

use std::fmt::Write;

use super::html::escape;
use super::series::{Series, Shot, State};

/// Of a drawing, in units of its own.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 100.0;

/// When each snapshot was taken, and what it is good for.
pub fn timeline(series: &Series<'_>) -> String {
    let at = Places::of(&series.shots);
    let mut out =
        open("timeline", "The snapshots in their order, each as a line in the colour of its state");
    // Where they are close, those are seen that went wrong.
    let mut shots: Vec<&Shot<'_>> = series.shots.iter().collect();
    shots.sort_by_key(|shot| shot.state == State::Failed);
    for shot in shots {
        let (x, class) = (at.of_shot(shot), shot.state.class());
        let what = format!("{}: {}", shot.manifest.name, shot.state.words());
        let _ = write!(
            out,
            r#"<path class="{class}" d="M{x:.1} 8V92"><title>{}</title></path>"#,
            escape(&what)
        );
    }
    close(out)
}

/// Pauses and drains over time, on a scale where each line is ten times the one below.
pub fn trend(series: &Series<'_>) -> String {
    let at = Places::of(&series.shots);
    let mut out = open("trend", "How long each pause and each drain took");
    for decade in 1..DECADES {
        let y = HEIGHT - HEIGHT * f64::from(decade) / f64::from(DECADES);
        let _ = write!(out, r#"<path class="grid" d="M0 {y:.1}H{WIDTH}"/>"#);
    }
    for (class, of) in [
        ("drain", (|shot| shot.drain_ms) as fn(&Shot<'_>) -> Option<f64>),
        ("pause", |shot| shot.pause_ms),
    ] {
        let known =
            series.shots.iter().filter_map(|shot| Some((at.of_shot(shot), height(of(shot)?))));
        let mut line = String::new();
        for (x, y) in known {
            let step = if line.is_empty() { 'M' } else { 'L' };
            // A point of its own, for one that has no neighbours.
            let _ = write!(line, "{step}{x:.1} {y:.1}h.1");
        }
        let _ = write!(out, r#"<path class="{class}" d="{line}"/>"#);
    }
    close(out)
}

/// The scale of [`trend`]: from 0.01 ms up.
pub const LEAST_MS: f64 = 0.01;
pub const DECADES: u32 = 8;

fn height(ms: f64) -> f64 {
    // Not std's: that of the C library is a library of its own, which each start of the command would wait for.
    let share = libm::log10(ms.max(LEAST_MS) / LEAST_MS) / f64::from(DECADES);
    HEIGHT * (1.0 - share.min(1.0))
}

/// The upper ends of the classes of [`histogram`], but the last one's, and what they are called.
pub const CLASSES: [(f64, &str); 9] = [
    (1.0, "< 1 ms"),
    (3.0, "1-3 ms"),
    (10.0, "3-10 ms"),
    (30.0, "10-30 ms"),
    (100.0, "30-100 ms"),
    (300.0, "0.1-0.3 s"),
    (1000.0, "0.3-1 s"),
    (10_000.0, "1-10 s"),
    (f64::INFINITY, "> 10 s"),
];

/// How many pauses fall into each class.
pub fn histogram(series: &Series<'_>) -> [usize; CLASSES.len()] {
    let mut counts = [0; CLASSES.len()];
    for pause in series.shots.iter().filter_map(|shot| shot.pause_ms) {
        let class = CLASSES.iter().position(|(end, _)| pause < *end);
        counts[class.unwrap_or(CLASSES.len() - 1)] += 1;
    }
    counts
}

/// Where on the axis of time.
struct Places {
    first: i64,
    span: f64,
}

impl Places {
    fn of(shots: &[Shot<'_>]) -> Places {
        let times = || shots.iter().filter_map(|shot| shot.taken).map(|at| at.as_millisecond());
        let first = times().min().unwrap_or(0);
        let last = times().max().unwrap_or(0);
        Places { first, span: (last - first) as f64 }
    }

    fn of_shot(&self, shot: &Shot<'_>) -> f64 {
        let passed = shot.taken.map_or(0, |at| at.as_millisecond() - self.first) as f64;
        let share = if self.span > 0.0 { passed / self.span } else { 0.5 };
        5.0 + share * (WIDTH - 10.0)
    }
}

fn open(class: &str, said: &str) -> String {
    format!(
        r#"<svg class="{class}" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{said}">"#
    )
}

fn close(mut out: String) -> String {
    out.push_str("</svg>");
    out
}
