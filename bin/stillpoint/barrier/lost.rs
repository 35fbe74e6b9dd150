//! Writers that were lost inside a barrier, as states, manifests and reports write them down.

use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stillpoint::{Dirty, Lost, Status};

use crate::words::seconds::timestamp;

/// A writer that was lost inside the barrier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostRecord {
    /// The dirty epoch that it raised the barrier to.
    #[serde(default)]
    pub epoch: u32,
    pub pid: u32,
    pub comm: String,
    /// What it called itself, or what else is known of it.
    pub label: String,
    /// Where it had taken its share, as `FILE:LINE`; empty: that is not known.
    #[serde(default)]
    pub place: String,
    /// `null`: that is not known.
    pub when: Option<String>,
}

impl From<&Lost> for LostRecord {
    fn from(lost: &Lost) -> LostRecord {
        LostRecord {
            epoch: lost.epoch,
            pid: lost.pid,
            comm: lost.comm.clone(),
            label: lost.label.clone(),
            place: lost.place.clone(),
            when: lost.when.map(timestamp),
        }
    }
}

impl From<&LostRecord> for Lost {
    fn from(record: &LostRecord) -> Lost {
        let when = record.when.as_ref().and_then(|when| when.parse::<Timestamp>().ok());
        let mut lost = Lost::default();
        lost.epoch = record.epoch;
        lost.pid = record.pid;
        lost.comm = record.comm.clone();
        lost.label = record.label.clone();
        lost.place = record.place.clone();
        lost.when = when.map(SystemTime::from);
        lost
    }
}

/// Those of the lost who raised the epoch beyond the one that was acknowledged.
pub fn not_acknowledged(dirty: Dirty, lost: &[Lost]) -> Vec<LostRecord> {
    let back = |epoch| dirty.epoch.wrapping_sub(epoch);
    let open = lost.iter().filter(|lost| back(lost.epoch) < back(dirty.acknowledged));
    open.map(LostRecord::from).collect()
}

/// Adds those who are gone while inside: no tool has met them yet, and the next one will call them lost.
pub fn add_gone(status: &mut Status) {
    let gone = status.writers.iter().filter(|one| one.inside && !one.alive && one.is_watched);
    for writer in gone {
        status.dirty.epoch = status.dirty.epoch.wrapping_add(1);
        let mut lost = Lost::default();
        lost.epoch = status.dirty.epoch;
        lost.pid = writer.pid;
        lost.comm.clone_from(&writer.comm);
        lost.label.clone_from(&writer.label);
        lost.place.clone_from(&writer.place);
        status.lost.insert(0, lost);
    }
}

/// Somebody who was lost without a tool that saw it.
pub fn unseen(epoch: u32, label: &str, when: Option<SystemTime>) -> Lost {
    let mut lost = Lost::default();
    lost.epoch = epoch;
    lost.label = label.to_string();
    lost.when = when;
    lost
}
