//! What a pause holds of one barrier, and how that is given back.
//!
//! The order at the end is the certificate: look at every slot once more, because a share that the
//! exclusive side itself covered may have died inside or may still be there; read the dirty epoch;
//! then open the gate by swapping the very generation that closed it. Only if that swap succeeds has
//! nobody else opened it before. Wake the waiters, and give the locks back last, so that the next tool
//! finds everything in order.

use crate::barrier::handle::Barrier;
use crate::barrier::status::Holder;
use crate::error::Error;
use crate::error::who::Writer;
use crate::exclusive::pacing;
use crate::file::layout::{FLAG_MAY_BE_COVERED, LockByte, Slot};
use crate::file::losses::Dirty;
use crate::gate::protocol::{Fenced, is_inside};
use crate::gate::sync::{Ordering, step};
use crate::member::attachment::Attachment;
use crate::member::healing::open_for_all;
use crate::member::lifeline::Lifeline;
use crate::member::process;
use crate::member::reclaim::reclaim;
use crate::succession::stragglers::Stamp;
use crate::system::calls::{comm, random, thread_id};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long a writer that was covered and ran into the closed gate may take until its word is even
/// again.
const KNOCKING: Duration = Duration::from_millis(50);

/// The exclusive side of one barrier, or an ancestor's that covers.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) barrier: Barrier,
    /// Where the caller named it.
    pub(crate) position: usize,
    /// The generation of the closed gate; even before the first closing.
    pub(crate) generation: u32,
    /// When it was closed.
    closed: Instant,
    /// X, then flock(2) unless that stands on X's own descriptor; nothing if an ancestor has them.
    locks: Vec<Lifeline>,
    covered: bool,
    /// Where it was found to be in its place.
    stamp: Option<Stamp>,
}

impl Held {
    /// Under an ancestor's pause nothing more is needed.
    pub(crate) fn under_cover(barrier: &Barrier, position: usize, generation: u32) -> Held {
        Held::new(barrier, position, generation, Vec::new())
    }

    fn new(barrier: &Barrier, position: usize, generation: u32, locks: Vec<Lifeline>) -> Held {
        let (barrier, covered) = (barrier.clone(), locks.is_empty());
        Held { barrier, position, generation, closed: Instant::now(), locks, covered, stamp: None }
    }

    /// Tries to take X.
    pub(crate) fn try_take(
        barrier: &Barrier,
        position: usize,
        keep_descriptor: bool,
    ) -> Result<Option<Held>, Error> {
        let process = process::lock();
        let place = &barrier.inner.place;
        let x = Lifeline::of_byte(&process, place, LockByte::Exclusive, keep_descriptor)?;
        Ok(x.map(|x| Held::new(barrier, position, 0, vec![x])))
    }

    /// Tries to take flock(2) on the barrier file.
    pub(crate) fn try_flock(&mut self) -> Result<bool, Error> {
        let try_lock = |file: &_| match fs2::FileExt::try_lock_exclusive(file) {
            Ok(()) => Ok(Some(())),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        };
        let place = &self.barrier.inner.place;
        if let Some(file) = self.locks[0].file() {
            let taken =
                try_lock(file).map_err(|source| Error::system("flock", &place.path, source))?;
            return Ok(taken.is_some());
        }
        let process = process::lock();
        let held = Lifeline::hold(&process, place, place.open_to_read()?, false, try_lock)?;
        Ok(held.map(|(lifeline, ())| self.locks.push(lifeline)).is_some())
    }

    /// This process's attachment, which the caller found there when it took X, unless the file was cut.
    pub(crate) fn attachment(&self) -> Result<&Attachment, Error> {
        self.barrier.inner.whole()
    }

    /// The dirty epoch.
    pub(crate) fn dirty(&self) -> Dirty {
        let dirty = self.attachment().map(|attachment| attachment.parts.dirty().now());
        dirty.unwrap_or_default()
    }

    /// Whoever used another file in this one's place has come over.
    pub(crate) fn note_place(&mut self) {
        self.stamp = Some(Stamp::of(self.barrier.path()));
    }

    /// Whether the file is where writers look for it, and was all the time as far as its own times tell; else
    /// they are let in by another one, or may have been. Under an ancestor's pause that is the ancestor's
    /// question.
    pub(crate) fn is_in_place(&self) -> bool {
        let place = &self.barrier.inner.place;
        let was_moved = |stamp: Stamp| stamp.was_moved(&place.path);
        self.covered || place.is_in_place() && !self.stamp.is_some_and(was_moved)
    }

    /// Whether nobody is left whom another file has let in during the pause. This may read the kernel's table of
    /// locks, piece by piece, and each piece stops all lockers of the machine: the gate is open by now.
    pub(crate) fn is_alone(&self) -> bool {
        let place = &self.barrier.inner.place;
        let alone = |stamp: Stamp| {
            let attachment = self.attachment();
            attachment.is_ok_and(|here| stamp.is_alone(here.parts, &place.path, place.identity))
        };
        self.covered || self.stamp.is_none_or(alone)
    }

    /// Opens a gate that a dead holder left closed.
    pub(crate) fn heal(&self) -> Result<(), Error> {
        let attachment = self.attachment()?;
        step("exclusive: about to heal");
        open_for_all(attachment, attachment.gate().now());
        Ok(())
    }

    /// Says who wants the exclusive side, and how long a writer has to wait at most (0: as long as it
    /// takes). The gate is open.
    pub(crate) fn announce(&self, label: &str, limit: Option<Duration>) -> Result<(), Error> {
        let attachment = self.attachment()?;
        let (gate, holder) = (attachment.gate(), attachment.parts.holder());
        let milliseconds =
            limit.map_or(0, |limit| u32::try_from(limit.as_millis()).unwrap_or(u32::MAX).max(1));
        gate.limit.store(milliseconds, Ordering::Relaxed);
        step("exclusive: limit set");
        holder.pid.store(std::process::id(), Ordering::Relaxed);
        holder.comm.set(&comm());
        holder.label.set(label);
        holder.since.set_wall_clock();
        // It only tells pauses apart in reports.
        let [high, low, ..] = random().unwrap_or_default();
        holder.token.set(u64::from(high) << 32 | u64::from(low));
        gate.wanted.store(1, Ordering::Relaxed);
        step("exclusive: wanted");
        attachment.exclusive_thread.store(thread_id(), Ordering::Relaxed);
        step("exclusive: announced");
        Ok(())
    }

    /// Closes the gate, and has every writer pass a fence that has left its own out. If that cannot be done, the gate
    /// is opened by whoever drops this.
    pub(crate) fn close(&mut self) -> Result<Fenced, Error> {
        self.closed = Instant::now();
        let gate = self.attachment()?.gate();
        // Only garbage makes it odd while this process holds X; opening it is what heals that.
        let closed = gate.close().or_else(|| {
            gate.open(gate.now());
            gate.close()
        });
        let closed = closed.ok_or_else(|| {
            let reason = "somebody who does not hold the exclusive lock closes the gate".into();
            Error::Revoked { path: self.barrier.path().into(), reason }
        })?;
        // Before anything that may fail: it is what this is opened by.
        self.generation = closed.generation();
        closed.fence(|| self.attachment()?.fence_writers(self.barrier.path()))
    }

    /// Opens the gate without a grant, if it is closed, and records a closing that failed.
    pub(crate) fn reopen(&mut self) {
        if let Ok(attachment) = self.attachment() {
            if open_for_all(attachment, self.generation) {
                pacing::record(attachment.parts.stats(), self.closed.elapsed(), true);
            }
        }
        self.generation = 0;
    }

    /// Counts a drain that reached its limit.
    pub(crate) fn count_drain_timeout(&self) {
        if let Ok(attachment) = self.attachment() {
            attachment.parts.stats().drain_timeouts.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes the announcement back.
    pub(crate) fn retract(&self) {
        if let Ok(attachment) = self.attachment() {
            attachment.gate().wanted.store(0, Ordering::Relaxed);
            attachment.parts.holder().pid.store(0, Ordering::Relaxed);
        }
        // Of this process, whatever has become of the file.
        if let Ok(attachment) = self.barrier.inner.attached() {
            attachment.exclusive_thread.store(0, Ordering::Relaxed);
        }
    }

    pub(crate) fn is_covered(&self) -> bool {
        self.covered
    }

    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.locks.first().and_then(Lifeline::descriptor)
    }

    pub(crate) fn into_descriptor(self) -> Option<OwnedFd> {
        self.locks.into_iter().next().and_then(Lifeline::into_descriptor)
    }

    /// Whether the gate still is closed as it was.
    pub(crate) fn is_closed(&self) -> bool {
        self.attachment().is_ok_and(|attachment| attachment.gate().now() == self.generation)
    }

    /// A writer that is inside although the gate was never opened: one that is covered. The odd word of
    /// any other is that of a writer which has just run into the closed gate; the same may be true of
    /// one that was covered once, so it is given time to take its word back.
    pub(crate) fn still_inside(&self) -> Option<Writer> {
        if self.covered {
            return None;
        }
        let attachment = self.attachment().ok()?;
        let (gate, parts) = (attachment.gate(), attachment.parts);
        let may_be_covered =
            |slot: &Slot| slot.flags.load(Ordering::Relaxed) & FLAG_MAY_BE_COVERED != 0;
        let mut inside: Vec<(usize, &Slot, u32)> = (parts.slots().iter().enumerate())
            .map(|(index, slot)| (index, slot, slot.word.load(Ordering::Acquire)))
            .filter(|(_, slot, word)| is_inside(*word) && may_be_covered(slot))
            .collect();
        let looked = Instant::now();
        loop {
            let ticket = gate.drain.word().load(Ordering::Acquire);
            inside.retain(|(index, slot, word)| {
                slot.word.load(Ordering::Acquire) == *word
                    && !reclaim(&self.barrier.inner.place, parts, *index)
            });
            let (index, slot, word) = inside.first()?;
            if looked.elapsed() >= KNOCKING {
                return Some(Writer::of_slot(*index, slot, *word, looked.elapsed()));
            }
            gate.drain.wait(ticket, Some(KNOCKING / 10));
        }
    }

    /// Opens the gate. False if somebody else has; for an ancestor's pause: if it is over.
    pub(crate) fn open(&self) -> bool {
        if self.covered {
            return self.is_closed();
        }
        step("release: about to retract");
        self.retract();
        step("release: retracted");
        self.attachment().is_ok_and(|here| open_for_all(here, self.generation))
    }

    /// Records the pause and gives the locks back.
    pub(crate) fn give_back(self, pause: Duration) {
        let own = (!self.covered).then(|| self.attachment().ok()).flatten();
        if let Some(attachment) = own {
            let stats = attachment.parts.stats();
            stats.count_pause(pause);
            pacing::record(stats, pause, false);
        }
        step("release: recorded");
        self.unlock();
        step("release: unlocked");
    }

    /// Gives the locks back.
    pub(crate) fn unlock(self) {
        for lock in self.locks.into_iter().rev() {
            lock.unlock();
            step("exclusive: a lock given back");
        }
    }

    /// Who says that he has X.
    pub(crate) fn rival(barrier: &Barrier) -> String {
        let Ok(attachment) = barrier.inner.whole() else {
            return "another tool".into();
        };
        let holder = Holder::of(attachment.parts, barrier.inner.place.identity);
        holder.map_or_else(|| "another tool".into(), |holder| holder.to_string())
    }
}
