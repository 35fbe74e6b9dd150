//! The newest snapshot that a reader may be sent to, or why there is none.

use crate::catalogue::manifest::{Manifest, Status};
use crate::catalogue::reading::Contents;
use crate::words::exit::{Exit, Failure};

/// What a reader is content with.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Take what is not clean too, and say nothing of that
    #[arg(long)]
    pub any: bool,

    /// Take none in whose sources somebody may have written who was not stilled
    #[arg(long)]
    pub covered: bool,

    /// Take none but what the command of a job has looked at and found good
    #[arg(long)]
    pub verified: bool,
}

impl Wanted {
    pub fn takes(self, manifest: &Manifest) -> bool {
        (self.any || manifest.clean)
            && self.takes_cover(manifest)
            && (!self.verified || manifest.is_verified())
    }

    /// Of one that nobody has looked at nothing is known.
    fn takes_cover(self, manifest: &Manifest) -> bool {
        !self.covered || manifest.covered == Some(true)
    }

    fn describe(self) -> String {
        let what = if self.any { "complete" } else { "clean" };
        let covered = if self.covered { " and covered" } else { "" };
        let verified = if self.verified { " and verified" } else { "" };
        format!("{what}{covered}{verified}")
    }
}

/// The newest that is wanted; but if its source is not what it was, and nobody said that this is meant, then
/// somebody has to decide: handing out the snapshot of a disk that was not mounted empties backups, and
/// handing out an older one for ever lets them grow old unseen.
pub fn choose(
    contents: &Contents,
    wanted: impl Fn(&Manifest) -> bool,
) -> Result<Option<&Manifest>, Failure> {
    let Some(newest) = contents.newest(&wanted) else {
        return Ok(None);
    };
    let Some(rival) = contents.rival(newest) else {
        return Ok(Some(newest));
    };
    let sources: Vec<String> =
        newest.sources.iter().map(|source| source.display().to_string()).collect();
    let message = format!(
        "{} was taken when {}, or what is mounted in it, was on another file system than it was for {}: if it \
         was not mounted, mount it and take another; if it has moved, take one with --source-changed accept; \
         or use either by its name",
        newest.name,
        sources.join(", "),
        rival.name
    );
    Err(Failure::new(Exit::DATA, message))
}

/// There is none, but maybe something else.
pub fn none(contents: &Contents, wanted: Wanted, place: &str) -> Failure {
    let count = |what: &str, is: &dyn Fn(&Manifest) -> bool| {
        let count = contents.manifests.iter().filter(|manifest| is(manifest)).count();
        (count > 0).then(|| format!("{count} {what}"))
    };
    let found: Vec<String> = [
        count("complete but not clean, which --any would take", &|manifest| {
            manifest.is_usable() && !manifest.clean && manifest.has_data()
        }),
        count("clean of which it is not known that all writers were covered", &|manifest| {
            manifest.is_usable()
                && manifest.clean
                && manifest.has_data()
                && !wanted.takes_cover(manifest)
        }),
        count("clean that nobody has found good", &|manifest| {
            manifest.is_usable()
                && manifest.clean
                && manifest.has_data()
                && wanted.verified
                && !manifest.is_verified()
        }),
        count("made by a command, without data to read", &|manifest| {
            manifest.is_usable() && !manifest.has_data()
        }),
        count("whose data is gone or replaced", &|manifest| {
            manifest.status == Status::Complete && !manifest.is_usable()
        }),
        count("failed or revoked", &|manifest| {
            matches!(manifest.status, Status::Failed | Status::Revoked)
        }),
        count("under way or interrupted", &|manifest| {
            matches!(manifest.status, Status::Begun | Status::Certified | Status::Pruning)
                && !manifest.awaits_verdict()
        }),
        count("waiting for the verdict of its group", &Manifest::awaits_verdict),
        match contents.damaged.len() {
            0 => None,
            damaged => Some(format!("{damaged} that cannot be read")),
        },
    ]
    .into_iter()
    .flatten()
    .collect();
    let wanted = wanted.describe();
    let instead = match found.is_empty() {
        true => "nothing else either; take one with `stillpoint snapshot`".to_owned(),
        false => format!("only {}; see `stillpoint list`", found.join(", ")),
    };
    Failure::new(Exit::MISSING, format!("{place}: there is no {wanted} snapshot, {instead}"))
}
