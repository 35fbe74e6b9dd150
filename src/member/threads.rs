//! The seats of this thread, and where seats come from.
//!
//! A thread's seats are a list that leads from one to the next, one per barrier; the one that it used last
//! is remembered for the fast path. When the thread ends, the seats are given back, and with them whatever
//! they still hold.
//!
//! The end is told by a key of pthreads, pthread_key_create(3), and not by the destructor of a thread-local
//! variable: to register one of those takes memory, and where there is none it ends the process. It also
//! comes later, so that destructors may still take shares. The thread that ends the whole process runs no
//! such destructor: exit(3) is told of it by a handler of its own.
//!
//! # Safety
//!
//! Seats lie in pages that are never unmapped, so a reference to one is valid for ever; whether it
//! serves a barrier is the seat's own business. The key is told nothing but that there is something.

use crate::gate::protocol::Gate;
use crate::member::mapping;
use crate::member::process::{self, Locked};
use crate::seat::Seat;
use crate::seat::current;
use nix::libc::{atexit, c_void, pthread_key_create, pthread_key_t, pthread_setspecific};
use std::cell::Cell;
use std::io;
use std::ptr;
use std::sync::OnceLock;

thread_local! {
    /// The first seat of this thread; null: it has none.
    static FIRST: Cell<*const Seat> = const { Cell::new(ptr::null()) };
}

fn seats() -> impl Iterator<Item = &'static Seat> {
    // SAFETY: null or a seat.
    let first = unsafe { FIRST.get().as_ref() };
    std::iter::successors(first, |seat| seat.next())
}

/// The key whose destructor gives seats back, if there is one to be had.
fn key() -> Option<pthread_key_t> {
    static KEY: OnceLock<Option<pthread_key_t>> = OnceLock::new();
    *KEY.get_or_init(|| {
        let mut key = 0;
        // SAFETY: a place for the key, and a function of this library, which stays loaded.
        let made = unsafe { pthread_key_create(&raw mut key, Some(ended)) };
        (made == 0).then_some(key)
    })
}

/// What cannot fail later: makes the key, and hears of exit(3). Without the latter, which only a want of
/// memory can cause, the kernel ends what this process holds, and the next tool finds it.
pub(crate) fn prepare() {
    let _ = key();
    static HEARS_OF_EXIT: OnceLock<()> = OnceLock::new();
    HEARS_OF_EXIT.get_or_init(|| {
        // SAFETY: a function of this library, which stays loaded.
        let _ = unsafe { atexit(exited) };
    });
}

/// This thread ends the process.
extern "C" fn exited() {
    ended(ptr::null_mut());
}

/// The thread ends. Should a later destructor take a share, this is called again.
extern "C" fn ended(_: *mut c_void) {
    current::set(&current::NOBODY);
    let mut next = seats().next();
    FIRST.set(ptr::null());
    while let Some(seat) = next {
        next = seat.next();
        crate::member::join::thread_ended(seat);
    }
}

/// Sees to it that `ended` is called.
fn end_with_thread() -> io::Result<()> {
    let key = key().ok_or(io::ErrorKind::OutOfMemory)?;
    // SAFETY: the key is never deleted, and the value is not followed.
    match unsafe { pthread_setspecific(key, (&raw const current::NOBODY).cast()) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// The seat of this thread for a barrier, in the file with this gate, if it has one.
pub(crate) fn of_this_thread(barrier: u64, gate: &Gate) -> Option<&'static Seat> {
    seats().find(|seat| seat.barrier() == barrier && seat.is_at(gate))
}

/// Does something with each seat of this thread that serves a barrier.
pub(crate) fn for_each_seat(act: impl FnMut(&'static Seat)) {
    let _ = process::incarnation();
    seats().filter(|seat| seat.barrier() != 0).for_each(act);
}

/// A seat for this thread: one of its own that serves nothing any more, or a new one. An error if there is
/// no memory for one.
pub(crate) fn take(process: &mut Locked) -> io::Result<&'static Seat> {
    if let Some(idle) = seats().find(|seat| seat.barrier() == 0) {
        return Ok(idle);
    }
    end_with_thread()?;
    let seat = allocate(process)?;
    seat.set_next(FIRST.get());
    FIRST.set(seat);
    Ok(seat)
}

/// A seat that belongs to nobody yet. Where a child is told apart by the wiping of its seats, a page
/// that will not be wiped is none: the child would follow its seats to maps that it does not have.
fn allocate(process: &mut Locked) -> io::Result<&'static Seat> {
    if process.free_seats.is_empty() {
        const SEATS: usize = 4096 / size_of::<Seat>();
        // Also for those that will come back: that cannot fail.
        let all = process.seats + SEATS;
        process.free_seats.try_reserve(all)?;
        process.all_seats.try_reserve(SEATS)?;
        let wiped = process::wipes_seats();
        let page = if wiped { mapping::wiped_on_fork() } else { mapping::private_page() };
        let page = page?.cast::<Seat>();
        process.seats = all;
        for index in 0..SEATS {
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

/// In a new child: its only thread has no seat yet.
pub(crate) fn forget_current_after_fork() {
    if current::get().serial() == 0 {
        current::set(&current::NOBODY);
    }
}
