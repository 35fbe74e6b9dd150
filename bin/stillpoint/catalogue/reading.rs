//! Reading a catalogue.
//!
//! It may be read by anybody who may read the folder, and it may hold anything: a text cut short by a
//! full disk, another program's file. What is no manifest of its own name is reported, never believed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Catalogue;
use super::file::read;
use super::manifest::{Manifest, Status};
use super::series::{leads_elsewhere, line};

/// What a catalogue holds.
#[derive(Clone, Default)]
pub struct Contents {
    /// In the order in which they were begun.
    pub manifests: Vec<Manifest>,
    /// What else is called `.json`, and what is wrong with it.
    pub damaged: Vec<(PathBuf, String)>,
}

impl Catalogue {
    /// Every manifest that can be read, with its path, and what is wrong with the others.
    pub fn manifests(&self) -> io::Result<Vec<(PathBuf, Result<Manifest, String>)>> {
        let mut found = Vec::new();
        for item in fs::read_dir(self.folder())? {
            let path = item?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let Some(name) = name.strip_suffix(".json").filter(|name| !name.starts_with('.'))
            else {
                continue;
            };
            match read(&path, name) {
                // Removed since the folder was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => found.push((path, Err(crate::words::exit::reason(&error)))),
                Ok(manifest) => found.push((path, manifest)),
            }
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    /// The same, sorted out.
    pub fn read(&self) -> io::Result<Contents> {
        let mut contents = Contents { manifests: Vec::new(), damaged: Vec::new() };
        for (path, manifest) in self.manifests()? {
            match manifest {
                Ok(manifest) => contents.manifests.push(manifest),
                Err(what) => contents.damaged.push((path, what)),
            }
        }
        contents.manifests.sort_by(|a, b| a.place().cmp(&b.place()));
        Ok(contents)
    }
}

impl Contents {
    /// Only the snapshots taken under this barrier.
    pub fn under(mut self, barrier: &Path) -> Contents {
        self.manifests.retain(|manifest| manifest.concerns(barrier));
        self
    }

    /// The newest of the complete snapshots that are wanted and whose data is not gone.
    pub fn newest(&self, wanted: impl Fn(&Manifest) -> bool) -> Option<&Manifest> {
        let mut newest_first = self.manifests.iter().rev();
        newest_first.find(|manifest| manifest.is_usable() && wanted(manifest))
    }

    /// If the source of a snapshot was another one than before: the newest of those before. Its data may be
    /// gone, as what is not mounted seems to be.
    pub fn rival(&self, newest: &Manifest) -> Option<&Manifest> {
        self.precursor(newest).filter(|_| newest.source_changed)
    }

    /// The newest snapshot that this one would take the place of, had its source not changed: it need not be
    /// clean to tell where the source was, and the data may be gone.
    pub fn precursor(&self, manifest: &Manifest) -> Option<&Manifest> {
        self.manifests.iter().rev().find(|earlier| {
            let counts = earlier.status == Status::Complete && !earlier.source_changed;
            counts && line(earlier) == line(manifest)
        })
    }

    /// The newest whose sources were called as those of this one are, if they led elsewhere then.
    pub fn led_elsewhere(&self, manifest: &Manifest) -> Option<&Manifest> {
        let is_one_of_both = |one: &&Manifest| {
            one.status == Status::Complete
                && (line(one) == line(manifest) || leads_elsewhere(manifest, one))
        };
        let newest = self.manifests.iter().rev().find(is_one_of_both);
        newest.filter(|newest| leads_elsewhere(manifest, newest))
    }

    /// The number of a snapshot that is begun now.
    pub fn next_sequence(&self) -> u64 {
        self.manifests.last().map_or(1, |newest| newest.sequence.saturating_add(1))
    }
}
