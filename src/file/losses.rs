//! The dirty epoch, which grows by each writer that is lost inside a share, and the ring of the last of them.
//!
//! Raising it is a promise that no crash takes back, so it comes before whatever makes the loss unseen. The ring is for
//! people.

use crate::file::layout::{DirtyRecord, LOST, LostRecord};
use crate::file::taken_at::TakenAt;
use crate::gate::sync::{Ordering, step};
use std::time::SystemTime;

/// The dirty epoch and the epoch that was acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dirty {
    /// Grows by at least one for each writer lost inside a share.
    pub epoch: u32,
    /// The last epoch that somebody repaired, or looked at and found harmless.
    pub acknowledged: u32,
}

impl Dirty {
    /// Whether a loss has not been acknowledged yet.
    pub fn is_dirty(&self) -> bool {
        self.epoch != self.acknowledged
    }
}

/// A writer that was lost inside a share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lost {
    /// The dirty epoch that it raised the barrier to.
    pub epoch: u32,
    /// Whether that was acknowledged.
    pub acknowledged: bool,
    /// Its process id; 0: unknown.
    pub pid: u32,
    /// The name of its thread.
    pub comm: String,
    /// What it called itself, or what else is known of it.
    pub label: String,
    /// Where it had taken its share, as [`crate::WriterStatus::place`].
    pub place: String,
    /// When that was found out, if that is known.
    pub when: Option<SystemTime>,
}

/// Who is written into the ring of the lost.
pub(crate) struct Loss<'a> {
    pub(crate) pid: u32,
    pub(crate) comm: &'a str,
    pub(crate) label: &'a str,
    /// Where it had taken its share, if that is known.
    pub(crate) place: &'a str,
}

impl<'a> Loss<'a> {
    /// One of which no more is known than what it was.
    pub(crate) fn of_nobody(label: &'a str) -> Loss<'a> {
        Loss { pid: 0, comm: "", label, place: "" }
    }
}

impl DirtyRecord {
    /// Raises the epoch and remembers why.
    pub(crate) fn raise(&self, loss: &Loss<'_>) {
        let before = self.epoch.fetch_add(1, Ordering::AcqRel);
        step("reclaim: epoch raised");
        self.write(before.wrapping_add(1), loss, Some(SystemTime::now()));
    }

    /// Raises the epoch beyond this one, if it is behind. Whom the records of those between are about, nobody
    /// knows here.
    pub(crate) fn raise_beyond(&self, epoch: u32, loss: &Loss<'_>) {
        let mut now = self.epoch.load(Ordering::Acquire);
        let last = loop {
            let last = if epoch.wrapping_sub(now) as i32 > 0 { epoch } else { now };
            let raised = last.wrapping_add(1);
            match self.epoch.compare_exchange(now, raised, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break last,
                Err(moved) => now = moved,
            }
        };
        for back in 0..last.wrapping_sub(now).min(LOST) {
            self.write(last.wrapping_sub(back), &Loss::of_nobody(""), None);
        }
        self.write(last.wrapping_add(1), loss, Some(SystemTime::now()));
    }

    /// Says who it was that raised the epoch to this, and when that was found out.
    pub(crate) fn write(&self, epoch: u32, loss: &Loss<'_>, when: Option<SystemTime>) {
        let (record, taken_at) = self.records(epoch);
        record.pid.store(loss.pid, Ordering::Relaxed);
        record.comm.set(loss.comm);
        record.label.set(loss.label);
        record.when.set_time(when);
        taken_at.write(epoch, loss.place);
    }

    /// Both epochs.
    pub(crate) fn now(&self) -> Dirty {
        Dirty {
            epoch: self.epoch.load(Ordering::Acquire),
            acknowledged: self.acknowledged.load(Ordering::Acquire),
        }
    }

    /// The records of the loss that raised the epoch to this.
    pub(crate) fn records(&self, epoch: u32) -> (&LostRecord, &TakenAt) {
        let index = (epoch.wrapping_sub(1) % LOST) as usize;
        (&self.ring[index], &self.taken_at[index])
    }

    /// Who was lost up to now, the newest first. Of losses before the barrier was made it may not be
    /// known who they were: those that are not acknowledged stand there all the same.
    pub(crate) fn lost(&self, now: Dirty) -> Vec<Lost> {
        let open = now.epoch.wrapping_sub(now.acknowledged);
        let lost = (0..LOST.min(now.epoch)).map(|back| {
            let epoch = now.epoch.wrapping_sub(back);
            self.read(epoch, back >= open)
        });
        lost.filter(|lost| !lost.acknowledged || lost.is_known()).collect()
    }

    fn read(&self, epoch: u32, acknowledged: bool) -> Lost {
        let (record, taken_at) = self.records(epoch);
        Lost {
            epoch,
            acknowledged,
            pid: record.pid.load(Ordering::Relaxed),
            comm: record.comm.get(),
            label: record.label.get(),
            place: taken_at.read(epoch),
            when: record.when.wall_clock(),
        }
    }
}

impl<'a> From<&'a Lost> for Loss<'a> {
    fn from(Lost { pid, comm, label, place, .. }: &'a Lost) -> Loss<'a> {
        Loss { pid: *pid, comm, label, place }
    }
}

impl Lost {
    fn is_known(&self) -> bool {
        self.pid != 0 || !self.comm.is_empty() || !self.label.is_empty() || self.when.is_some()
    }
}
