//! What a job has taken and need not be kept any more.

use std::io;

use super::Run;
use crate::catalogue::Catalogue;
use crate::catalogue::reading::Contents;
use crate::files::names::without_links;
use crate::snapshot::data::pruning::{self, Outcome};
use crate::words::exit::{Exit, Failure};
use crate::words::lines::say;

impl Run<'_> {
    /// Removes what this job has taken and need not be kept: by its label, so that what it took before its file was
    /// changed goes too.
    pub(super) fn prune(&mut self) -> anyhow::Result<Exit> {
        let Some(keep) = self.job.keep else { return Ok(Exit::SUCCESS) };
        if let Some(rival) = self.job.rivals().into_iter().next() {
            return Err(rival.into());
        }
        let arguments = &self.job.snapshot;
        let catalogue = Catalogue::locate(arguments.catalog.as_deref());
        let barrier = stillpoint::barrier_path(&arguments.barriers[0], false)?;
        let barrier = without_links(&barrier);
        let is_taken = self.taken.is_some();
        let read = || {
            let mut contents = match catalogue.read() {
                // None was ever taken. But if one was by this run, its record is gone.
                Err(error) if error.kind() == io::ErrorKind::NotFound && !is_taken => {
                    Contents::default()
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let folder = catalogue.folder().display();
                    let message = format!(
                        "{folder}: the catalogue is gone, and with it the record of this snapshot"
                    );
                    return Err(Failure::new(Exit::MISSING, message).into());
                }
                read => read?,
            };
            contents.manifests.retain(|manifest| manifest.label == arguments.label);
            Ok(contents.under(&barrier))
        };
        let terms = pruning::Terms { keep, force: false, dry_run: false };
        pruning::prune(&catalogue, terms, read, |_, what, outcome| {
            match (what, outcome) {
                (Some(what), Outcome::Removed) => say(&format!("removed {what}")),
                (Some(what), Outcome::InUse) => say(&format!("{what} is in use; left alone")),
                _ => {}
            }
            Ok(())
        })
    }
}
