//! Series: snapshots that replace each other.
//!
//! They are of the same sources, by the same provider, into the same folder, under the same barriers, with
//! the same label. What is new in one says nothing of another.
//!
//! A source that is suddenly on another file system ([`origin`]) begins a series of its own,
//! unless somebody said that it has moved. What was taken before anybody looked is of the same series as
//! what was taken after.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::manifest::Manifest;
use super::origin;

/// The manifests of each series, in the order in which they are given.
pub fn series(manifests: &[Manifest]) -> Vec<Vec<&Manifest>> {
    let mut series: BTreeMap<Key<'_>, Vec<&Manifest>> = BTreeMap::new();
    for manifest in manifests {
        series.entry(key(manifest)).or_default().push(manifest);
    }
    series.into_values().collect()
}

type Key<'a> = (Line<'a>, Option<origin::Key<'a>>);

fn key(manifest: &Manifest) -> Key<'_> {
    let origins = manifest.origins.as_deref().unwrap_or_default();
    (line(manifest), manifest.source_changed.then(|| origin::key(origins)))
}

/// What a series keeps when its source changes.
pub type Line<'a> = (Vec<&'a Path>, &'a str, &'a [PathBuf], Option<&'a Path>, Option<&'a str>);

pub fn line(manifest: &Manifest) -> Line<'_> {
    let mut barriers: Vec<&Path> =
        manifest.barriers.iter().map(|record| record.barrier.as_path()).collect();
    barriers.sort();
    let folder = manifest.path.as_deref().and_then(Path::parent);
    (barriers, &manifest.provider, &manifest.sources, folder, manifest.label.as_deref())
}
