//! Locks of programs that know nothing of the barrier, held for the length of a pause.
//!
//! They are taken before the gate closes: whoever holds one may take long, and nobody shall stand at
//! our gate for him. So they are polled, in the order given: with patience for the first, as nobody waits
//! for us meanwhile, and for the others no longer than a writer of ours may be kept waiting; what was
//! taken goes back when a later one, or the pause, cannot be had. At the end the gate opens first, since our writers are the ones who wait for milliseconds, and these locks fall right after.
//! Descriptors are closed on exec: a copy that outlives us must not keep a mail server waiting.
//!
//! Nobody waits for them longer than for our gate, whatever happens to us: the kernel takes them back from a
//! process that dies, and a watchdog from one that is stopped.
//!
//! The lock belongs to the file, not to the name. If somebody puts another file in its place, the
//! others lock that one and exclude us no more; so the name is asked again when the gate is open.
//!
//! Uses `place`, and what lies below the snapshot. Right about bounded harm: whoever else waits for these locks has
//! them back in time.

mod at_hand;
pub mod cyrus;
mod holders;
mod locking;
pub mod wanted;
mod watchdog;

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use self::cyrus::Cyrus;
pub use self::locking::Patience;
use self::locking::{Wait, is_in_place, open, unlock};
use self::wanted::{Also, Kind};
use self::watchdog::Watchdog;
use crate::catalogue::record::ForeignRecord;
use crate::process::signals::Signals;
use crate::snapshot::place::folder::known_path;
use crate::words::exit::{Exit, Failure};
use crate::words::seconds;

/// The locks that a snapshot takes, known before anything is locked.
#[derive(Debug, Default)]
pub struct ForeignLocks {
    wanted: Vec<Also>,
    cyrus: Option<Cyrus>,
}

impl ForeignLocks {
    /// What is asked for; each file can be opened. Changes nothing. `unchecked`: whether Cyrus takes its lock
    /// is not looked into.
    pub fn find(
        configuration: Option<&Path>,
        unchecked: bool,
        also: &[Also],
    ) -> Result<ForeignLocks, Failure> {
        let cyrus = configuration.map(Cyrus::configured).transpose()?;
        let mut wanted = Vec::new();
        let mut seen = Vec::new();
        if let (Some(cyrus), Some(configuration)) = (&cyrus, configuration) {
            cyrus.check()?;
            if !unchecked {
                at_hand::check(cyrus, configuration)?;
            }
            let path = cyrus.lock_file().to_owned();
            if path.exists() {
                seen.push((false, identity(&open(&path)?, &path)?));
            }
            wanted.push(Also { kind: Kind::Cyrus, path });
        }
        for also in also {
            let path = known_path(&also.path)?;
            let file = (also.kind == Kind::Flock, identity(&open(&path)?, &path)?);
            // We would wait for ourselves.
            if !seen.contains(&file) {
                seen.push(file);
                wanted.push(Also { kind: also.kind, path });
            }
        }
        Ok(ForeignLocks { wanted, cyrus })
    }

    /// The records for the manifest, before anything was waited for.
    pub fn records(&self) -> Vec<ForeignRecord> {
        let record = |also: &Also| ForeignRecord {
            kind: also.kind.name().to_owned(),
            path: also.path.clone(),
            waited_ms: None,
        };
        self.wanted.iter().map(record).collect()
    }

    /// What a command that runs Cyrus's own tools needs, lest they wait for us.
    pub fn environment(&self) -> Option<(&'static str, &'static str)> {
        self.cyrus.is_some().then_some(("CYRUS_HAVELOCK_GLOBAL", "1"))
    }

    /// Takes all of them in time, or none; then they may be held for `holding`.
    pub fn take(
        &self,
        patience: Patience,
        holding: Option<Duration>,
        signals: &Signals,
        records: &mut [ForeignRecord],
    ) -> anyhow::Result<HeldLocks> {
        if self.wanted.is_empty() {
            return Ok(HeldLocks::default());
        }
        if let Some(cyrus) = &self.cyrus {
            cyrus.make_lock_file()?;
        }
        let mut wait = Wait::new(patience, signals);
        loop {
            let held = HeldLocks::open(&self.wanted, wait.left())?;
            if held.lock(&mut wait, records)? && !held.were_given_back() {
                held.may_be_held(holding);
                return Ok(held);
            }
            wait.begin_again(&self.wanted[0].path)?;
        }
    }
}

/// Files that are held locked until this goes.
#[derive(Debug, Default)]
pub struct HeldLocks {
    wanted: Vec<Also>,
    files: Vec<File>,
    watchdog: Option<Watchdog>,
}

impl HeldLocks {
    /// Opens them all, with somebody who unlocks them after `limit`.
    fn open(wanted: &[Also], limit: Duration) -> Result<HeldLocks, Failure> {
        let files: Result<Vec<File>, Failure> =
            wanted.iter().map(|also| open(&also.path)).collect();
        let files = files?;
        let watchdog = Some(Watchdog::start(&files, Some(limit))?);
        Ok(HeldLocks { wanted: wanted.to_owned(), files, watchdog })
    }

    /// Locks them, one after another. False if all of it has to begin again: one was replaced meanwhile,
    /// and keeps nobody out.
    fn lock(&self, wait: &mut Wait<'_>, records: &mut [ForeignRecord]) -> anyhow::Result<bool> {
        for ((also, file), record) in self.wanted.iter().zip(&self.files).zip(records) {
            let once = Instant::now();
            if !wait.lock(file, also)? {
                return Ok(false);
            }
            record.waited_ms = Some(seconds::milliseconds(once.elapsed()));
            wait.is_held();
            self.may_be_held(Some(wait.left()));
        }
        Ok(self.lead_to_their_names()?.is_none())
    }

    /// Not asked again once it has said yes.
    fn were_given_back(&self) -> bool {
        self.watchdog.as_ref().is_some_and(Watchdog::has_let_go)
    }

    fn may_be_held(&self, limit: Option<Duration>) {
        if let Some(watchdog) = &self.watchdog {
            watchdog.limit(limit);
        }
    }

    /// An error unless they kept everybody out until now: they may have been given back, or others may
    /// have locked another file of one of these names meanwhile.
    pub fn check(&self) -> Result<(), Failure> {
        let message = if self.were_given_back() {
            "the locks of other programs had reached their limit and were given back before the pause was over: what was made in it is not to be trusted".to_owned()
        } else if let Some(path) = self.lead_to_their_names()? {
            format!(
                "{}: was replaced while it was locked, so nothing was kept out; find out who removes lock files",
                path.display()
            )
        } else {
            return Ok(());
        };
        Err(Failure::new(Exit::LIMIT, message))
    }

    /// The first that was replaced.
    fn lead_to_their_names(&self) -> Result<Option<&Path>, Failure> {
        for (also, file) in self.wanted.iter().zip(&self.files) {
            if !is_in_place(file, &also.path)? {
                return Ok(Some(&also.path));
            }
        }
        Ok(None)
    }
}

impl Drop for HeldLocks {
    fn drop(&mut self) {
        // The watchdog has them too, for a moment yet.
        self.files.iter().for_each(unlock);
    }
}

/// Device and inode.
fn identity(file: &File, path: &Path) -> Result<(u64, u64), Failure> {
    let found = file.metadata().map_err(|error| Failure::system(path.display(), error))?;
    Ok((found.dev(), found.ino()))
}
