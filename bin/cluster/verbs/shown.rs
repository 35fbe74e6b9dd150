//! How epochs are shown, for people and programs.

use serde_json::{Value, json};

use crate::host::snapshot_name;
use crate::record::identity::{EpochId, Name};
use crate::record::verdict::{Part, Verdict};

/// A verdict, with the names of what it speaks of.
pub fn verdict(group: &Name, epoch: EpochId, verdict: &Verdict) -> Value {
    let mut value = json!({
        "schema": 1,
        "group": group,
        "epoch": epoch,
        "name": snapshot_name(group, epoch),
    });
    if let (Some(value), Ok(Value::Object(verdict))) =
        (value.as_object_mut(), serde_json::to_value(verdict))
    {
        value.extend(verdict);
    }
    value
}

/// Members whose pause was whole, and whose part is not to be relied on all the same.
pub fn unclean(verdict: &Verdict) -> Vec<String> {
    let is_clean = |part: &Part| part.certificate.as_ref().is_none_or(|proof| proof.clean);
    let unclean = verdict.members.iter().filter(|(_, part)| !is_clean(part));
    unclean.map(|(host, part)| format!("{host}: its part is not clean{}", why(part))).collect()
}

/// What the host has said of it.
fn why(part: &Part) -> String {
    let more = part.certificate.as_ref().map(|proof| &proof.more);
    let reason = more.and_then(|more| more.get("reason")?.as_str());
    reason.map_or_else(String::new, |reason| format!(": {reason}"))
}

/// Rows with as much room for each column as its longest cell needs.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}
