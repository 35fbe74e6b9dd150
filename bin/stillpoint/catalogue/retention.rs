//! Which snapshots need not be kept.
//!
//! Snapshots of one *series* replace each other: of the same sources, by the same provider, into the
//! same folder, under the same barriers, with the same label. Each series is looked at by itself, and within it a snapshot
//! is measured only against newer ones that are at least as good: clean above complete above failed.
//! So nothing that is partial or not clean ever pushes out a clean snapshot, however often it comes,
//! and the newest clean one, which has none to be measured against, always stays.
//!
//! A snapshot is *out* by number when N of those are newer, and by age when it is older by more than
//! the given time than the newest of them. Ages are thus measured between snapshots, not by the clock
//! of today: neither a clock that jumps ahead nor a month without snapshots makes all of them old.
//! A snapshot goes only if it is out by every rule that was given.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::manifest::{Manifest, Status};

/// What is to be kept.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    pub count: Option<usize>,
    pub within: Option<Duration>,
}

/// How good a snapshot is, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    Clean,
    Complete,
    Failed,
}

/// The newer ones of one worth.
#[derive(Clone, Copy, Default)]
struct Newer {
    count: usize,
    newest: Option<Timestamp>,
}

/// Those of the manifests, given oldest first, that need not be kept, oldest first. None that is
/// under way is among them.
pub fn expendable<'a>(manifests: &'a [Manifest], keep: Keep, now: Timestamp) -> Vec<&'a Manifest> {
    let mut series: BTreeMap<_, [Newer; 3]> = BTreeMap::new();
    let mut expendable: Vec<&'a Manifest> = Vec::new();
    for manifest in manifests.iter().rev() {
        let newer = series.entry(series_of(manifest)).or_default();
        let out = |upto: Worth| {
            newer[..=upto as usize].iter().any(|newer| newer.is_enough(manifest, keep, now))
        };
        let is_out = match worth(manifest) {
            Some(worth) => {
                let is_out = out(worth);
                newer[worth as usize].add(manifest);
                is_out
            }
            None => is_record_only(manifest) && out(Worth::Clean),
        };
        if is_out {
            expendable.push(manifest);
        }
    }
    expendable.reverse();
    expendable
}

/// What it counts for; `None` for what is under way, and for a snapshot whose data is not there.
fn worth(manifest: &Manifest) -> Option<Worth> {
    match manifest.status {
        Status::Failed | Status::Revoked => Some(Worth::Failed),
        Status::Complete if manifest.path.is_some() && manifest.is_present() != Some(true) => None,
        // Of a ZFS snapshot nobody can tell without its tool.
        Status::Complete if manifest.is_present() == Some(false) => None,
        Status::Complete if manifest.clean => Some(Worth::Clean),
        Status::Complete => Some(Worth::Complete),
        Status::Begun | Status::Certified | Status::Pruning => None,
    }
}

/// Somebody else removed the data. It may also be that its file system is not mounted, so others like
/// it are no reason to forget it.
fn is_record_only(manifest: &Manifest) -> bool {
    manifest.status == Status::Complete && manifest.is_present() == Some(false)
}

type Series<'a> = (Vec<&'a Path>, &'a str, &'a [PathBuf], Option<&'a Path>, Option<&'a str>);

fn series_of(manifest: &Manifest) -> Series<'_> {
    let mut barriers: Vec<&Path> =
        manifest.barriers.iter().map(|record| record.barrier.as_path()).collect();
    barriers.sort();
    let folder = manifest.path.as_deref().and_then(Path::parent);
    (barriers, &manifest.provider, &manifest.sources, folder, manifest.label.as_deref())
}

impl Newer {
    fn add(&mut self, manifest: &Manifest) {
        if self.count == 0 {
            self.newest = manifest.taken_at();
        }
        self.count += 1;
    }

    /// Is this one out, by every rule?
    fn is_enough(&self, manifest: &Manifest, keep: Keep, now: Timestamp) -> bool {
        let by_count = keep.count.map(|count| self.count >= count);
        let by_age = keep.within.map(|within| self.precedes_by(manifest, now) > within);
        self.count > 0 && by_count.unwrap_or(true) && by_age.unwrap_or(true)
    }

    /// How much older than the newest of these it is; nothing, if its times make no sense.
    fn precedes_by(&self, manifest: &Manifest, now: Timestamp) -> Duration {
        let (Some(newest), Some(taken)) = (self.newest, manifest.taken_at()) else {
            return Duration::ZERO;
        };
        // A newest one from the future says that the clock was wrong then.
        let age = newest.min(now).duration_since(taken);
        Duration::try_from(age).unwrap_or(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was taken on one day of January 2026: `c` clean, `d` not clean, `f` failed, `b` begun.
    fn taken(day: u8, kind: char) -> Manifest {
        let mut manifest = Manifest::begun(format!("{day:02}{kind}"), "command", &[]);
        manifest.began = format!("2026-01-{day:02}T00:00:00.000Z");
        manifest.status = match kind {
            'b' => Status::Begun,
            'f' => Status::Failed,
            _ => Status::Complete,
        };
        manifest.clean = kind == 'c';
        manifest
    }

    /// One a day, oldest first.
    fn days(kinds: &str) -> Vec<Manifest> {
        kinds.chars().zip(1..).map(|(kind, day)| taken(day, kind)).collect()
    }

    fn removed(manifests: &[Manifest], keep: Keep) -> Vec<&str> {
        let now = "2026-01-31T00:00:00Z".parse().unwrap();
        expendable(manifests, keep, now).iter().map(|gone| gone.name.as_str()).collect()
    }

    const fn newest(count: usize) -> Keep {
        Keep { count: Some(count), within: None }
    }

    const fn within(days: u64) -> Keep {
        Keep { count: None, within: Some(Duration::from_secs(days * 86_400)) }
    }

    #[test]
    fn clean_ones_are_counted() {
        assert_eq!(removed(&days("cccc"), newest(2)), ["01c", "02c"]);
        assert_eq!(removed(&days("cccc"), newest(9)), [""; 0]);
    }

    #[test]
    fn nothing_worse_pushes_out_something_better() {
        assert_eq!(
            removed(&days("cddddffff"), newest(1)),
            ["02d", "03d", "04d", "06f", "07f", "08f"]
        );
        assert_eq!(removed(&days("dffff"), newest(1)), ["02f", "03f", "04f"]);
    }

    #[test]
    fn something_better_pushes_out_what_is_worse() {
        assert_eq!(removed(&days("fdfdcc"), newest(2)), ["01f", "02d", "03f", "04d"]);
        assert_eq!(removed(&days("fdc"), newest(2)), [""; 0]);
    }

    #[test]
    fn what_is_under_way_neither_goes_nor_counts() {
        assert_eq!(removed(&days("bccb"), newest(1)), ["02c"]);
    }

    #[test]
    fn age_is_that_beside_the_newest_clean_one_not_that_of_today() {
        assert_eq!(removed(&days("ccccc"), within(2)), ["01c", "02c"]);
        // Today is the 31st: by the clock all are older than two days.
        assert_eq!(removed(&days("c"), within(2)), [""; 0]);
    }

    #[test]
    fn only_what_no_rule_keeps_goes() {
        let both = |count, days| Keep { count: Some(count), ..within(days) };
        assert_eq!(removed(&days("ccccc"), both(1, 2)), ["01c", "02c"]);
        assert_eq!(removed(&days("ccccc"), both(4, 1)), ["01c"]);
    }

    #[test]
    fn a_clock_that_was_ahead_makes_nothing_old() {
        let mut manifests = days("ccc");
        manifests[2].began = "2038-01-19T00:00:00.000Z".into();
        // The newest is from the future, so today counts: 29 and 30 days ago.
        assert_eq!(removed(&manifests, within(29)), ["01c"]);
        manifests.push(taken(4, 'c'));
        assert_eq!(removed(&manifests, within(2)), ["01c"]);
        manifests[3].began = "no time at all".into();
        assert_eq!(removed(&manifests, within(2)), [""; 0]);
    }

    #[test]
    fn each_series_keeps_its_own() {
        let mut manifests = days("ccccc");
        manifests[0].sources = vec!["/srv/db".into()];
        manifests[1].provider = "zfs".into();
        manifests[2].label = Some("restic".into());
        assert_eq!(removed(&manifests, newest(1)), ["04c"]);
    }

    #[test]
    fn data_that_is_gone_counts_for_nothing_and_goes_only_for_clean_ones() {
        let mut manifests = days("cccc");
        for gone in &mut manifests[1..3] {
            gone.path = Some(Path::new("/").join(&gone.name));
            gone.partial = Some(Path::new("/").join(format!(".{}.partial", gone.name)));
        }
        // A series of its own, for its folder: nothing there is clean any more.
        assert_eq!(removed(&manifests, newest(1)), ["01c"]);
        let folder = tempfile::tempdir().unwrap();
        for manifest in &mut manifests {
            let place = folder.path().join(&manifest.name);
            manifest.partial = Some(place.with_file_name("x"));
            manifest.path = Some(place);
        }
        for there in [0, 3] {
            std::fs::create_dir(manifests[there].path.as_ref().unwrap()).unwrap();
        }
        assert_eq!(removed(&manifests, newest(2)), [""; 0]);
        assert_eq!(removed(&manifests, newest(1)), ["01c", "02c", "03c"]);
    }
}
