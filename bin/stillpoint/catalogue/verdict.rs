//! A verdict on a finished snapshot, which goes into its manifest.
//!
//! As every text of a manifest, it is written by who has the lock: whoever reads the snapshot meanwhile keeps it away,
//! since his pin lies on the file that would be replaced.

use std::io;

use serde::{Deserialize, Serialize};

use super::manifest::{Manifest, Status};
use super::record::VerifiedRecord;
use super::{Catalogue, Claim};

/// What was found of one snapshot, and of no other one that may come to have its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub snapshot: String,
    pub sequence: u64,
    pub began: String,
    pub verified: VerifiedRecord,
}

/// What became of a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    Written,
    /// Somebody reads the snapshot all the time.
    Kept,
    /// The snapshot is gone, or not what it was any more.
    Void,
}

impl Verdict {
    pub fn on(manifest: &Manifest, verified: VerifiedRecord) -> Verdict {
        Verdict {
            snapshot: manifest.name.clone(),
            sequence: manifest.sequence,
            began: manifest.began.clone(),
            verified,
        }
    }
}

impl Catalogue {
    /// Writes it into the manifest, if nobody reads the snapshot now.
    pub fn deliver(&self, verdict: &Verdict) -> io::Result<Delivery> {
        let unchanged = |found: &Manifest| {
            (found.status, found.sequence) == (Status::Complete, verdict.sequence)
                && found.began == verdict.began
        };
        match self.claim(&verdict.snapshot, unchanged)? {
            Claim::Ours(mut entry, mut manifest) => {
                manifest.verified = Some(verdict.verified.clone());
                entry.write(&manifest).map(|()| Delivery::Written)
            }
            Claim::Busy => Ok(Delivery::Kept),
            Claim::Changed => Ok(Delivery::Void),
        }
    }
}
