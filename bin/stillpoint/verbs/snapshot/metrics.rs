//! `--metrics-textfile`: how this run went, for the textfile collector of Prometheus's node exporter.
//!
//! The file is written aside, under a name that the collector does not read, and renamed, so that it
//! never reads half of one. It is written after every run, failed ones too, and those that were refused
//! before there was a manifest: what the last good run left must not go on saying that all is well. What
//! an alert needs of runs before, the time of the newest clean snapshot of this series, comes from the
//! catalogue.

use std::fs::{OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::unistd::{AccessFlags, access};

use crate::catalogue::Catalogue;
use crate::catalogue::manifest::Manifest;
use crate::catalogue::metrics::{Series, add_newest_clean, labels, series_of};
use crate::files::names::{folder_of, without_links};
use crate::files::open;
use crate::snapshot::arguments::Arguments;
use crate::words::exit::{Exit, Failure, reason};
use crate::words::exposition::Exposition;

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

/// Writes the file; a failure is no failure of the snapshot.
pub fn write(
    file: &Path,
    arguments: &Arguments,
    manifest: Option<&Manifest>,
    exit: Exit,
) -> Result<(), String> {
    let text = text(arguments, manifest, exit);
    let cannot = |error: io::Error| {
        format!("{}: cannot write the metrics: {}", file.display(), reason(&error))
    };
    let written = (|| {
        let mut aside =
            tempfile::Builder::new().prefix(".stillpoint-").tempfile_in(folder_of(file))?;
        // The collector is another user. A mode at creation would be cut by the umask.
        aside.as_file().set_permissions(Permissions::from_mode(0o644))?;
        aside.write_all(text.as_bytes())?;
        aside.persist(file)?;
        Ok(())
    })();
    written.map_err(cannot)
}

/// The barriers of the run, as the library would name them; also those that are not there.
fn barriers(arguments: &Arguments, manifest: Option<&Manifest>) -> Vec<PathBuf> {
    if let Some(manifest) = manifest {
        return manifest.barriers.iter().map(|record| record.barrier.clone()).collect();
    }
    let mut barriers = Vec::new();
    for name in &arguments.barriers {
        let path = stillpoint::barrier_path(name, arguments.user);
        let found = without_links(&path.unwrap_or_else(|_| PathBuf::from(name)));
        if !barriers.contains(&found) {
            barriers.push(found);
        }
    }
    barriers
}

/// The series of the run, also if it was refused.
fn series(arguments: &Arguments, manifest: Option<&Manifest>) -> Series {
    let sources = match manifest {
        Some(manifest) => manifest.sources.clone(),
        None => arguments.sources(),
    };
    (arguments.provider().to_owned(), sources, arguments.label.clone())
}

fn text(arguments: &Arguments, manifest: Option<&Manifest>, exit: Exit) -> String {
    let mut exposition = Exposition::default();
    let catalogue = Catalogue::locate(arguments.catalog.as_deref());
    let mut snapshots = catalogue.read().unwrap_or_default();
    let series = series(arguments, manifest);
    snapshots.manifests.retain(|snapshot| series_of(snapshot) == series);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    for path in barriers(arguments, manifest) {
        let barrier = path.to_string_lossy();
        let labels = labels(&barrier, &series);
        let labels = labels.each_ref().map(|(name, value)| (*name, value.as_str()));
        let mut gauge = |name, help, value| exposition.gauge(name, help, &labels, value);
        gauge(
            "stillpoint_snapshot_last_run_timestamp_seconds",
            "When the last run ended.",
            now.as_secs_f64(),
        );
        gauge(
            "stillpoint_snapshot_last_exit_status",
            "The exit status of the last run.",
            exit.code().into(),
        );
        gauge(
            "stillpoint_snapshot_last_clean",
            "1 if the last run made a clean snapshot.",
            f64::from(u8::from(manifest.is_some_and(|manifest| manifest.clean))),
        );
        gauge(
            "stillpoint_snapshot_last_attempts",
            "Attempts of the last run to get quiet.",
            manifest.map_or(0, |manifest| manifest.attempts).into(),
        );
        let pause = manifest.and_then(|manifest| manifest.pause.as_ref());
        let seconds = [
            (
                "stillpoint_snapshot_last_presync_seconds",
                "How long the last run synced before it closed the gate.",
                manifest.and_then(|manifest| manifest.presync_ms),
            ),
            (
                "stillpoint_snapshot_last_drain_seconds",
                "How long the last run's gate was closed until it was quiet.",
                pause.map(|pause| pause.drain_ms),
            ),
            (
                "stillpoint_snapshot_last_pause_seconds",
                "How long the last run's gate was closed.",
                pause.and_then(|pause| pause.pause_ms),
            ),
        ];
        for (name, help, milliseconds) in seconds {
            if let Some(milliseconds) = milliseconds {
                gauge(name, help, milliseconds / 1e3);
            }
        }
        add_newest_clean(&mut exposition, &barrier, &snapshots.clone().under(&path));
    }
    exposition.text()
}
