//! What a snapshot is measured against: the newer ones that are at least as good.

use jiff::SignedDuration;

use super::keep::Keep;
use crate::catalogue::age::{Age, Stretch};
use crate::catalogue::calendar::Seen;
use crate::catalogue::manifest::{Manifest, Status};

/// How good a snapshot is, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Worth {
    Clean,
    Complete,
    Failed,
}

/// What it counts for; `None` for what is under way, and for a snapshot whose data is not there.
pub fn worth(manifest: &Manifest) -> Option<Worth> {
    match manifest.status {
        Status::Failed | Status::Revoked => Some(Worth::Failed),
        Status::Complete if manifest.path.is_some() && manifest.is_present() != Some(true) => None,
        // Of a ZFS snapshot nobody can tell without its tool.
        Status::Complete if manifest.is_present() == Some(false) => None,
        // One that its own command found bad pushes out none that it did not.
        Status::Complete if manifest.clean && !manifest.is_refuted() => Some(Worth::Clean),
        Status::Complete => Some(Worth::Complete),
        Status::Begun | Status::Certified | Status::Pruning => None,
    }
}

/// Somebody else removed the data. It may also be that its file system is not mounted, so others like
/// it are no reason to forget it; and where the very folder that it was in is another one, nothing is.
pub fn is_record_only(manifest: &Manifest) -> bool {
    manifest.status == Status::Complete
        && manifest.is_present() == Some(false)
        && manifest.missing_folder().is_none()
}

/// The newer ones of one worth.
#[derive(Clone, Copy, Default)]
pub struct Newer<'a> {
    count: usize,
    newest: Option<&'a Manifest>,
    /// How much older than the newest of these the one is that is looked at.
    pub age: Age,
    pub seen: Seen,
}

impl<'a> Newer<'a> {
    pub fn add(&mut self, manifest: &'a Manifest) {
        if self.count == 0 {
            self.newest = Some(manifest);
            self.age = Age::default();
        }
        self.count += 1;
    }

    /// Is it out by number?
    pub fn is_enough(&self, keep: Keep) -> bool {
        self.count > 0 && keep.count.is_none_or(|count| self.count >= count)
    }

    /// Is it out by age?
    pub fn is_older(&self, keep: Keep) -> bool {
        keep.within.is_none_or(|within| self.age.believed() > within)
    }

    /// The same, and not because of the wall clock alone.
    pub fn is_surely_older(&self, keep: Keep) -> bool {
        keep.has_number() || keep.within.is_none_or(|within| self.age.counted() > within)
    }

    /// Does its time say so, or that it is of another age altogether? Ages are taken for less than they
    /// are, so a little says nothing.
    pub fn seems_older(&self, manifest: &Manifest, keep: Keep) -> bool {
        let newest = self.newest.and_then(Manifest::taken_at);
        let (Some(newest), Some(taken), Some(within)) = (newest, manifest.taken_at(), keep.within)
        else {
            return false;
        };
        newest.duration_since(taken).unsigned_abs() > within.saturating_mul(2)
    }
}

/// Where the wall clock moves the most with nothing else to support it.
pub fn jump<'a>(members: &[&'a Manifest], stretches: &[Stretch]) -> Option<[&'a Manifest; 2]> {
    let unsupported = |(pair, stretch): &(&[&'a Manifest], &Stretch)| {
        let moved = pair[1].taken_at()?.duration_since(pair[0].taken_at()?);
        let counted = match stretch {
            Stretch::Counted(passed) => SignedDuration::try_from(*passed).ok()?,
            Stretch::Told(_) => SignedDuration::ZERO,
        };
        Some(moved.checked_sub(counted)?.unsigned_abs())
    };
    let (pair, _) = members.windows(2).zip(stretches).max_by_key(unsupported)?;
    Some([pair[0], pair[1]])
}
