//! A verdict on a finished snapshot, which goes into its manifest.
//!
//! As every text of a manifest, it is written by who has the lock: whoever reads the snapshot meanwhile keeps it away,
//! since his pin lies on the file that would be replaced.

use std::io;
use std::time::{Duration, Instant};

use super::manifest::{Manifest, Status};
use super::record::VerifiedRecord;
use super::{Catalogue, Claim};

/// How long to wait for readers.
const PATIENCE: Duration = Duration::from_secs(10);

impl Catalogue {
    /// False if the snapshot is read all the time, or is not what it was any more.
    pub fn record_verdict(&self, of: &Manifest, verdict: &VerifiedRecord) -> io::Result<bool> {
        let unchanged = |found: &Manifest| {
            (found.status, found.sequence) == (Status::Complete, of.sequence)
                && found.began == of.began
        };
        let started = Instant::now();
        loop {
            match self.claim(&of.name, unchanged)? {
                Claim::Ours(mut entry, mut manifest) => {
                    manifest.verified = Some(verdict.clone());
                    return entry.write(&manifest).map(|()| true);
                }
                Claim::Busy if started.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Claim::Busy | Claim::Changed => return Ok(false),
            }
        }
    }
}
