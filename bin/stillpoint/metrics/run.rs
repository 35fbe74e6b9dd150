//! `--metrics-textfile` of a snapshot: how this run went.
//!
//! The file is written after every run, failed ones too, and those that were refused before there was a manifest:
//! what the last good run left must not go on saying that all is well. What an alert needs of runs before, the time of
//! the last one that went well, comes from the catalogue.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::series::{Series, is_clean, moment};
use super::textfile;
use crate::catalogue::Catalogue;
use crate::catalogue::manifest::Manifest;
use crate::files::names::without_links;
use crate::snapshot::arguments::Arguments;
use crate::words::exit::{Exit, Failure};
use crate::words::exposition::Exposition;
use crate::words::lines::warn;
use crate::words::metric;

/// Writes the file; a failure is no failure of the snapshot.
pub fn write(
    file: &Path,
    arguments: &Arguments,
    manifest: Option<&Manifest>,
    exit: Exit,
) -> Result<(), Failure> {
    let text = text(arguments, manifest, exit);
    let (before, now) = (textfile::series_in(file), textfile::series_of(&text));
    if let Some(other) = before.iter().find(|series| !now.contains(series)) {
        warn(&format!(
            "--metrics-textfile {}: told of another series, {other}, of which nothing is told any more; give each a file of its own",
            file.display()
        ));
    }
    textfile::write(file, &text)
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
    let refused = || Series {
        provider: arguments.provider().to_owned(),
        sources: arguments.sources(),
        label: arguments.label.clone(),
        target: arguments
            .to
            .as_deref()
            .map(|to| to.canonicalize().unwrap_or_else(|_| without_links(to))),
    };
    manifest.map_or_else(refused, Series::of)
}

fn text(arguments: &Arguments, manifest: Option<&Manifest>, exit: Exit) -> String {
    let mut exposition = Exposition::default();
    let catalogue = Catalogue::locate(arguments.catalog.as_deref());
    let snapshots = catalogue.read().unwrap_or_default();
    let series = series(arguments, manifest);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let flag = |set: bool| f64::from(u8::from(set));
    let pause = manifest.and_then(|manifest| manifest.pause.as_ref());
    for path in barriers(arguments, manifest) {
        let labels = series.labels(&path.to_string_lossy());
        let labels = labels.each_ref().map(|(name, value)| (*name, value.as_str()));
        let went_well =
            |one: &&Manifest| is_clean(one) && one.concerns(&path) && Series::of(one) == series;
        let success = snapshots.manifests.iter().rev().find(went_well).map_or(0.0, moment);
        let attempts = manifest.map_or(0, |manifest| manifest.attempts);
        let is_clean = manifest.is_some_and(|manifest| manifest.clean);
        let seconds = |milliseconds: Option<f64>| milliseconds.map(|length| length / 1e3);
        let samples = [
            (&metric::RUN_TIME, Some(now.as_secs_f64())),
            (&metric::RUN_SUCCESS, Some(success)),
            (&metric::RUN_EXIT, Some(exit.code().into())),
            (&metric::RUN_CLEAN, Some(flag(is_clean))),
            (&metric::RUN_COVERED, manifest.and_then(|manifest| manifest.covered).map(flag)),
            (&metric::RUN_ATTEMPTS, Some(attempts.into())),
            (&metric::RUN_PRESYNC, seconds(manifest.and_then(|manifest| manifest.presync_ms))),
            (&metric::RUN_DRAIN, seconds(pause.map(|pause| pause.drain_ms))),
            (&metric::RUN_PAUSE, seconds(pause.and_then(|pause| pause.pause_ms))),
        ];
        for (metric, value) in samples {
            if let Some(value) = value {
                exposition.add(metric, &labels, value);
            }
        }
    }
    exposition.text()
}
