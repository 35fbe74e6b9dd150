//! What was measured, in Markdown: each row of the barrier beside all of its peers, or the few figures that say what
//! it is about.

use std::fmt::Write;

use anyhow::Context;

use super::{Curve, Growth, Results, Row};

/// The few, but for what differs most between processors, in plain words: the row, and the peer that the reader is most likely to have.
const FEW: [(&str, &str, &str); 4] = [
    (
        "time to quiet, 8 writers holding 20 ms and resting 5 ms",
        "flock",
        "a snapshot tool gets in among 8 writers, each inside for 20 ms of every 25 (p99)",
    ),
    (
        "one writer holding 1 s among 8 brief ones: longest wait of a brief one",
        "a fair lock",
        "meanwhile one writer stays inside for 1 s: the others wait at most",
    ),
    (
        "pause for a btrfs snapshot, 100 MB dirty",
        "without syncing first",
        "writers stand still for a btrfs snapshot, with 100 MB to be written",
    ),
    (
        "writer killed inside a share: exclusive granted, dirty epoch raised",
        "flock",
        "a writer was killed inside: the tool gets in, and knows of it (p95)",
    ),
];

/// The few figures, and one plot from this folder.
pub fn short(results: &Results, plots: &str) -> anyhow::Result<String> {
    let mut text = String::from("| what | stillpoint | beside it |\n|---|---|---|\n");
    for (what, peer, plainly) in FEW {
        let of_peer = |row: &&Row| {
            row.what == what && row.peer.as_ref().is_some_and(|it| it.name.starts_with(peer))
        };
        let row = results.rows.iter().find(of_peer);
        let row = row.with_context(|| format!("no row '{what}' beside '{peer}'"))?;
        let beside = row.peer.as_ref().map(|it| format!("{}: {}", peer, it.time));
        writeln!(text, "| {plainly} | {} | {} |", row.measured, beside.unwrap_or_default())?;
    }
    Ok(format!("{text}\n{}\n{}", ending(results), quiet(plots)))
}

/// All that was measured; with the plots, if they lie in a folder.
pub fn markdown(results: &Results, plots: Option<&str>) -> String {
    let mut text = format!("{}\n{}\n", rows(&results.rows), ending(results));
    match plots {
        None => text += &growth(&results.growth),
        Some(folder) => {
            text += &format!(
                "{}\n\
                 ![Cost of one enter and leave as threads and processes grow from 1 to 16]\
                 ({folder}/pairs.svg)\n\n\
                 <details><summary>The figures of the plots</summary>\n\n{}</details>\n",
                quiet(folder),
                growth(&results.growth)
            );
        }
    }
    text
}

fn quiet(folder: &str) -> String {
    format!("![Time to quiet as writers grow from 2 to 512]({folder}/quiet.svg)\n")
}

fn rows(rows: &[Row]) -> String {
    let mut text =
        String::from("| what | stillpoint | beside it | target | |\n|---|---|---|---|---|\n");
    let same = |one: &Row, other: &Row| one.what == other.what && one.note == other.note;
    for group in rows.chunk_by(same) {
        let Row { what, measured, note, .. } = &group[0];
        let note = if note.is_empty() { String::new() } else { format!(" ({note})") };
        let peers: Vec<String> = group.iter().filter_map(beside).collect();
        let mut targets: Vec<String> = group.iter().filter_map(target).collect();
        targets.dedup();
        let verdict = match group.iter().filter_map(|row| row.met).reduce(|one, other| one && other)
        {
            None => "",
            Some(true) => "met",
            Some(false) => "**not met**",
        };
        let (peers, targets) = (peers.join("; "), targets.join("; "));
        writeln!(text, "| {what}{note} | {measured} | {peers} | {targets} | {verdict} |")
            .expect("a string takes everything");
    }
    text
}

/// The peer, and how many times the barrier's own figure it takes.
fn beside(row: &Row) -> Option<String> {
    let peer = row.peer.as_ref()?;
    let times = row.ratio.map(|ratio| {
        let digits = usize::from(ratio > 0.1);
        format!(" ({:.digits$} x)", 1.0 / ratio)
    });
    Some(format!("{} {}{}", peer.name, peer.time, times.unwrap_or_default()))
}

fn target(row: &Row) -> Option<String> {
    (!row.target.is_empty()).then(|| row.target.clone())
}

/// The curves, a table each: what the plots show.
fn growth(growth: &Growth) -> String {
    let tables = [
        ("time to quiet, writers", &growth.quiet),
        ("enter+leave, threads", &growth.threads),
        ("enter+leave, processes", &growth.processes),
    ];
    let mut text = String::new();
    for (title, curves) in tables {
        let Some(Curve { points, .. }) = curves.first() else { continue };
        let heads: Vec<String> = points.iter().map(|point| point.many.to_string()).collect();
        let dashes = "---|".repeat(points.len());
        text += &format!("| {title} | {} |\n|---|{dashes}\n", heads.join(" | "));
        for curve in curves {
            let times: Vec<String> =
                curve.points.iter().map(|point| point.time.to_string()).collect();
            text += &format!("| {} | {} |\n", curve.name, times.join(" | "));
        }
        text.push('\n');
    }
    text
}

fn ending(results: &Results) -> String {
    let machine = &results.machine;
    let mut text = format!(
        "{} cores ({}), Linux {}, load average {} at the end{}; nothing pinned, contenders take turns, \
         medians of rounds unless the row says otherwise{}. A target of so many times another figure stands beside that \
         one, of the same run; a time is to be kept on any machine.\n",
        machine.cores,
        machine.processor,
        machine.kernel,
        machine.load,
        if machine.real_time { ", measured at real-time priority" } else { "" },
        if results.quick { "; a short run" } else { "" }
    );
    for skipped in &results.skipped {
        text += &format!("Skipped: {skipped}.\n");
    }
    let judged = results.rows.iter().filter_map(|row| row.met);
    let met = judged.clone().filter(|met| *met).count();
    text + &format!("{met} of {} targets met.\n", judged.count())
}
