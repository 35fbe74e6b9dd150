//! A part of a group's snapshot when it is certified, until the verdict.

use std::fs::File;

use super::finished;
use crate::catalogue::entry::Entry;
use crate::catalogue::group::Sentence;
use crate::catalogue::manifest::Manifest;
use crate::snapshot::data::settling;
use crate::words::exit::Failure;

/// A part that is certified, and waits for the verdict. Nobody else touches it as long as it is held.
pub struct Part {
    pub entry: Entry,
    /// Keeps the lock on the folder that was filled.
    pub data: Option<File>,
}

impl Part {
    /// Does what the verdict says.
    pub fn settle(mut self, sentence: &Sentence, manifest: &mut Manifest) -> Result<(), Failure> {
        self.data = None;
        settling::settle(&mut self.entry, manifest, sentence)?;
        if !manifest.is_aborted() {
            finished::tell(&self.entry, manifest);
        }
        Ok(())
    }
}
