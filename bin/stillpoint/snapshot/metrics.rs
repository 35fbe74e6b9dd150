//! `--metrics-textfile`: how this run went, for the textfile collector of Prometheus's node exporter.
//!
//! The file is written aside, under a name that the collector does not read, and renamed, so that it
//! never reads half of one. It is written after every run, failed ones too; what an alert needs of
//! runs before, the time of the newest clean snapshot, comes from the catalogue.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

use nix::unistd::{AccessFlags, access};

use crate::catalogue::Catalogue;
use crate::catalogue::manifest::Manifest;
use crate::exit::{Exit, Failure, reason};
use crate::exposition::Exposition;
use crate::status::prometheus::add_newest_clean;

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
    access(folder(file), AccessFlags::W_OK | AccessFlags::X_OK)
        .map_err(|error| cannot(error.desc()))
}

/// Writes the file; a failure is no failure of the snapshot.
pub fn write(
    file: &Path,
    catalogue: &Catalogue,
    manifest: &Manifest,
    exit: Exit,
) -> Result<(), String> {
    let text = text(catalogue, manifest, exit);
    let cannot = |error: io::Error| {
        format!("{}: cannot write the metrics: {}", file.display(), reason(&error))
    };
    let written = (|| {
        let mut aside = tempfile::Builder::new()
            .prefix(".stillpoint-")
            .permissions(Permissions::from_mode(0o644))
            .tempfile_in(folder(file))?;
        aside.write_all(text.as_bytes())?;
        aside.persist(file)?;
        Ok(())
    })();
    written.map_err(cannot)
}

fn folder(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn text(catalogue: &Catalogue, manifest: &Manifest, exit: Exit) -> String {
    let mut exposition = Exposition::default();
    let snapshots = catalogue.read().unwrap_or_default();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    for record in &manifest.barriers {
        let barrier = record.barrier.to_string_lossy();
        let labels = [("barrier", &*barrier), ("provider", &manifest.provider)];
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
            f64::from(u8::from(manifest.clean)),
        );
        gauge(
            "stillpoint_snapshot_last_attempts",
            "Attempts of the last run to get quiet.",
            manifest.attempts.into(),
        );
        let pause = manifest.pause.as_ref();
        let seconds = [
            (
                "stillpoint_snapshot_last_presync_seconds",
                "How long the last run synced before it closed the gate.",
                manifest.presync_ms,
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
        let labels = [("barrier", &*barrier)];
        add_newest_clean(&mut exposition, &labels, &snapshots.clone().under(&record.barrier));
    }
    exposition.text()
}
