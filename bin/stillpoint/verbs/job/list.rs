//! `stillpoint job list`: how the jobs are doing. Reads only.

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};

use crate::catalogue::Catalogue;
use crate::files::names::without_links;
use crate::job::record::{Record, is_running};
use crate::job::{Job, file};
use crate::process::tool;
use crate::words::exit::{Exit, STATUSES};
use crate::words::lines::say;
use crate::words::output::escaped;

#[derive(clap::Args)]
#[command(after_help = STATUSES)]
pub struct Arguments {
    /// Print an array with an object for each job
    #[arg(long)]
    json: bool,
}

/// What is known of one job.
struct Known {
    name: String,
    record: Option<Record>,
    running: bool,
    next: Option<String>,
    /// When the newest clean one was taken.
    clean: Option<String>,
    wrong: Option<String>,
    /// It takes no snapshots.
    freezes: bool,
    barriers: Vec<String>,
    /// The folder of its manifests, if it says one.
    catalog: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let names = file::names()?;
    if names.is_empty() {
        say(&format!(
            "{}: there are no jobs; `stillpoint job init` writes one",
            file::folder().display()
        ));
    }
    let known: Vec<Known> = names.into_iter().map(Known::of).collect();
    let text = match arguments.json {
        true => {
            serde_json::to_string_pretty(&known.iter().map(Known::json).collect::<Vec<_>>())? + "\n"
        }
        false => table(&known),
    };
    let mut out = stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("standard output")?;
    Ok(Exit::SUCCESS)
}

impl Known {
    fn of(name: String) -> Known {
        let (job, wrong) = match Job::read(&name) {
            Ok(job) => (Some(job), None),
            Err(failure) => (None, Some(failure.to_string())),
        };
        let (record, wrong) = match Record::load(&name) {
            Ok(record) => (record, wrong),
            Err(failure) => (None, wrong.or_else(|| Some(failure.to_string()))),
        };
        let running = is_running(&name) == Some(true);
        let wrong = wrong.or_else(|| {
            let record = record.as_ref()?;
            match (&record.ended, &record.failed) {
                (None, _) if !running => Some("the last run was cut short".to_owned()),
                (Some(_), Some(step)) => {
                    Some(format!("{step}: {}", record.reason.as_deref().unwrap_or_default()))
                }
                _ => None,
            }
        });
        let freezes = job.as_ref().is_some_and(Job::only_freezes);
        let clean = job.as_ref().filter(|_| !freezes).and_then(newest_clean);
        let barriers = job.iter().flat_map(|job| &job.snapshot.barriers);
        let barriers = barriers.map(|one| one.to_string_lossy().into_owned()).collect();
        let next = if freezes { None } else { next(&name) };
        let catalog = job.and_then(|job| job.snapshot.catalog);
        Known { next, clean, running, record, wrong, freezes, barriers, catalog, name }
    }

    fn result(&self) -> String {
        match &self.record {
            _ if self.running => "running".to_owned(),
            None if self.freezes => "only freezes".to_owned(),
            None => "never run".to_owned(),
            Some(record) => match record.exit {
                None => "cut short".to_owned(),
                Some(0) => "well".to_owned(),
                Some(status) => format!("failed ({status})"),
            },
        }
    }

    fn json(&self) -> Value {
        json!({
            "job": self.name,
            "only_freezes": self.freezes,
            "barriers": self.barriers,
            "catalog": self.catalog.as_deref().map(Path::to_string_lossy),
            "running": self.running,
            "last": self.record,
            "next": self.next,
            "newest_clean": self.clean,
            "wrong": self.wrong,
        })
    }
}

fn newest_clean(job: &Job) -> Option<String> {
    let arguments = &job.snapshot;
    let barrier =
        without_links(&stillpoint::barrier_path(arguments.barriers.first()?, false).ok()?);
    let contents = Catalogue::locate(arguments.catalog.as_deref()).read().ok()?.under(&barrier);
    let newest = contents.newest(|manifest| manifest.clean && manifest.label == arguments.label)?;
    newest.taken_at().map(|at| format!("{at:.0}"))
}

/// When systemd will run it.
fn next(name: &str) -> Option<String> {
    if !Path::new("/run/systemd/system").is_dir() {
        return None;
    }
    let unit = format!("stillpoint-job@{}.timer", file::instance(name));
    let mut command = tool::command("systemctl");
    command.env("TZ", "UTC").args(["show", "-P", "NextElapseUSecRealtime", "--", &unit]);
    let next = tool::run(&mut command).ok()?;
    Some(in_our_style(next.trim())).filter(|next| !next.is_empty())
}

/// `Mon 2026-11-30 03:03:15 UTC`, as all other times are written.
fn in_our_style(time: &str) -> String {
    let found = time
        .split_once(' ')
        .and_then(|(_, time)| jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S UTC", time).ok());
    found.map_or_else(|| time.to_owned(), |time| format!("{time}Z"))
}

fn table(known: &[Known]) -> String {
    let none = || "-".to_owned();
    let head = ["JOB", "LAST", "WENT", "NEXT", "NEWEST CLEAN", "WRONG"].map(str::to_owned);
    let mut rows = vec![head];
    for one in known {
        let time = |time: &String| {
            time.parse::<jiff::Timestamp>()
                .map_or_else(|_| time.clone(), |time| format!("{time:.0}"))
        };
        let last = one.record.as_ref().map_or_else(none, |record| time(&record.began));
        rows.push(
            [
                one.name.clone(),
                last,
                one.result(),
                one.next.clone().unwrap_or_else(none),
                one.clean.clone().unwrap_or_else(none),
                one.wrong.clone().unwrap_or_else(none),
            ]
            .map(|cell| escaped(&cell).into_owned()),
        );
    }
    if known.is_empty() {
        return String::new();
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            line += &format!("{cell:<width$}  ");
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_times_are_of_one_style() {
        assert_eq!(in_our_style("Mon 2026-11-30 03:03:15 UTC"), "2026-11-30T03:03:15Z");
        assert_eq!(in_our_style("n/a"), "n/a");
    }
}
