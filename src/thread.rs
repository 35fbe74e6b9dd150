//! The seats of this thread, and where seats come from.
//!
//! A thread keeps a list of its seats, one per barrier, and remembers the one that it used last for
//! the fast path. When it ends, the list gives the seats back and whatever they still hold.
//!
//! # Safety
//!
//! Seats lie in pages that are never unmapped, so a reference to one is valid for ever; whether it
//! serves a barrier is the seat's own business.

use crate::current;
use crate::mapping;
use crate::process::{self, Locked};
use crate::seat::Seat;
use std::cell::RefCell;
use std::io;

thread_local! {
    /// All seats of this thread.
    static OWNED: RefCell<Owned> = const { RefCell::new(Owned(Vec::new())) };
}

struct Owned(Vec<&'static Seat>);

impl Drop for Owned {
    fn drop(&mut self) {
        current::set(&current::NOBODY);
        crate::join::thread_ended(&self.0);
    }
}

/// The seat of this thread for a barrier, if it has one.
pub(crate) fn of_this_thread(barrier: u64) -> Option<&'static Seat> {
    let found = OWNED.try_with(|owned| {
        let owned = owned.try_borrow().ok()?;
        owned.0.iter().copied().find(|seat| seat.barrier() == barrier)
    });
    found.ok().flatten()
}

/// Does something with each seat of this thread that serves a barrier.
pub(crate) fn for_each_seat(mut act: impl FnMut(&'static Seat)) {
    let _ = process::incarnation();
    let _ = OWNED.try_with(|owned| {
        if let Ok(owned) = owned.try_borrow() {
            owned.0.iter().filter(|seat| seat.barrier() != 0).for_each(|seat| act(seat));
        }
    });
}

/// A seat for this thread: one of its own that serves nothing any more, or a new one. `None` while
/// the thread's memory is being torn down; an error if there is no memory for one.
pub(crate) fn take(process: &mut Locked) -> io::Result<Option<&'static Seat>> {
    let taken = OWNED.try_with(|owned| {
        let Ok(mut owned) = owned.try_borrow_mut() else { return Ok(None) };
        let idle = owned.0.iter().copied().find(|seat| seat.barrier() == 0);
        if idle.is_some() {
            return Ok(idle);
        }
        let seat = allocate(process)?;
        owned.0.push(seat);
        Ok(Some(seat))
    });
    taken.unwrap_or(Ok(None))
}

/// A seat that belongs to nobody yet. Where a child is told apart by the wiping of its seats, a page
/// that will not be wiped is none: the child would follow its seats to maps that it does not have.
pub(crate) fn allocate(process: &mut Locked) -> io::Result<&'static Seat> {
    if process.free_seats.is_empty() {
        let wiped = process::wipes_seats();
        let page = if wiped { mapping::wiped_on_fork() } else { mapping::private_page() };
        let page = page?.cast::<Seat>();
        for index in 0..4096 / size_of::<Seat>() {
            // SAFETY: the page is ours alone, aligned, never unmapped; zeros are a valid Seat.
            let seat: &'static Seat = unsafe { page.add(index).as_ref() };
            process.free_seats.push(seat);
            if !wiped {
                process.all_seats.push(seat);
            }
        }
    }
    process.free_seats.pop().ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}

/// Gives a seat back that was only taken for one share of a thread that is being torn down.
pub(crate) fn give_back_if_nobodys(seat: &'static Seat) {
    if OWNED.try_with(|_| ()).is_err() {
        seat.wipe();
        process::lock().free_seats.push(seat);
    }
}

/// In a new child: its only thread has no seat yet.
pub(crate) fn forget_current_after_fork() {
    if current::get().serial() == 0 {
        current::set(&current::NOBODY);
    }
}
