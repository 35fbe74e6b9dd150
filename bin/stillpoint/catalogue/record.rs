//! What a manifest says of others: barriers, their dirty epochs, writers, and locks of other programs.

use std::path::PathBuf;

use indicatif::BinaryBytes;
use serde::{Deserialize, Serialize};
use stillpoint::{Barrier, Dirty, Writer};

use crate::barrier::lost::LostRecord;
use crate::words::seconds::milliseconds;

/// One barrier that was held.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BarrierRecord {
    pub barrier: PathBuf,
    pub uuid: String,
    pub boot_id: String,
    /// Its dirty epoch outlives a reboot.
    pub durable: bool,
    pub generation: Option<u32>,
    pub at_grant: Option<DirtyRecord>,
    pub at_release: Option<DirtyRecord>,
    /// Who was lost and not acknowledged when it was made, the newest first; at most the last 32.
    #[serde(default)]
    pub lost: Vec<LostRecord>,
}

/// A lock of another program.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ForeignRecord {
    /// `cyrus`, `fcntl` or `flock`.
    pub kind: String,
    pub path: PathBuf,
    /// How long it was waited for in the last attempt; `null`: it was not had.
    pub waited_ms: Option<f64>,
}

/// A store with a quiesce of its own that took part.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ParticipantRecord {
    pub participant: String,
    /// The processes that it stills, as it says.
    pub covers: Vec<u32>,
    /// How long it took to stand still, the last time; `null`: it did not.
    pub frozen_ms: Option<f64>,
    /// It has said that it goes on.
    pub thawed: bool,
}

/// What a command found that looked at the finished snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifiedRecord {
    /// When it had ended.
    pub at: String,
    /// Who has asked it.
    pub by: String,
    /// It ended with 0.
    pub ok: bool,
}

/// How large a snapshot is, as far as that can be known for little when it is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeRecord {
    /// What is in it, however much of that it shares with others.
    pub bytes: Option<u64>,
    /// Files and folders.
    pub files: Option<u64>,
    /// What it takes by itself: nobody else has these, or may have them.
    pub own_bytes: Option<u64>,
}

impl SizeRecord {
    /// For people: what is in it, else what it takes.
    pub fn shown(self) -> Option<String> {
        self.bytes.or(self.own_bytes).map(|bytes| BinaryBytes(bytes).to_string())
    }

    /// Of several together; what is not known of one is not known of all.
    pub fn and(self, other: SizeRecord) -> SizeRecord {
        let sum = |a: Option<u64>, b: Option<u64>| a?.checked_add(b?);
        SizeRecord {
            bytes: sum(self.bytes, other.bytes),
            files: sum(self.files, other.files),
            own_bytes: sum(self.own_bytes, other.own_bytes),
        }
    }
}

/// The dirty epoch at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirtyRecord {
    pub epoch: u32,
    pub acknowledged: u32,
}

/// The pause as it went.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PauseRecord {
    pub drain_ms: f64,
    /// From quiet to opening; `null` when the pause was broken off, as the next one.
    pub hold_ms: Option<f64>,
    /// From the last closing to opening.
    pub pause_ms: Option<f64>,
    pub closings: u32,
    /// Slots of live writers that were looked at.
    pub writers: usize,
    pub waited_for: Vec<WriterRecord>,
}

/// One writer that was inside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WriterRecord {
    pub pid: u32,
    pub tid: u32,
    pub comm: String,
    pub label: String,
    pub held_ms: f64,
    /// As that of a writer that was lost.
    #[serde(default)]
    pub place: String,
    pub wait_channel: Option<String>,
}

impl BarrierRecord {
    pub fn new(barrier: &Barrier, durable: bool) -> BarrierRecord {
        BarrierRecord {
            barrier: barrier.path().to_owned(),
            uuid: barrier.uuid(),
            boot_id: barrier.boot_id(),
            durable,
            generation: None,
            at_grant: None,
            at_release: None,
            lost: Vec::new(),
        }
    }
}

impl From<&Dirty> for DirtyRecord {
    fn from(dirty: &Dirty) -> DirtyRecord {
        DirtyRecord { epoch: dirty.epoch, acknowledged: dirty.acknowledged }
    }
}

impl From<&Writer> for WriterRecord {
    fn from(writer: &Writer) -> WriterRecord {
        WriterRecord {
            pid: writer.pid,
            tid: writer.tid,
            comm: writer.comm.clone(),
            label: writer.label.clone(),
            held_ms: milliseconds(writer.held),
            place: writer.place.clone(),
            wait_channel: writer.wait_channel.clone(),
        }
    }
}
