//! What one enter and leave costs, a row for each processor on which it was measured. How dear a fence is against a
//! system call differs between processors, so that one machine's figure is nobody else's: a run replaces the
//! row of its own processor and leaves the others as they are.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::{FOLDER, Results, Time};

/// A row, in nanoseconds.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Processor {
    name: String,
    pair: f64,
    from_c: Option<f64>,
    parking_lot: Option<f64>,
    flock: Option<f64>,
}

impl Processor {
    /// That of a run which has measured it.
    pub fn of(results: &Results) -> anyhow::Result<Processor> {
        const WHAT: &str = "enter+leave, one thread";
        let own = |what: &str| {
            let row = results.rows.iter().find(|row| row.what == what);
            row.map(|row| row.measured.nanoseconds())
        };
        let peers = results.rows.iter().filter(|row| row.what == WHAT);
        let peers: Vec<_> = peers.filter_map(|row| row.peer.as_ref()).collect();
        let peer = |name: &str| {
            let peer = peers.iter().find(|peer| peer.name == name);
            peer.map(|peer| peer.time.nanoseconds())
        };
        Ok(Processor {
            name: results.machine.processor.clone(),
            pair: own(WHAT).with_context(|| format!("no row '{WHAT}'"))?,
            from_c: own("enter+leave, from C"),
            parking_lot: peer("parking_lot RwLock"),
            flock: peer("flock (fs2)"),
        })
    }
}

pub fn data(root: &Path) -> PathBuf {
    root.join(FOLDER).join("processors.json")
}

/// The rows that are kept.
pub fn read(root: &Path) -> anyhow::Result<Vec<Processor>> {
    let data = data(root);
    let text = std::fs::read_to_string(&data).with_context(|| data.display().to_string())?;
    Ok(serde_json::from_str(&text)?)
}

/// The same with this one in them: in the place of what was known of that processor.
pub fn with(mut rows: Vec<Processor>, new: Processor) -> Vec<Processor> {
    match rows.iter_mut().find(|row| row.name == new.name) {
        Some(row) => *row = new,
        None => rows.push(new),
    }
    rows.sort_by(|one, other| one.name.cmp(&other.name));
    rows
}

pub fn json(rows: &[Processor]) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(rows)? + "\n")
}

pub fn markdown(rows: &[Processor]) -> String {
    let mut text = String::from(
        "| a writer enters and leaves, on | from Rust | from C | parking_lot's read lock | flock |\n\
         |---|---|---|---|---|\n",
    );
    for Processor { name, pair, from_c, parking_lot, flock } in rows {
        let [from_c, parking_lot, flock] =
            [from_c, parking_lot, flock].map(|time| beside(*time, *pair));
        let pair = Time::Took(*pair);
        writeln!(text, "| {name} | {pair} | {from_c} | {parking_lot} | {flock} |")
            .expect("a string takes everything");
    }
    text
}

fn beside(time: Option<f64>, pair: f64) -> String {
    let shown = |time: f64| {
        let (times, time) = (time / pair, Time::Took(time));
        let digits = if times < 10.0 { 1 } else { 0 };
        format!("{time} ({times:.digits$} x)")
    };
    time.map(shown).unwrap_or_default()
}
