//! The durable state of a barrier.
//!
//! Barriers live on tmpfs, and a power cut takes with them the knowledge that writers were under
//! way. So `create` notes on disk that the barrier is *open* and `retire` that it was closed in
//! good order; whoever finds *open* after a boot knows that something was lost. Barriers given as
//! a path of their own, with `--user`, or through `$STILLPOINT_DIR` are private: they have a state only where
//! `--state` or `$STILLPOINT_STATE_DIR` says so.
//!
//! It also remembers who was lost and not acknowledged: the barrier that is made next is told, so that
//! an administrator is.
//!
//! Several tools may write it at once, each what the barrier says at the moment. Who has written looks
//! again, and writes again if the barrier has moved on: so the last one to write, whoever that is,
//! leaves what is true.
//!
//! What it knows is never taken back. A barrier that is behind its state, or is another file than the one
//! that was made, is an older copy put in its place: who was lost since, it does not know. Every tool that
//! meets it raises its epoch beyond that of the state, so that it is dirty for everybody until `recover`.

mod file;
pub mod place;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use stillpoint::{Barrier, Dirty, Lost, Status};

use crate::barrier::lost::{LostRecord, not_acknowledged, unseen};
use crate::words::advice::Named;
use crate::words::exit::{Exit, Failure};
use crate::words::lines::warn;

const SCHEMA: u32 = 1;
/// How often to look again. Whoever still finds something new after that leaves it to the next tool.
const TRIES: u32 = 8;
/// Who was lost when the barrier is not the one that the state knows.
const OLDER: &str = "an older copy in its place";

/// What outlives a boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    schema: u32,
    /// Of the barrier: 32 hex digits.
    pub uuid: String,
    /// Of the boot in which the barrier was last opened: 32 hex digits.
    pub boot_id: String,
    pub epoch: u32,
    pub acknowledged: u32,
    #[serde(rename = "state")]
    condition: Condition,
    /// The inode of the barrier's file, once that is known.
    #[serde(default)]
    inode: Option<u64>,
    /// Who was lost and not acknowledged, as far as the barrier remembers, the newest first.
    #[serde(default)]
    pub lost: Vec<LostRecord>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Condition {
    Open,
    Retired,
}

impl State {
    /// The state of an open barrier. Of those that were lost it keeps the ones that matter.
    pub fn open(uuid: &str, boot_id: &str, dirty: Dirty, lost: &[Lost]) -> State {
        State {
            schema: SCHEMA,
            uuid: uuid.to_string(),
            boot_id: boot_id.to_string(),
            epoch: dirty.epoch,
            acknowledged: dirty.acknowledged,
            condition: Condition::Open,
            inode: None,
            lost: not_acknowledged(dirty, lost),
        }
    }

    /// The state of this barrier, which is open.
    pub fn of(barrier: &Barrier, dirty: Dirty) -> State {
        State {
            inode: inode(barrier.path()),
            ..State::open(&barrier.uuid(), &barrier.boot_id(), dirty, &barrier.lost())
        }
    }

    /// Raises the epoch of its barrier, if that is an older copy.
    pub fn tell(&self, barrier: &Barrier) {
        if self.uuid == barrier.uuid() && self.is_beyond(barrier.path(), barrier.dirty()) {
            barrier.raise_dirty_beyond(self.epoch, OLDER);
            barrier.recall(&self.lost.iter().map(Lost::from).collect::<Vec<_>>());
        }
    }

    /// The same for a report: what the next tool will find.
    pub fn tell_report(&self, status: &mut Status) {
        if self.uuid == status.uuid && self.is_beyond(&status.barrier, status.dirty) {
            let ahead = (self.epoch.wrapping_sub(status.dirty.epoch) as i32).max(0);
            status.dirty.epoch = status.dirty.epoch.wrapping_add_signed(ahead).wrapping_add(1);
            let known = self.lost.iter().map(Lost::from);
            let known =
                known.filter(|lost| status.lost.iter().all(|other| other.epoch != lost.epoch));
            let known: Vec<Lost> = known.collect();
            status.lost.splice(0..0, known);
            status.lost.insert(0, unseen(status.dirty.epoch, OLDER, None));
        }
    }

    /// Whether it knows more than a barrier with its uuid. One that is dirty anyhow may be another file:
    /// who acknowledges that writes down which. A question that cannot be asked says nothing.
    fn is_beyond(&self, barrier: &Path, dirty: Dirty) -> bool {
        let is_ahead = self.epoch.wrapping_sub(dirty.epoch) as i32 > 0;
        let is_other = || match (self.inode, inode(barrier)) {
            (Some(known), Some(now)) => known != now,
            _ => false,
        };
        is_ahead || (!dirty.is_dirty() && is_other())
    }

    /// Why it does not speak for a barrier, if so.
    pub fn stranger(&self, uuid: &str, boot_id: &str) -> Option<&'static str> {
        match (self.uuid == uuid, self.boot_id == boot_id) {
            (false, _) => Some("the state of another barrier"),
            (true, false) => Some("of another boot"),
            (true, true) => None,
        }
    }

    pub fn retired(self) -> State {
        State { condition: Condition::Retired, ..self }
    }

    pub fn is_open(&self) -> bool {
        self.condition == Condition::Open
    }

    /// Whether a loss has not been acknowledged yet.
    pub fn is_dirty(&self) -> bool {
        self.epoch != self.acknowledged
    }

    /// Reads the state of this very barrier, and tells it what it does not know; that of another one is an
    /// error, and one that was named and is not there.
    pub fn load_of(barrier: &Barrier, name: &Named, path: &Path) -> Result<Option<State>, Failure> {
        let Some(known) = State::find(path, name.has_state())? else {
            return Ok(None);
        };
        if known.uuid != barrier.uuid() {
            return Err(Failure::new(
                Exit::DATA,
                format!(
                    "the state {} belongs to another barrier than {}: run {} first, or give the right --state",
                    path.display(),
                    barrier.path().display(),
                    name.command("create")
                ),
            ));
        }
        known.tell(barrier);
        Ok(Some(known))
    }

    /// Writes down, for the next boot, that the barrier has lost a writer since.
    /// Only the epoch is taken over: it is for `recover` to acknowledge.
    pub fn keep_dirt(path: &Path, barrier: &Barrier) -> Result<(), Failure> {
        for _ in 0..TRIES {
            let Some(known) = State::load(path)?.filter(|known| known.uuid == barrier.uuid())
            else {
                return Ok(());
            };
            known.tell(barrier);
            let dirty = Dirty { acknowledged: known.acknowledged, ..barrier.dirty() };
            let now = State { boot_id: known.boot_id.clone(), ..State::of(barrier, dirty) };
            if now == known {
                return Ok(());
            }
            now.store(path)?;
        }
        Ok(())
    }

    /// Writes what the barrier says of itself, unless it is there.
    pub fn note(path: &Path, barrier: &Barrier) -> Result<(), Failure> {
        for _ in 0..TRIES {
            let known = State::load(path)?;
            if let Some(known) = &known {
                known.tell(barrier);
            }
            let now = State::of(barrier, barrier.dirty());
            if known.as_ref() == Some(&now) {
                return Ok(());
            }
            now.store(path)?;
        }
        Ok(())
    }

    /// Refuses a state that was named and is not there, before anything is done. That it cannot be read is no failure
    /// of who may have nothing to write down.
    pub fn require(given: Option<&Path>) -> Result<(), Failure> {
        let path = given.filter(|given| *given != Path::new("none"));
        match path.map_or(Ok(None), |path| State::find(path, true)) {
            Err(failure) if failure.exit == Exit::MISSING => Err(failure),
            _ => Ok(()),
        }
    }

    /// The same for a barrier as its user named it. That this user may not write its state is no
    /// failure: a tool of somebody who may will come.
    pub fn keep_dirt_of(name: &OsStr, user: bool, given: Option<&Path>, barrier: &Barrier) {
        let kept = match place::path(name, user, given) {
            Ok(Some(path)) => State::keep_dirt(&path, barrier),
            _ => return,
        };
        match kept {
            Err(failure) if failure.exit != Exit::DENIED => warn(&failure.to_string()),
            _ => {}
        }
    }
}

/// What to do about a state that does not speak for a barrier.
pub fn advice(name: &Named, barrier: &Path, state: &Path, whose: &str) -> String {
    let (barrier, state) = (barrier.display(), state.display());
    format!("{barrier}: {state} is {whose}; run {} for this one", name.command("create"))
}

fn inode(barrier: &Path) -> Option<u64> {
    fs::metadata(barrier).ok().map(|file| file.ino())
}
