//! Pins: a snapshot that is being read stays.
//!
//! A reader locks the manifest (`flock`, shared), and whoever wants to remove the snapshot has to
//! lock it exclusively before he as much as marks it. The lock goes with the last descriptor of its
//! open file, however the processes that had one came to their end, so a pin is never left behind.
//! Nothing is written: who may read the manifest may pin the snapshot. The folder of the data is locked too
//! ([`hold`]), for those who know it by another manifest.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::file::{manifest_path, open_record, text};
use super::lock::{is_marked_live, try_lock, try_shared};
use super::manifest::Manifest;
use super::{Catalogue, hold};
use crate::files::names::leads_to;

/// A complete snapshot that stays as long as this, or a copy of its descriptor, is open.
pub struct Pin {
    pub manifest: Manifest,
    file: File,
    data: Option<File>,
}

/// What came of trying to pin a snapshot.
pub enum Pinning {
    Held(Box<Pin>),
    /// Somebody is about to complete or to remove it: ask again.
    Changing,
    /// There is nothing to read.
    Unusable(Box<Manifest>),
}

impl Catalogue {
    /// Pins a snapshot if it is complete and its data is there. `NotFound` when there is no such
    /// manifest, another error when it cannot be read.
    pub fn pin(&self, name: &str) -> io::Result<Pinning> {
        let path = manifest_path(self.folder(), name);
        let file = open_record(&path)?;
        let shared = try_shared(&file)?;
        // Read under the lock: what is in the file, and where its data is, stays so.
        let manifest = Manifest::parse(&text(&file)?).map_err(io::Error::other)?;
        if manifest.name != name {
            return Err(io::Error::other("it is the manifest of another snapshot"));
        }
        if !leads_to(&path, &file)? {
            return Ok(Pinning::Changing);
        }
        if !manifest.is_usable() || !manifest.has_data() {
            return Ok(Pinning::Unusable(Box::new(manifest)));
        }
        if !shared {
            return Ok(Pinning::Changing);
        }
        let data = match manifest.path.as_deref().map(hold::shared).transpose() {
            Err(_) => return Ok(Pinning::Changing),
            Ok(data) => data.flatten(),
        };
        // It may have been moved away since it was looked at.
        match data.as_ref().map_or(Ok(true), |data| manifest.is_of(data))? {
            true => Ok(Pinning::Held(Box::new(Pin { manifest, file, data }))),
            false => Ok(Pinning::Changing),
        }
    }

    /// Does somebody make or remove it now? `None` if that cannot be told. A reader's lock says nothing of it.
    pub fn is_live(&self, name: &str) -> Option<bool> {
        let file = open_record(&manifest_path(self.folder(), name)).ok()?;
        is_marked_live(&file).ok().or_else(|| self.is_locked(name))
    }

    /// Does somebody make, remove or read it now? `None` if that cannot be told.
    pub fn is_locked(&self, name: &str) -> Option<bool> {
        // Only the attempt tells; the lock goes again at once, with the file.
        let file = open_record(&manifest_path(self.folder(), name)).ok()?;
        try_lock(&file).map(|free| !free).ok()
    }
}

impl Pin {
    /// It need not stay any longer, whoever has inherited a descriptor meanwhile.
    pub fn let_go(&self) {
        for file in std::iter::once(&self.file).chain(&self.data) {
            let _ = fs2::FileExt::unlock(file);
        }
    }

    /// What holds the locks; a child that inherits them keeps the snapshot pinned.
    pub fn locks(&self) -> Vec<BorrowedFd<'_>> {
        std::iter::once(&self.file).chain(&self.data).map(AsFd::as_fd).collect()
    }
}
