//! How a snapshot is shown: its line, and for programs its manifest with what is so at this moment.

use serde_json::{Value, json};

use crate::catalogue::Catalogue;
use crate::catalogue::identity::Presence;
use crate::catalogue::manifest::{Manifest, Status};

/// What can be seen of a snapshot at this moment.
pub struct Now {
    /// Somebody makes, removes or reads it.
    pub locked: Option<bool>,
    /// Somebody makes or removes it.
    pub live: Option<bool>,
    /// It is mounted somewhere, by whoever has lost the lock since.
    pub mounted: bool,
    pub presence: Presence,
}

impl Now {
    pub fn of(catalogue: &Catalogue, manifest: &Manifest, mounted: bool) -> Now {
        Now {
            locked: catalogue.is_locked(&manifest.name),
            live: catalogue.is_live(&manifest.name),
            presence: manifest.presence(),
            mounted,
        }
    }

    /// Somebody reads it, so that it is not pruned.
    pub fn pinned(&self, manifest: &Manifest) -> Option<bool> {
        match manifest.status {
            Status::Begun | Status::Certified | Status::Pruning => Some(false),
            Status::Complete | Status::Failed | Status::Revoked if self.mounted => Some(true),
            Status::Complete | Status::Failed | Status::Revoked => self.locked,
        }
    }

    /// For programs: the manifest, and what is so now.
    pub fn json(&self, manifest: &Manifest) -> Value {
        let mut value = json!(manifest);
        value["pinned"] = json!(self.pinned(manifest));
        value["present"] = json!(self.presence.is_there());
        value["under_way"] = match manifest.status {
            Status::Begun | Status::Certified | Status::Pruning => json!(self.live),
            Status::Complete | Status::Failed | Status::Revoked => json!(false),
        };
        value
    }
}

/// What stands for a snapshot on standard output: where it is, or its name if only its command knows.
pub fn line(manifest: &Manifest) -> String {
    match manifest.places() {
        places if places.is_empty() => manifest.name.clone(),
        places => places.join("\n"),
    }
}
