//! What the command of a job finds of the snapshot, and that its manifest is told.
//!
//! A verdict is written into a manifest that nobody reads at that moment. It is in the record of the job from when it is
//! known until it is there, so that no death and no reader loses it: the next run tells what this one could not.
//!
//! What looks at a snapshot must not change it, and many a tool does without being asked: a database replays its journal, a mail
//! server mends its index. So the command sees it read-only, in a mount namespace of its own.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use super::Run;
use crate::catalogue::Catalogue;
use crate::catalogue::pin::Pinning;
use crate::catalogue::record::VerifiedRecord;
use crate::catalogue::verdict::{Delivery, Verdict};
use crate::job::commands::{bounds, too_long};
use crate::process::child::ended::Ended;
use crate::process::child::{self, Terms};
use crate::process::signals::received;
use crate::snapshot::place::showing::read_only;
use crate::words::exit::{Exit, Failure, reason};
use crate::words::lines::warn;
use crate::words::seconds::timestamp;

/// How long a verdict waits for who reads the snapshot.
const READERS: Duration = Duration::from_secs(10);
/// Between two looks whether somebody does.
const LOOK: Duration = Duration::from_millis(50);

impl Run<'_> {
    pub(super) fn verify(&mut self) -> anyhow::Result<Exit> {
        let (Some(words), Some(manifest)) = (&self.job.verify, self.taken.clone()) else {
            return Ok(Exit::SUCCESS);
        };
        let catalogue = Catalogue::locate(self.job.snapshot.catalog.as_deref());
        let pin = match manifest.has_data() {
            false => None,
            true => match catalogue.pin(&manifest.name)? {
                Pinning::Held(pin) => Some(pin),
                Pinning::Changing | Pinning::Unusable(_) => {
                    let message = format!("{}: is gone already", manifest.name);
                    return Err(Failure::new(Exit::MISSING, message).into());
                }
            },
        };
        let mut command = self.command(words);
        let locks = pin.as_ref().map(|pin| pin.locks()).unwrap_or_default();
        let timeout = self.job.verify_timeout;
        let signals = &mut self.signals;
        let mut run = || {
            let terms = Terms {
                bounds: bounds(timeout),
                inherited: &locks,
                prints_errors_only: true,
                told: None,
            };
            child::run(&mut command, terms, signals)
        };
        let ended = match &manifest.path {
            Some(path) => read_only(path, |shown| {
                shown.unwrap_or_else(|error| warn_of_writing(path, &error));
                run()
            })?,
            // What is no folder is mounted read-only, or not by us.
            None => run(),
        }?;
        if ended == Ended::AtLimit {
            // That it takes long says nothing of the snapshot.
            return Err(too_long(timeout).into());
        }
        if let Some(signal) = received() {
            let exit = match ended {
                Ended::Exited(0) => Exit::killed_by(signal),
                ended => ended.exit(),
            };
            let message = format!("no verdict, as signal {signal} came");
            return Err(Failure::new(exit, message).into());
        }
        drop(locks);
        drop(pin);
        let verified = VerifiedRecord {
            at: timestamp(SystemTime::now()),
            by: format!("job {}", self.job.name),
            ok: ended == Ended::Exited(0),
        };
        let verdict = Verdict::on(&manifest, verified);
        self.record.undelivered.push(verdict.clone());
        // Whoever reads an older one was waited for when that was new.
        let until = Instant::now() + READERS;
        loop {
            self.deliver()?;
            let is_kept = self.record.undelivered.contains(&verdict);
            if !is_kept || Instant::now() >= until || received().is_some() {
                return Ok(ended.exit());
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Tells manifests what was found of their snapshots, if nobody reads these now. What cannot be told is kept for the
    /// next run.
    pub(super) fn deliver(&mut self) -> io::Result<()> {
        let catalogue = Catalogue::locate(self.job.snapshot.catalog.as_deref());
        let mut failed = None;
        self.record.undelivered.retain(|verdict| match catalogue.deliver(verdict) {
            Ok(Delivery::Written | Delivery::Void) => false,
            Ok(Delivery::Kept) => true,
            Err(error) => {
                failed.get_or_insert(error);
                true
            }
        });
        // Before anybody is waited for.
        if self.stored != self.record.undelivered {
            self.stored.clone_from(&self.record.undelivered);
            self.record.store().unwrap_or_else(|failure| warn(&failure.to_string()));
        }
        failed.map_or(Ok(()), Err)
    }
}

/// A btrfs cannot be written to in any case.
fn warn_of_writing(snapshot: &Path, error: &io::Error) {
    if access(snapshot, AccessFlags::W_OK) == Err(Errno::EROFS) {
        return;
    }
    warn(&format!(
        "{}: the command of [verify] could write to it, as it cannot be shown read-only: {}; run the job as root, where mount namespaces are allowed",
        snapshot.display(),
        reason(error)
    ));
}
