//! What a catalogue tells of each series: when the newest snapshots of it were taken.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::catalogue::manifest::Manifest;
use crate::catalogue::reading::Contents;
use crate::catalogue::series::given_up;
use crate::words::exposition::Exposition;
use crate::words::metric::{self, Metric};

/// What tells the series under a barrier apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    pub provider: String,
    pub sources: Vec<PathBuf>,
    pub label: Option<String>,
    /// The folder that the snapshots are in.
    pub target: Option<PathBuf>,
}

impl Series {
    pub fn of(manifest: &Manifest) -> Series {
        Series {
            provider: manifest.provider.clone(),
            sources: manifest.sources.clone(),
            label: manifest.label.clone(),
            target: manifest.path.as_deref().and_then(Path::parent).map(Path::to_owned),
        }
    }

    /// The labels of a metric of it. An empty one is none, to Prometheus.
    pub fn labels(&self, barrier: &str) -> [(&'static str, String); 5] {
        let sources: Vec<_> = self.sources.iter().map(|source| source.to_string_lossy()).collect();
        let target = self.target.as_deref().map(Path::to_string_lossy);
        [
            ("barrier", barrier.to_owned()),
            ("provider", self.provider.clone()),
            ("source", sources.join(" ")),
            ("target", target.unwrap_or_default().into_owned()),
            ("label", self.label.clone().unwrap_or_default()),
        ]
    }
}

/// Adds what there is to say of each series under a barrier. One that has no such snapshot has the time 0, so
/// that an alert on age sees it, unless nobody waits for one any more.
pub fn add(exposition: &mut Exposition, barrier: &str, snapshots: &Contents) {
    let mut all: BTreeMap<Series, Vec<&Manifest>> = BTreeMap::new();
    for manifest in &snapshots.manifests {
        all.entry(Series::of(manifest)).or_default().push(manifest);
    }
    all.retain(|_, manifests| given_up(manifests, &snapshots.manifests).is_none());
    for (series, manifests) in all {
        let labels = series.labels(barrier);
        let labels = labels.each_ref().map(|(name, value)| (*name, value.as_str()));
        let usable = manifests.iter().filter(|manifest| manifest.is_usable());
        exposition.add(&metric::SNAPSHOTS, &labels, usable.count() as f64);
        let mut newest = |metric: &'static Metric, counts: &dyn Fn(&Manifest) -> bool| {
            let wanted = |manifest: &&&Manifest| counts(manifest) && manifest.is_usable();
            let found = manifests.iter().rev().find(wanted);
            exposition.add(metric, &labels, found.map_or(0.0, |manifest| moment(manifest)));
        };
        let is_covered = |manifest: &Manifest| manifest.covered == Some(true);
        newest(&metric::NEWEST, &|_| true);
        newest(&metric::NEWEST_CLEAN, &is_clean);
        let is_verified = |one: &Manifest| one.verified.as_ref().is_some_and(|it| it.ok);
        newest(&metric::NEWEST_VERIFIED, &|manifest| is_clean(manifest) && is_verified(manifest));
        newest(&metric::NEWEST_COVERED, &|manifest| is_clean(manifest) && is_covered(manifest));
    }
}

/// One that takes the place of those before it.
pub fn is_clean(manifest: &Manifest) -> bool {
    manifest.clean && !manifest.source_changed
}

/// The moment that it is of, in seconds; 0: nobody has written that down.
pub fn moment(manifest: &Manifest) -> f64 {
    manifest.taken_at().map_or(0.0, |taken| taken.as_millisecond() as f64 / 1e3)
}
