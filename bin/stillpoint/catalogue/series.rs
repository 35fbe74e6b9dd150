//! Series: snapshots that replace each other.
//!
//! They are of the same sources, by the same provider, into the same folder, under the same barriers, with
//! the same label. What is new in one says nothing of another.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::manifest::Manifest;

/// The manifests of each series, in the order in which they are given.
pub fn series(manifests: &[Manifest]) -> Vec<Vec<&Manifest>> {
    let mut series: BTreeMap<Key<'_>, Vec<&Manifest>> = BTreeMap::new();
    for manifest in manifests {
        series.entry(key(manifest)).or_default().push(manifest);
    }
    series.into_values().collect()
}

type Key<'a> = (Vec<&'a Path>, &'a str, &'a [PathBuf], Option<&'a Path>, Option<&'a str>);

fn key(manifest: &Manifest) -> Key<'_> {
    let mut barriers: Vec<&Path> =
        manifest.barriers.iter().map(|record| record.barrier.as_path()).collect();
    barriers.sort();
    let folder = manifest.path.as_deref().and_then(Path::parent);
    (barriers, &manifest.provider, &manifest.sources, folder, manifest.label.as_deref())
}
