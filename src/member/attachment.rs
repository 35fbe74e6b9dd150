//! What a process has of a barrier file: its map, its counted slot and the slots of its threads.

use crate::error::Error;
use crate::file::layout::{FLAG_UNWATCHED, KIND_COUNTED, Parts, SLOTS, Slot};
use crate::file::open::{HeaderCopy, check_header};
use crate::gate::protocol::{Gate, is_closed, is_inside};
use crate::gate::sync::{AtomicU32, Ordering, step};
use crate::member::cookies::Cookies;
use crate::member::fences::Fences;
use crate::member::healing::Met;
use crate::member::inner::Inner;
use crate::member::join::{claim, introduce};
use crate::member::lifeline::Lifeline;
use crate::member::listeners::Listeners;
use crate::member::mapping::BarrierMap;
use crate::member::process::{self, Locked};
use crate::member::threads;
use crate::seat::{self, Seat};
use crate::system::calls::comm;
use std::fs::File;
use std::sync::Mutex;
use std::sync::PoisonError;

/// What a process has of a barrier: the map, its counted slot, and its threads' slots.
#[derive(Debug)]
pub(crate) struct Attachment {
    pub(crate) incarnation: u64,
    pub(crate) parts: Parts,
    /// How many waiters a release wakes at once, as the header said at joining.
    pub(crate) readmit: u32,
    /// Whether its threads enter without one.
    pub(crate) fences: Fences,
    /// The counted slot.
    pub(crate) counted: u32,
    /// Since when this process has met the gate closed.
    pub(crate) met: Met,
    /// The thread that has the exclusive side, by its id; 0: none here.
    pub(crate) exclusive_thread: AtomicU32,
    /// Who wants to hear that the gate has opened.
    pub(crate) listeners: Listeners,
    /// Counted shares that have a number.
    pub(crate) cookies: Cookies,
    registrations: Mutex<Vec<Registration>>,
    /// Says where this process takes the file to be, as long as it may be inside.
    signature: Mutex<Option<Lifeline>>,
    _counted_life: Lifeline,
    map: BarrierMap,
}

/// A thread's slot.
#[derive(Debug)]
pub(super) struct Registration {
    pub(super) seat: &'static Seat,
    /// The seat's serial number and slot then: a seat may serve another registration later.
    pub(super) serial: u64,
    pub(super) slot: u32,
    /// `None` if the thread counts in the process's slot.
    pub(super) life: Option<Lifeline>,
}

impl Attachment {
    /// Joins this process: maps the file, whose header was just checked, and claims the counted slot.
    pub(crate) fn new(
        process: &Locked,
        inner: &Inner,
        file: &File,
        header: HeaderCopy,
    ) -> Result<Attachment, Error> {
        let place = &inner.place;
        let incarnation = process::incarnation();
        let map = BarrierMap::new(file, &place.path)?;
        let parts = map.parts();
        step("join: mapped");
        let sign = |file: &File| place.keys.sign(file).map(Some);
        let signature = Lifeline::hold(process, place, place.open_fresh()?, false, sign)?;
        let (counted, life) = claim(process, place, parts, KIND_COUNTED)?;
        // Only now that this is a member is it certain that nobody makes the file anew.
        if check_header(file, &place.path)? != header {
            return Err(Error::InUse { path: place.path.clone(), writers: Vec::new() });
        }
        step("join: checked");
        introduce(&parts.slots()[counted as usize], KIND_COUNTED, 0, inner);
        Ok(Attachment {
            incarnation,
            parts,
            readmit: header.readmit,
            fences: Fences::new(header.unfenced),
            counted,
            met: Met::default(),
            exclusive_thread: AtomicU32::new(0),
            listeners: Listeners::default(),
            cookies: Cookies::default(),
            registrations: Mutex::new(Vec::new()),
            signature: Mutex::new(signature.map(|(signature, ())| signature)),
            _counted_life: life,
            map,
        })
    }

    pub(crate) fn gate(&self) -> &Gate {
        self.parts.gate()
    }

    /// Whether the file was cut. This process has let go of it then, and finds its gate closed for good: to be
    /// asked wherever there is time for a system call, and above all by who has slept.
    pub(crate) fn is_cut(&self) -> bool {
        self.map.is_cut()
    }

    /// The seat of this thread here, in the barrier of this number.
    pub(crate) fn seat(&self, barrier: u64) -> Option<&'static Seat> {
        threads::of_this_thread(barrier, self.gate())
    }

    pub(crate) fn slot(&self, index: u32) -> &Slot {
        &self.parts.slots()[(index % SLOTS) as usize]
    }

    /// The word that shares are counted in.
    pub(crate) fn counted_word(&self) -> &AtomicU32 {
        &self.slot(self.counted).word
    }

    /// Leaves `shares` shares of the counted slot, and wakes the next waiter if that is owed.
    pub(crate) fn leave_counted(&self, shares: u32, readmitted: bool) {
        let gate = self.gate();
        if is_closed(gate.leave_counted(self.counted_word(), shares)) || readmitted {
            gate.tell(readmitted);
        }
    }

    /// The slot that a seat's shares stand in.
    pub(crate) fn slot_of(&self, seat: &Seat) -> &Slot {
        self.slot(if seat.slot() == seat::COUNTED { self.counted } else { seat.slot() })
    }

    /// One of the seats that are registered here.
    pub(crate) fn find_seat(&self, wanted: impl Fn(&Seat) -> bool) -> Option<&'static Seat> {
        let registrations = self.registrations();
        registrations.iter().map(|registration| registration.seat).find(|seat| wanted(seat))
    }

    /// Does something with each of them.
    pub(crate) fn for_each_seat(&self, _process: &Locked, act: impl Fn(&Seat)) {
        self.registrations().iter().for_each(|registration| act(registration.seat));
    }

    /// A share of this process: by the seat that holds it, or `None` where it is counted.
    pub(crate) fn inside(&self, _process: &Locked) -> Option<Option<&'static Seat>> {
        let inside = |slot: &Slot| is_inside(slot.word.load(Ordering::Acquire));
        let held = self.find_seat(|seat| inside(self.slot_of(seat)));
        (held.is_some() || inside(self.slot(self.counted))).then_some(held)
    }

    /// Does not say any more where it takes the file to be. For a process that will never be inside again.
    pub(crate) fn sign_off(&self, _process: &Locked) {
        drop(self.signature.lock().unwrap_or_else(PoisonError::into_inner).take());
        step("join: signed off");
    }

    pub(super) fn registrations(&self) -> std::sync::MutexGuard<'_, Vec<Registration>> {
        self.registrations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the registration of a seat, after whose last share nothing may be inside any more: a
    /// share that is, is lost.
    pub(super) fn unregister(&self, seat: &'static Seat) {
        self.is_cut();
        let mut registrations = self.registrations();
        if let Some(at) = registrations.iter().position(|found| std::ptr::eq(found.seat, seat)) {
            let registration = registrations.swap_remove(at);
            let current = seat.matches(registration.serial);
            // Nothing was written under a share whose lock was still waited for.
            if current && seat.brought().end_attempt() && registration.life.is_some() {
                seat.leave();
            }
            if registration.life.is_some() {
                self.slot(registration.slot).settle(self.parts.dirty());
            } else if current && seat.depth() > 0 {
                // The counted slot goes on; only the loss is recorded, and the share given back.
                let slot = self.slot(self.counted);
                if slot.flags.load(Ordering::Relaxed) & FLAG_UNWATCHED == 0 {
                    self.parts.dirty().raise(&crate::file::losses::Loss {
                        pid: std::process::id(),
                        comm: &comm(),
                        label: &slot.label.get(),
                        place: &seat.place().map_or_else(String::new, |place| place.to_string()),
                    });
                }
                self.leave_counted(1, seat.take_readmitted());
            }
            if current {
                seat.brought().clear();
                seat.wipe();
            }
            // The life byte falls last, when the slot is settled.
            step("thread end: settled");
            drop(registration);
            step("thread end: unlocked");
            if is_closed(self.gate().now()) {
                self.gate().bump_drain();
            }
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let process = process::lock();
        self.is_cut();
        while let Some(seat) = self.find_seat(|_| true) {
            self.unregister(seat);
        }
        self.slot(self.counted).settle(self.parts.dirty());
        step("close: settled");
        drop(process);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Barrier;

    #[test]
    fn a_file_that_was_made_anew_while_joining_is_not_joined() {
        let folder = tempfile::tempdir().unwrap();
        let barrier = Barrier::create(folder.path().join("test.barrier")).unwrap();
        let file = barrier.inner.place.open_fresh().unwrap();
        let header = check_header(&file, barrier.path()).unwrap();
        let before = HeaderCopy { readmit: header.readmit + 1, ..header };
        let joined = |header| Attachment::new(&process::lock(), &barrier.inner, &file, header);
        assert!(matches!(joined(before), Err(Error::InUse { .. })));
        assert!(joined(header).is_ok());
    }
}
