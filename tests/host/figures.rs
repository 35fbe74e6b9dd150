//! How many copies are taken, and what is said of them.

use std::io::Write;

/// As many copies as are asked for.
pub fn copies(otherwise: usize) -> usize {
    let asked = std::env::var("STILLPOINT_HOST_COPIES");
    asked.map_or(otherwise, |number| number.parse().unwrap())
}

/// Median, ninth decile, and maximum.
pub fn distribution(mut milliseconds: Vec<f64>) -> String {
    milliseconds.sort_by(f64::total_cmp);
    let Some(last) = milliseconds.len().checked_sub(1) else { return "none".into() };
    let at = |part: usize| milliseconds[last * part / 100];
    format!("{:.1} / {:.1} / {:.1} ms", at(50), at(90), at(100))
}

/// Not by a macro, whose output the harness keeps to itself.
pub fn say(figures: &str) {
    let _ = writeln!(std::io::stderr(), "host: {figures}");
}
