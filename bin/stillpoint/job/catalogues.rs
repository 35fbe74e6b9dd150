//! Where the snapshots of this machine are written down, for who looks at all of them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::{Job, file};
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

/// Those that are asked for, else all that this machine's jobs write to, and the usual one. Of jobs that cannot be read
/// nobody knows: `unread` is told why.
pub fn of_machine(
    asked: &[PathBuf],
    is_user: bool,
    mut unread: impl FnMut(anyhow::Error),
) -> BTreeSet<Catalogue> {
    let mut jobs = Vec::new();
    if !is_user && asked.is_empty() {
        let names = file::names().unwrap_or_else(|error| {
            unread(error.into());
            Vec::new()
        });
        for name in names {
            match Job::read(&name) {
                Ok(job) => jobs.push(job),
                Err(error) => unread(error.into()),
            }
        }
    }
    catalogues(asked, &jobs)
}
