//! Series: snapshots that replace each other.
//!
//! They are of the same sources, by the same provider, into the same folder, under the same barriers, with
//! the same label. What is new in one says nothing of another.
//!
//! A source is what a path leads to. Whoever lets a link lead elsewhere, or puts one in the place of a folder, begins a new
//! series, and is told so ([`leads_elsewhere`]): what looks like one does not go on.
//!
//! Tries by hand that failed are a series as well, by another provider or without a label. Once the same sources are in a
//! good snapshot of another series, nobody waits for one of that ([`given_up`]).
//!
//! A source that is suddenly on another file system ([`origin`]) begins a series of its own,
//! unless somebody said that it has moved. What was taken before anybody looked is of the same series as
//! what was taken after.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::manifest::{Manifest, Status};
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

/// Are their sources called the same, and are others, in what would be one series else?
pub fn leads_elsewhere(now: &Manifest, then: &Manifest) -> bool {
    let rest = |manifest| {
        let (barriers, provider, _, folder, label) = line(manifest);
        (barriers, provider, folder, label)
    };
    now.sources != then.sources && called(now) == called(then) && rest(now) == rest(then)
}

fn called(manifest: &Manifest) -> &[PathBuf] {
    match manifest.named.is_empty() {
        true => &manifest.sources,
        false => &manifest.named,
    }
}

/// How they do, for messages: `/srv/mail leads to /b, and led to /a`.
pub fn leading(now: &Manifest, then: &Manifest) -> String {
    let both = now.sources.iter().zip(&then.sources).zip(called(now));
    let changed = both.filter(|((now, then), _)| now != then).map(|((now, then), called)| {
        format!("{} leads to {}, and led to {}", called.display(), now.display(), then.display())
    });
    changed.collect::<Vec<_>>().join("; ")
}

/// A series of which nothing was ever made: the newest of those that were begun later, are good, and hold what it was to
/// hold, whatever made them, and under which label.
pub fn given_up<'a>(series: &[&Manifest], all: &'a [Manifest]) -> Option<&'a Manifest> {
    let last = series.last()?;
    let failed = |one: &&Manifest| matches!(one.status, Status::Failed | Status::Revoked);
    if !series.iter().all(failed) {
        return None;
    }
    // Without sources, what a command reads is known by the command only.
    let holds_the_same = |one: &&Manifest| match last.sources.is_empty() {
        true => one.sources.is_empty() && one.command == last.command,
        false => one.sources == last.sources,
    };
    let is_good = |one: &&Manifest| one.clean && !one.source_changed && one.is_usable();
    // They may be in different catalogues, each of which counts for itself.
    let is_later = |one: &&Manifest| one.began > last.began;
    all.iter().rev().filter(holds_the_same).filter(is_later).find(is_good)
}
