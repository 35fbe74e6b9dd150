//! Joining: how a process and its threads come to own slots.
//!
//! A process joins when it opens the barrier, with one slot that all its threads may count in. A
//! thread's first share claims a slot of its own, because a word that one thread alone stores to is
//! cheaper, and never decreases. To own a slot is to hold its life byte, on a lifeline that also
//! holds the members byte shared, so that nobody makes the file anew under its users.
//!
//! Threads that find no slot, or can no longer reach the file, count in the process's slot. Shortage
//! is therefore never an error to a writer.

use crate::barrier::handle::Inner;
use crate::error::Error;
use crate::file::layout::{
    KIND_COMMAND, KIND_COUNTED, KIND_FREE, KIND_THREAD, LockByte, Parts, SLOTS, Slot, THREAD_SLOTS,
};
use crate::file::open::{HeaderCopy, check_header, open_fresh};
use crate::gate::protocol::{Gate, is_closed, is_inside};
use crate::gate::sync::{AtomicU32, Ordering, fence, step};
use crate::member::cut;
use crate::member::lifeline::{Lifeline, Place};
use crate::member::mapping::BarrierMap;
use crate::member::process::{self, Locked};
use crate::member::threads;
use crate::report::foreign;
use crate::seat::{self, Seat};
use crate::shared::cookie::Cookies;
use crate::shared::opening::Listeners;
use crate::shared::wait::Met;
use crate::system::calls::{Mode, random, try_lock_byte};
use std::fs::File;
use std::iter::once_with;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a process has of a barrier: the map, its counted slot, and its threads' slots.
#[derive(Debug)]
pub(crate) struct Attachment {
    pub(crate) incarnation: u64,
    pub(crate) parts: Parts,
    /// How many waiters a release wakes at once, as the header said at joining.
    pub(crate) readmit: u32,
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
struct Registration {
    seat: &'static Seat,
    /// The seat's serial number and slot then: a seat may serve another registration later.
    serial: u64,
    slot: u32,
    /// `None` if the thread counts in the process's slot.
    life: Option<Lifeline>,
}

/// How long a join waits for somebody who is making the file anew, or retiring it.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many slots a thread asks for that do not look free. Each question costs as much as there are
/// locks on the file, and meanwhile nobody joins or forks in this process; a thread that asks in vain
/// can count. The slots are found by chance, so the dead are found sooner or later.
const SWEEP: usize = 8;

/// Locks the members byte shared, as every lifeline does, and says where it is, as that of a command does; a
/// process has said so before. False: somebody is alone with the file, or was; or it was removed or renamed,
/// which is asked last: whoever does that, and then looks who is left, finds this process or is found out.
fn become_member(file: &File, place: &Place, says_where: bool) -> std::io::Result<bool> {
    if !try_lock_byte(file, LockByte::Members, Mode::Shared)? {
        return Ok(false);
    }
    if says_where {
        place.keys.sign(file)?;
    }
    step("join: signed");
    Ok(place.is_in_place())
}

/// Claims a slot for an owner of this kind, among those that look free first, and settles what its
/// last owner left. A thread leaves the last slots alone and asks only some of the others whether their
/// owner is dead; whoever cannot do without begins with the last ones and asks all. A command's lifeline
/// keeps its descriptor.
pub(crate) fn claim(
    process: &Locked,
    place: &Place,
    parts: Parts,
    kind: u32,
) -> Result<(u32, Lifeline), Error> {
    let slots = parts.slots();
    let can_count = kind == KIND_THREAD;
    let reserved = if can_count { 0..0 } else { THREAD_SLOTS..SLOTS };
    let range = reserved.clone().chain(0..THREAD_SLOTS);
    let sweep = || {
        let (first, most) = if can_count { (chance(), SWEEP) } else { (0, SLOTS as usize) };
        reserved.chain(first..THREAD_SLOTS).chain(0..first).take(most)
    };
    let keep_descriptor = kind == KIND_COMMAND;
    let looks_free = |index: &u32| slots[*index as usize].kind.load(Ordering::Relaxed) == KIND_FREE;
    let held = Lifeline::hold(process, place, place.open_fresh()?, keep_descriptor, |file| {
        if !become_member(file, place, kind == KIND_COMMAND)? {
            return Ok(None);
        }
        // The sweep is only begun when nothing that looks free can be had.
        for index in range.filter(looks_free).chain(once_with(sweep).flatten()) {
            if try_lock_byte(file, LockByte::Life(index), Mode::Exclusive)? {
                return Ok(Some(Ok(index)));
            }
        }
        Ok(Some(Err(())))
    })?;
    match held {
        Some((lifeline, Ok(index))) => {
            let slot = &slots[index as usize];
            step("join: claimed");
            slot.settle(parts.dirty());
            step("join: settled");
            if kind == KIND_COUNTED {
                slot.word.store(0, Ordering::Release);
            }
            Ok((index, lifeline))
        }
        Some((_, Err(()))) => Err(Error::Full { path: place.path.clone() }),
        None => Err(Error::InUse { path: place.path.clone(), writers: Vec::new() }),
    }
}

/// Any of the threads' slots; the first, where the kernel has no chance to give.
fn chance() -> u32 {
    random().map_or(0, |words| words[0] % THREAD_SLOTS)
}

/// Writes into the slot who owns it. Whoever sees the owner's word later sees all of this too.
pub(crate) fn introduce(slot: &Slot, kind: u32, flags: u32, inner: &Inner) {
    slot.pid.store(std::process::id(), Ordering::Relaxed);
    slot.tid.store(thread_id(), Ordering::Relaxed);
    slot.comm.set(&comm());
    slot.label.set(&inner.label);
    slot.waiting_since.set(0);
    slot.flags.store(flags | inner.cover.flag(), Ordering::Relaxed);
    slot.kind.store(kind, Ordering::Relaxed);
    fence(Ordering::Release);
    step("join: introduced");
}

/// The kernel's number of this thread.
pub(crate) fn thread_id() -> u32 {
    u32::try_from(nix::unistd::gettid().as_raw()).unwrap_or(0)
}

/// The name of this thread, as the kernel has it.
pub(crate) fn comm() -> String {
    nix::sys::prctl::get_name()
        .map_or_else(|_| String::new(), |name| name.to_string_lossy().into_owned())
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

    /// The slot that a seat's shares stand in.
    pub(crate) fn slot_of(&self, seat: &Seat) -> &Slot {
        self.slot(if seat.slot() == seat::COUNTED { self.counted } else { seat.slot() })
    }

    /// One of the seats that are registered here.
    pub(crate) fn find_seat(&self, wanted: impl Fn(&Seat) -> bool) -> Option<&'static Seat> {
        let registrations = self.registrations();
        registrations.iter().map(|registration| registration.seat).find(|seat| wanted(seat))
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

    fn registrations(&self) -> std::sync::MutexGuard<'_, Vec<Registration>> {
        self.registrations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the registration of a seat, after whose last share nothing may be inside any more: a
    /// share that is, is lost.
    fn unregister(&self, seat: &'static Seat) {
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
                self.parts.dirty().raise(&crate::member::reclaim::Loss {
                    pid: std::process::id(),
                    comm: &comm(),
                    label: &slot.label.get(),
                    place: &seat.place().map_or_else(String::new, |place| place.to_string()),
                });
                crate::shared::counted::leave(self, 1, seat.take_readmitted());
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

/// The seat of this thread for the barrier, registered now if it was not.
///
/// # Errors
/// [`Error::Replaced`] if there is another barrier at its path; [`Error::System`].
pub(crate) fn seat_of_this_thread(
    inner: &Inner,
    attachment: &Attachment,
) -> Result<&'static Seat, Error> {
    if let Some(seat) = attachment.seat(inner.id) {
        return Ok(seat);
    }
    let mut process = process::lock();
    // A signal handler may have been here before the signals were blocked.
    if let Some(seat) = attachment.seat(inner.id) {
        return Ok(seat);
    }
    if attachment.is_cut() {
        return Err(cut::error(&inner.place.path));
    }
    let failed = |source| Error::system("mmap", &inner.place.path, source);
    attachment.registrations().try_reserve(1).map_err(|error| failed(error.into()))?;
    let seat = threads::take(&mut process).map_err(failed)?;
    let parts = attachment.parts;
    let claimed = match claim(&process, &inner.place, parts, KIND_THREAD) {
        Err(Error::Replaced { path }) if inner.place.vantage.sees_the_same() => {
            return Err(Error::Replaced { path });
        }
        claimed => claimed.ok(),
    };
    let life = claimed.map(|(index, life)| {
        let slot = &parts.slots()[index as usize];
        introduce(slot, KIND_THREAD, 0, inner);
        seat.register(inner.id, attachment.gate(), Some((index, slot)));
        step("join: registered");
        life
    });
    if life.is_none() {
        seat.register(inner.id, attachment.gate(), None);
    }
    let (serial, slot) = (seat.serial(), seat.slot());
    attachment.registrations().push(Registration { seat, serial, slot, life });
    Ok(seat)
}

/// A thread ends: its seat is given back, and a share that it is still inside is lost.
pub(crate) fn thread_ended(seat: &'static Seat) {
    let barrier = process::open_barrier(seat.barrier());
    let mut process = process::lock();
    if let Some(attachment) = barrier.as_ref().and_then(|one| one.inner.attachment_of(seat)) {
        attachment.unregister(seat);
    }
    seat.wipe();
    process.free_seats.push(seat);
}

/// Runs `attempt` until it no longer finds somebody alone with the file, for a bounded time. Who that is
/// is asked of the kernel then: the file may say nothing.
pub(crate) fn while_made_anew<T>(
    mut attempt: impl FnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    let started = Instant::now();
    loop {
        match attempt() {
            Err(Error::InUse { .. }) if started.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(Error::InUse { path, writers }) if writers.is_empty() => {
                let file = open_fresh(&path, false, None);
                let writers = file.map(|(file, _)| foreign::lock_holders(&file));
                return Err(Error::InUse { path, writers: writers.unwrap_or_default() });
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Barrier;
    use crate::file::open::Identity;

    #[test]
    fn a_file_that_was_removed_is_not_joined() {
        let named = tempfile::NamedTempFile::new().unwrap();
        let identity = Identity::of(&named.as_file().metadata().unwrap());
        let place = Place::new(named.path().into(), identity);
        let file = named.as_file().try_clone().unwrap();
        assert!(become_member(&file, &place, true).unwrap());
        std::fs::rename(named.path(), named.path().with_extension("aside")).unwrap();
        assert!(!become_member(&file, &place, true).unwrap());
        std::fs::rename(named.path().with_extension("aside"), named.path()).unwrap();
        drop(named);
        assert!(!become_member(&file, &place, true).unwrap());
    }

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
