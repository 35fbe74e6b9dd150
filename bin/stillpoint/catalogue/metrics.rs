//! What a catalogue tells Prometheus: when the newest clean snapshot of each series was taken.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::manifest::Manifest;
use super::reading::Contents;
use crate::words::exposition::Exposition;

/// What tells the series under a barrier apart: provider, sources and label.
pub type Series = (String, Vec<PathBuf>, Option<String>);

pub fn series_of(manifest: &Manifest) -> Series {
    (manifest.provider.clone(), manifest.sources.clone(), manifest.label.clone())
}

/// The labels of a metric of one series. An empty one is none, to Prometheus.
pub fn labels(barrier: &str, (provider, sources, label): &Series) -> [(&'static str, String); 4] {
    let sources: Vec<_> = sources.iter().map(|source| source.to_string_lossy()).collect();
    [
        ("barrier", barrier.to_owned()),
        ("provider", provider.clone()),
        ("source", sources.join(" ")),
        ("label", label.clone().unwrap_or_default()),
    ]
}

/// When the newest clean snapshot of each series was taken, so that one that goes well hides none that
/// does not; nothing for a series that has none, so that an alert asks for absence too.
pub fn add_newest_clean(exposition: &mut Exposition, barrier: &str, snapshots: &Contents) {
    let counts = |found: &&Manifest| found.clean && !found.source_changed && found.is_usable();
    let clean = snapshots.manifests.iter().filter(counts);
    // The last one of each stays.
    let newest: BTreeMap<Series, &Manifest> =
        clean.map(|manifest| (series_of(manifest), manifest)).collect();
    for (series, manifest) in newest {
        let Some(taken) = manifest.taken_at() else {
            continue;
        };
        let labels = labels(barrier, &series);
        let labels = labels.each_ref().map(|(name, value)| (*name, value.as_str()));
        exposition.gauge(
            "stillpoint_newest_clean_snapshot_timestamp_seconds",
            "When the newest clean snapshot was taken.",
            &labels,
            taken.as_millisecond() as f64 / 1e3,
        );
        let age = jiff::Timestamp::now().duration_since(taken).as_secs_f64();
        exposition.gauge(
            "stillpoint_newest_clean_snapshot_age_seconds",
            "How old the newest clean snapshot is, when this was written.",
            &labels,
            age,
        );
    }
}
