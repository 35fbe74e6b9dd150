//! A file for the textfile collector of Prometheus's node exporter.
//!
//! It is written aside, under a name that the collector does not read, and renamed, so that it never reads half of
//! one; what cannot be written leaves the old one, whose times tell how old it is.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::path::Path;

use nix::unistd::{AccessFlags, access};

use crate::files::aside::Aside;
use crate::files::names::folder_of;
use crate::files::open;
use crate::words::exit::{Exit, Failure, reason};
use crate::words::metric;

/// Of what a run writes.
const LONGEST: u64 = 1 << 20;

/// Who writes a file: each has one of its own, for what replaces another's hides what that told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// `status`, again and again.
    Report,
    /// A run of `snapshot` or of a job.
    Run,
}

/// How what is written here begins.
const OURS: &[u8] = b"# HELP stillpoint_";
/// And how what a run writes does.
const OF_A_RUN: &[u8] = b"# HELP stillpoint_snapshot_last_";

/// Can the file be written? Asked before anything is done.
pub fn check(file: &Path, writer: Writer) -> Result<(), Failure> {
    let cannot = |why: &str| {
        let message = format!(
            "--metrics-textfile {}: {why}; name a file in a folder that can be written",
            file.display()
        );
        Failure::new(Exit::CANNOT_CREATE, message)
    };
    if file.file_name().is_none() || file.is_dir() {
        return Err(cannot("is no file"));
    }
    match owner(file).map_err(|error| cannot(&reason(&error)))? {
        Owner::Nobody => {}
        Owner::Metrics(found) if found == writer => {}
        Owner::Metrics(Writer::Report) => {
            return Err(cannot("is written by stillpoint status, and would hide what that tells"));
        }
        Owner::Metrics(Writer::Run) => {
            return Err(cannot("is written by runs of a snapshot, and would hide how they went"));
        }
        Owner::Another => {
            return Err(cannot("is something else than metrics of this kind, and stays"));
        }
    }
    access(folder_of(file), AccessFlags::W_OK | AccessFlags::X_OK)
        .map_err(|error| cannot(error.desc()))
}

/// Whose a file is: a file of metrics that we have written, an empty one or nothing, or something else: a device, a link,
/// or whatever else somebody keeps.
enum Owner {
    Nobody,
    Metrics(Writer),
    Another,
}

fn owner(file: &Path) -> io::Result<Owner> {
    let file = match open::file_itself(file, OpenOptions::new().read(true)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Owner::Nobody),
        Err(error) if open::is_irregular(&error) => return Ok(Owner::Another),
        opened => opened?,
    };
    let mut beginning = Vec::new();
    file.take(OF_A_RUN.len() as u64).read_to_end(&mut beginning)?;
    Ok(match beginning.as_slice() {
        [] => Owner::Nobody,
        OF_A_RUN => Owner::Metrics(Writer::Run),
        some if some.starts_with(OURS) => Owner::Metrics(Writer::Report),
        _ => Owner::Another,
    })
}

/// The samples of the exit status in a file that a run has written, without their values: one for each barrier of its series.
pub fn series_in(file: &Path) -> Vec<String> {
    let opened = open::file_itself(file, OpenOptions::new().read(true));
    let text = opened.and_then(|file| io::read_to_string(file.take(LONGEST))).unwrap_or_default();
    series_of(&text)
}

/// The same of a text.
pub fn series_of(text: &str) -> Vec<String> {
    let of_exit = text.lines().filter(|line| line.starts_with(metric::RUN_EXIT.name));
    of_exit.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
}

/// Writes the file.
pub fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let written = (|| {
        // The collector is another user.
        Aside::write(folder_of(file), 0o644, text.as_bytes())?.replace(file)
    })();
    written.map_err(|error: io::Error| {
        let message = format!("{}: cannot write the metrics: {}", file.display(), reason(&error));
        Failure::new(Exit::CANNOT_CREATE, message)
    })
}
