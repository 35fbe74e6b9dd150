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

/// How what is written here begins.
const OURS: &[u8] = b"# HELP stillpoint_";

/// Can the file be written? Asked before anything is done.
pub fn check(file: &Path) -> Result<(), Failure> {
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
    if !is_ours(file).map_err(|error| cannot(&reason(&error)))? {
        return Err(cannot("is something else than metrics of this kind, and stays"));
    }
    access(folder_of(file), AccessFlags::W_OK | AccessFlags::X_OK)
        .map_err(|error| cannot(error.desc()))
}

/// Whether it may be replaced: a file of metrics that we have written, an empty one, or nothing. Neither a device
/// nor a link, nor whatever else somebody keeps.
fn is_ours(file: &Path) -> io::Result<bool> {
    let file = match open::file_itself(file, OpenOptions::new().read(true)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) if open::is_irregular(&error) => return Ok(false),
        opened => opened?,
    };
    let mut beginning = Vec::new();
    file.take(OURS.len() as u64).read_to_end(&mut beginning)?;
    Ok(beginning.is_empty() || beginning == OURS)
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
