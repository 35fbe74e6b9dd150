//! Joining: how a process and its threads come to own slots.
//!
//! A process joins when it opens the barrier, with one slot that all its threads may count in. A
//! thread's first share claims a slot of its own, because a word that one thread alone stores to is
//! cheaper, and never decreases. To own a slot is to hold its life byte, on a lifeline that also
//! holds the members byte shared, so that nobody makes the file anew under its users.
//!
//! Threads that find no slot, or can no longer reach the file, count in the process's slot. Shortage
//! is therefore never an error to a writer.

use crate::error::Error;
use crate::file::byte_lock::{Mode, try_lock_byte};
use crate::file::layout::{
    FLAG_UNFENCED, FLAG_UNWATCHED, KIND_COMMAND, KIND_COUNTED, KIND_FREE, KIND_THREAD, LockByte,
    Parts, SLOTS, Slot, THREAD_SLOTS, is_beside_the_gate,
};
use crate::file::open::open_fresh;
use crate::gate::sync::{Ordering, fence, step};
use crate::member::attachment::{Attachment, Registration};
use crate::member::cut;
use crate::member::inner::Inner;
use crate::member::lifeline::{Lifeline, Place};
use crate::member::process::{self, Locked};
use crate::member::threads;
use crate::report::foreign;
use crate::seat::{FastPath, Seat};
use crate::system::calls::{comm, thread_id};
use std::fs::File;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a join waits for somebody who is making the file anew, or retiring it.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many slots are looked at before anything is asked: a page of them. Where processes come and go by exec, exit
/// and signals, few look free, and most are.
const NEAR: usize = 32;

/// How many slots are asked for then that do not look free. Each question costs as much as there are
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
    let looks_free = |index: u32| slots[index as usize].kind.load(Ordering::Relaxed) == KIND_FREE;
    let candidates = candidates(kind == KIND_THREAD, chance(), looks_free);
    let keep_descriptor = kind == KIND_COMMAND;
    let held = Lifeline::hold(process, place, place.open_fresh()?, keep_descriptor, |file| {
        if !become_member(file, place, kind == KIND_COMMAND)? {
            return Ok(None);
        }
        for index in candidates {
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

/// Slots in the order in which they are asked for: the first of those for this kind of owner, some that are found
/// anywhere, the rest. None is looked at before it is its turn.
fn candidates(
    is_thread: bool,
    anywhere: u32,
    looks_free: impl Fn(u32) -> bool + Copy,
) -> impl Iterator<Item = u32> {
    let own = if is_thread { 0..THREAD_SLOTS } else { THREAD_SLOTS..SLOTS };
    let others = if is_thread { 0..0 } else { 0..THREAD_SLOTS };
    let (start, end) = (own.start, own.end);
    let first = start + anywhere % (end - start);
    let around = move || (first..end).chain(start..first);
    let free = move |index: &u32| looks_free(*index);
    let clear = move |index: &u32| !(is_thread && is_beside_the_gate(*index)) && looks_free(*index);
    let near = own.clone().take(NEAR).filter(clear).chain(around().take(SWEEP));
    let far = around().chain(others.clone()).filter(free);
    let all = around().chain(others).filter(move |_| !is_thread);
    near.chain(far).chain(all)
}

/// Anything. By the clock, which no early boot keeps waiting, as getrandom(2) may be.
fn chance() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.subsec_nanos() / 64
}

/// Writes into the slot who owns it. Whoever sees the owner's word later sees all of this too.
pub(crate) fn introduce(slot: &Slot, kind: u32, flags: u32, inner: &Inner) {
    slot.pid.store(std::process::id(), Ordering::Relaxed);
    slot.tid.store(thread_id(), Ordering::Relaxed);
    slot.comm.set(&comm());
    slot.label.set(&inner.label);
    slot.waiting_since.set(0);
    let watch = if inner.watched { 0 } else { FLAG_UNWATCHED };
    slot.flags.store(flags | watch | inner.cover.flag(), Ordering::Relaxed);
    slot.kind.store(kind, Ordering::Relaxed);
    fence(Ordering::Release);
    step("join: introduced");
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
        // The slot says so before the seat does so, for who looks at a word and asks what it is.
        let fast_path = attachment.fences.of_seat();
        let flags = if fast_path == FastPath::Unfenced { FLAG_UNFENCED } else { 0 };
        introduce(slot, KIND_THREAD, flags, inner);
        seat.register(inner.id, attachment.gate(), Some((index, slot)), fast_path);
        step("join: registered");
        life
    });
    if life.is_none() {
        seat.register(inner.id, attachment.gate(), None, FastPath::None);
    }
    let (serial, slot) = (seat.serial(), seat.slot());
    attachment.registrations().push(Registration { seat, serial, slot, life });
    Ok(seat)
}

/// A thread ends: its seat is given back, and a share that it is still inside is lost.
pub(crate) fn thread_ended(seat: &'static Seat) {
    let barrier = process::open_barrier(seat.barrier());
    let mut process = process::lock();
    if let Some(attachment) = barrier.as_ref().and_then(|one| one.attachment_of(seat)) {
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

    use crate::file::open::Identity;
    use std::cell::Cell;
    use std::collections::BTreeSet;

    /// Processes that end without a word leave slots that look taken.
    #[test]
    fn slots_of_the_dead_are_found_at_once() {
        for is_thread in [true, false] {
            let looked = Cell::new(0);
            let looks_free = |_| {
                looked.set(looked.get() + 1);
                false
            };
            let mut candidates = candidates(is_thread, 3000, looks_free);
            assert!((0..SWEEP).all(|_| candidates.next().is_some()));
            assert!(looked.get() <= NEAR, "{} were looked at", looked.get());
        }
    }

    #[test]
    fn the_first_ones_leave_out_what_is_beside_the_gate() {
        // A count is changed by what costs more than that.
        for (is_thread, first, expected) in [(true, 0, 1), (false, THREAD_SLOTS, THREAD_SLOTS)] {
            assert!(is_beside_the_gate(first) && !is_beside_the_gate(first + 1));
            assert_eq!(candidates(is_thread, 77, |_| true).next(), Some(expected));
            assert!(
                candidates(is_thread, 77, |_| true).any(|index| index == first),
                "but it serves"
            );
        }
    }

    #[test]
    fn whoever_needs_one_asks_for_all() {
        let asked = |is_thread, free: u32| -> BTreeSet<u32> {
            candidates(is_thread, 77, |index| index == free).collect()
        };
        assert_eq!(asked(false, 1).len() as u32, SLOTS);
        let threads = asked(true, 2000);
        assert!(threads.contains(&2000) && threads.len() == SWEEP + 1);
        assert!(asked(true, THREAD_SLOTS).iter().all(|index| *index < THREAD_SLOTS));
    }

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
}
