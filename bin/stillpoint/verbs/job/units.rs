//! `stillpoint job units`: what the files of jobs say of their units, as drop-ins for systemd.
//!
//! For systemd.generator(7). So [schedule] is where a timer has its times from, and a job waits for its barriers at
//! the start of the machine; a file that is changed counts with the next `systemctl daemon-reload`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::job::{Job, Schedule, file};
use crate::words::exit::{Exit, Failure, STATUSES};
use crate::words::lines::say;

#[derive(clap::Args)]
#[command(after_help = STATUSES)]
pub struct Arguments {
    /// The folder that gets them
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// A job that is not understood is left out, and has its timer's own times.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let mut exit = Exit::SUCCESS;
    for name in file::names()? {
        match Job::read(&name) {
            // A host runs it, and no timer.
            Ok(job) if job.only_freezes() => {}
            Ok(job) => {
                let unit = format!("stillpoint-job@{}", file::instance(&name));
                write(&arguments.folder, &format!("{unit}.timer"), timer(&job.schedule))?;
                write(&arguments.folder, &format!("{unit}.service"), service(&job))?;
            }
            Err(failure) => {
                say(&failure.to_string());
                exit = failure.exit;
            }
        }
    }
    Ok(exit)
}

fn timer(schedule: &Schedule) -> String {
    let mut text = String::new();
    if !schedule.on_calendar.is_empty() {
        text += "OnCalendar=\n";
    }
    for moment in &schedule.on_calendar {
        text += &format!("OnCalendar={}\n", literal(moment));
    }
    if let Some(delay) = &schedule.randomized_delay {
        text += &format!("RandomizedDelaySec={}\n", literal(delay));
    }
    if let Some(persistent) = schedule.persistent {
        text += &format!("Persistent={persistent}\n");
    }
    if text.is_empty() { text } else { format!("[Timer]\n{text}") }
}

/// Barriers with a name have units.
fn service(job: &Job) -> String {
    let barriers = job.snapshot.barriers.iter().filter_map(|barrier| barrier.to_str());
    let units: Vec<String> = barriers
        .filter(|barrier| !barrier.contains('/'))
        .map(|barrier| format!("stillpoint@{}.service", literal(&file::instance(barrier))))
        .collect();
    match units.join(" ") {
        units if units.is_empty() => units,
        units => format!("[Unit]\nRequires={units}\nAfter={units}\n"),
    }
}

/// No specifier of systemd.unit(5).
fn literal(text: &str) -> String {
    text.replace('%', "%%")
}

fn write(folder: &Path, unit: &str, text: String) -> Result<(), Failure> {
    if text.is_empty() {
        return Ok(());
    }
    let place = folder.join(format!("{unit}.d"));
    let file = place.join("50-job.conf");
    fs::create_dir_all(&place)
        .and_then(|()| fs::write(&file, text))
        .map_err(|error| Failure::system(file.display(), error))
}
