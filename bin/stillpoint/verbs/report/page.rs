//! The page: one section for each series.

use std::fmt::Write;
use std::time::Duration;

use indicatif::{BinaryBytes, HumanCount};
use jiff::Timestamp;

use super::chart::{self, CLASSES, DECADES, LEAST_MS};
use super::html::escape;
use super::series::{Series, Shot, State, verified};
use crate::catalogue::manifest::Manifest;
use crate::words::seconds::display;

const STYLE: &str = include_str!("style.css");

/// Rows in the table of a series: all others are in `list`.
const ROWS: usize = 100;
/// Of those who were waited for.
const WAITED: usize = 10;

/// The whole page.
pub fn page(place: &str, all: &[Series<'_>], damaged: usize, now: Timestamp) -> String {
    let place = escape(place);
    // No script, no image, no address anywhere: a browser is told to load nothing, should there be one.
    let mut out = format!(
        r#"<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>stillpoint: {place}</title><style>
{STYLE}</style></head><body>
<header><h1>Snapshots</h1><p>{place}, as of <time>{now:.0}</time></p>"#
    );
    if damaged > 0 {
        let _ = write!(
            out,
            r#"<p class="bad">Files that are no manifests, and not shown: {damaged}; <code>stillpoint list</code> names them.</p>"#
        );
    }
    if all.is_empty() {
        out.push_str("<p>There are no snapshots.</p>");
    }
    out.push_str("</header>\n<main>\n");
    for series in all {
        section(&mut out, series, now);
    }
    out.push_str("</main></body></html>\n");
    out
}

fn section(out: &mut String, series: &Series<'_>, now: Timestamp) {
    let newest = series.newest();
    let paths = |paths: &mut dyn Iterator<Item = String>| paths.collect::<Vec<_>>().join(", ");
    let sources = paths(&mut newest.sources.iter().map(|path| path.display().to_string()));
    let barriers = paths(&mut newest.barriers.iter().map(|one| one.barrier.display().to_string()));
    let title = match (&newest.label, sources.is_empty()) {
        (Some(label), true) => label.clone(),
        (Some(label), false) => format!("{label}: {sources}"),
        (None, true) => "a command".to_owned(),
        (None, false) => sources,
    };
    let _ = write!(
        out,
        "<section><h2>{}</h2><p class=\"of\">by {} under {}</p>",
        escape(&title),
        escape(&newest.provider),
        escape(&barriers)
    );
    facts(out, series, now);
    timeline(out, series);
    pauses(out, series);
    waited(out, series);
    table(out, series);
    out.push_str("</section>\n");
}

/// What one wants to know first.
fn facts(out: &mut String, series: &Series<'_>, now: Timestamp) {
    let mut facts = Vec::new();
    match series.newest_clean() {
        None => facts.push(("Newest clean", "bad", "there is none".to_owned())),
        Some(shot) => {
            let age = shot.taken.map(|taken| now.duration_since(taken));
            let age = age.and_then(|age| Duration::try_from(age).ok());
            let age = age.map_or("of the future".to_owned(), |age| format!("{} ago", display(age)));
            facts.push(("Newest clean", "good", age));
            facts.push(("Its name", "", shot.manifest.name.clone()));
            let (class, covered) = match shot.manifest.covered {
                Some(true) => ("good", "all writers were stilled"),
                Some(false) => ("bad", "not all writers were stilled"),
                None => ("", "not known"),
            };
            facts.push(("Covered", class, covered.to_owned()));
            if let Some(verdict) = verified(shot.manifest) {
                let class = if verdict.starts_with("good") { "good" } else { "bad" };
                facts.push(("Verified", class, verdict));
            }
        }
    }
    if let Some(size) = series.newest_clean().and_then(|shot| size(shot.manifest)) {
        facts.push(("Its size", "", size));
    }
    let newest = series.shots.last().expect("a series has a snapshot");
    let class = match newest.state {
        State::Clean => "good",
        State::Failed => "bad",
        _ => "",
    };
    facts.push(("Newest of all", class, newest.state.words().to_owned()));
    out.push_str("<dl>");
    for (name, class, value) in facts {
        let value = escape(&value);
        let _ = write!(out, r#"<div class="{class}"><dt>{name}</dt><dd>{value}</dd></div>"#);
    }
    out.push_str("</dl>");
}

fn timeline(out: &mut String, series: &Series<'_>) {
    out.push_str("<h3>When they were taken</h3><ul class=\"legend\">");
    for state in State::ALL {
        let count = series.count(state);
        let _ = write!(
            out,
            r#"<li class="{}{}">{count} {}</li>"#,
            state.class(),
            if count == 0 { " none" } else { "" },
            state.words()
        );
    }
    let _ = write!(out, "</ul>{}", chart::timeline(series));
    ends(out, series);
}

/// What the two ends of the axis of time are.
fn ends(out: &mut String, series: &Series<'_>) {
    let times = || series.shots.iter().filter_map(|shot| shot.taken);
    if let (Some(first), Some(last)) = (times().min(), times().max()) {
        let _ = write!(out, r#"<p class="ends"><time>{first:.0}</time><time>{last:.0}</time></p>"#);
    }
}

fn pauses(out: &mut String, series: &Series<'_>) {
    let counts = chart::histogram(series);
    let most = counts.iter().copied().max().unwrap_or(0);
    out.push_str("<h3>How long writers were kept waiting</h3>");
    if most == 0 {
        out.push_str("<p>No pause is known.</p>");
        return;
    }
    out.push_str(r#"<ul class="legend"><li class="pause">pause</li><li class="drain">drain, until nobody was inside</li></ul><div class="scaled"><div class="scale">"#);
    for decade in 1..DECADES {
        let ms = LEAST_MS * 10_f64.powi(decade as i32);
        let at = f64::from(decade) * 100.0 / f64::from(DECADES);
        let name = if ms < 1000.0 { format!("{ms} ms") } else { format!("{} s", ms / 1000.0) };
        let _ = write!(out, r#"<span style="bottom:{at:.1}%">{name}</span>"#);
    }
    let _ = write!(out, "</div>{}</div>", chart::trend(series));
    ends(out, series);
    out.push_str(r#"<table class="histogram"><caption>Pauses by length</caption><tbody>"#);
    for ((_, name), count) in CLASSES.iter().zip(counts) {
        let share = count * 100 / most;
        let _ = write!(
            out,
            r#"<tr><th scope="row">{}</th><td>{count}</td><td><span style="width:{share}%"></span></td></tr>"#,
            escape(name)
        );
    }
    out.push_str("</tbody></table>");
}

fn waited(out: &mut String, series: &Series<'_>) {
    if series.waited.is_empty() {
        return;
    }
    out.push_str("<h3>Who was waited for most</h3><table><thead><tr><th>Writer</th><th>Times</th><th>Inside at most</th></tr></thead><tbody>");
    for one in series.waited.iter().take(WAITED) {
        let _ = write!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&one.who),
            one.times,
            length(Some(one.longest_ms))
        );
    }
    out.push_str("</tbody></table>");
}

fn table(out: &mut String, series: &Series<'_>) {
    let shown = series.shots.len().min(ROWS);
    let which = match shown < series.shots.len() {
        true => format!("The newest {shown} of {}", series.shots.len()),
        false => format!("All {shown}"),
    };
    let _ = write!(
        out,
        "<details><summary>{which}</summary><div class=\"wide\"><table><thead><tr><th>Name</th><th>State</th><th>Taken</th><th>Drain</th><th>Pause</th><th>Size</th><th>Remark</th></tr></thead><tbody>"
    );
    for Shot { manifest, state, taken, pause_ms, drain_ms } in series.shots.iter().rev().take(ROWS)
    {
        let taken = taken.map_or("-".to_owned(), |taken| format!("{taken:.0}"));
        let _ = write!(
            out,
            r#"<tr><td>{}</td><td class="{}">{}</td><td>{taken}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>"#,
            escape(&manifest.name),
            state.class(),
            state.words(),
            length(*drain_ms),
            length(*pause_ms),
            size(manifest).unwrap_or_else(|| "-".to_owned()),
            escape(manifest.reason.as_deref().unwrap_or_default())
        );
    }
    out.push_str("</tbody></table></div></details>");
}

/// What is in it, and what it takes by itself, if that is something else.
fn size(manifest: &Manifest) -> Option<String> {
    let size = manifest.size?;
    let own = size.own_bytes.filter(|own| size.bytes.is_some_and(|bytes| bytes != *own));
    let own = own.map(|own| format!(", {} its own", BinaryBytes(own))).unwrap_or_default();
    let files = size.files.map(|files| match files {
        1 => " in 1 file".to_owned(),
        files => format!(" in {} files", HumanCount(files)),
    });
    Some(format!("{}{}{own}", size.shown()?, files.unwrap_or_default()))
}

fn length(ms: Option<f64>) -> String {
    let length = ms.and_then(|ms| Duration::try_from_secs_f64(ms / 1e3).ok());
    length.map_or("-".to_owned(), display)
}
