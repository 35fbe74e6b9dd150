//! Jobs that would remove what another one has taken.
//!
//! What a job removes it knows by its label, its barrier and its catalogue.

use std::path::PathBuf;

use super::{Job, file};
use crate::catalogue::Catalogue;
use crate::files::names::without_links;
use crate::words::exit::{Exit, Failure};

impl Job {
    /// What is wrong with this one for another one that has the same label: each such job is named.
    pub fn rivals(&self) -> Vec<Failure> {
        let names = file::names().unwrap_or_default();
        let others = names.iter().filter(|name| **name != self.name);
        // One that is not understood is not run.
        let others = others.filter_map(|name| Job::read(name).ok());
        let others = others.filter(|other| !self.only_freezes() && !other.only_freezes());
        others.filter(|other| self.is_label_of(other)).map(|other| shared(&other.name)).collect()
    }

    fn is_label_of(&self, other: &Job) -> bool {
        let catalogue =
            |job: &Job| Catalogue::locate(job.snapshot.catalog.as_deref()).folder().to_owned();
        let theirs = other.barriers();
        self.snapshot.label == other.snapshot.label
            && catalogue(self) == catalogue(other)
            && self.barriers().iter().any(|barrier| theirs.contains(barrier))
    }

    /// As manifests have them.
    fn barriers(&self) -> Vec<PathBuf> {
        let paths = self.snapshot.barriers.iter();
        let paths = paths.filter_map(|name| stillpoint::barrier_path(name, false).ok());
        paths.map(|path| without_links(&path)).collect()
    }
}

fn shared(name: &str) -> Failure {
    let message = format!(
        "label: job {name} has the same one under the same barrier, so each would remove what the other has taken; give one of them another"
    );
    Failure::new(Exit::DATA, message)
}
