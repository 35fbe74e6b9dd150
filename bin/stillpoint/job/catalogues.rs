//! Where the snapshots of this machine are written down, for who looks at all of them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::Job;
use crate::catalogue::Catalogue;

/// The catalogues that are asked for, else the usual one and those of these jobs.
pub fn catalogues<'a>(
    asked: &[PathBuf],
    jobs: impl IntoIterator<Item = &'a Job>,
) -> BTreeSet<Catalogue> {
    match asked {
        [] => {
            let of_jobs = jobs.into_iter().map(|job| job.snapshot.catalog.as_deref());
            of_jobs.chain([None]).map(Catalogue::locate).collect()
        }
        asked => asked.iter().map(|folder| Catalogue::locate(Some(folder))).collect(),
    }
}
