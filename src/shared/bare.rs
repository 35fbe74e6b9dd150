//! Shares without guards, for interfaces to other languages.
//!
//! A C program enters in one function and leaves in another; what a guard would remember is asked of
//! the thread's seat instead. Everything else is as in `guard`: the same fast path, and the same ways
//! around it.

use crate::barrier::handle::Barrier;
use crate::error::Error;
use crate::seat::current;
use crate::seat::express::AtOnce;
use crate::seat::handle_cell::HandleCell;
use crate::seat::{COUNTED, Seat, TAG_CHECKED, TAG_COUNTED, TAG_INTERRUPTING};
use crate::shared::guard::{after_leaving, leave_slow};
use crate::shared::wait::Wait;
use crate::system::signals::Handlers;
use crate::system::source_line::SourceLine;
use std::ffi::c_char;
use std::time::{Duration, Instant};

impl Barrier {
    /// What this process knows the barrier by, for the two functions that do all in the common case:
    /// neither 0 nor `u64::MAX`, and never another one's.
    pub fn number(&self) -> u64 {
        self.id
    }

    /// Enters the shared side without a guard, if that can be done at once: the share ends with
    /// [`Barrier::leave_shared`]. False: nothing has happened, and [`Barrier::enter_shared`] is to be
    /// asked. The caller says where the share is taken.
    ///
    /// # Safety
    /// `file` is null or leads to a string that ends with a zero byte and is never freed.
    #[inline(always)]
    pub unsafe fn enter_shared_at_once(number: u64, file: *const c_char, line: u32) -> bool {
        let seat = current::get();
        // SAFETY: the caller's promise.
        seat.serves(number) && seat.enter_at_once(unsafe { SourceLine::new(file, line) })
    }

    /// Lets a handle stand for this barrier, until it is closed.
    pub fn give(&self, handle: &HandleCell) {
        handle.set(self.id);
    }

    /// The next share of this thread by this handle may be the common case.
    pub fn remember(handle: &'static HandleCell) {
        current::remember(handle);
    }

    /// The common case of [`Barrier::enter_shared_at_once`] alone, by a handle that may be anything, for a function that
    /// needs no stack for it. If not inside, [`Barrier::enter_shared_otherwise`] is to be asked.
    ///
    /// # Safety
    /// As [`Barrier::enter_shared_at_once`].
    #[inline(always)]
    pub unsafe fn enter_shared_express(
        handle: *const HandleCell,
        file: *const c_char,
        line: u32,
    ) -> AtOnce {
        match current::get_by(handle) {
            // SAFETY: the caller's promise.
            Some(seat) => seat.try_enter_express(unsafe { SourceLine::new(file, line) }),
            None => AtOnce::Outside,
        }
    }

    /// The rest of [`Barrier::enter_shared_at_once`], by a handle that is one, and is remembered.
    ///
    /// # Safety
    /// As [`Barrier::enter_shared_at_once`].
    pub unsafe fn enter_shared_otherwise(
        handle: &'static HandleCell,
        came: AtOnce,
        file: *const c_char,
        line: u32,
    ) -> bool {
        Barrier::remember(handle);
        let seat = current::get();
        seat.serves(handle.number())
            // SAFETY: the caller's promise.
            && seat.try_enter_otherwise(came, unsafe { SourceLine::new(file, line) })
    }

    /// Enters the shared side without a guard. It waits for the gate at most `limit` (zero: not at
    /// all), or as long as it takes.
    ///
    /// # Errors
    /// As [`Barrier::shared_timeout`].
    ///
    /// # Safety
    /// As [`Barrier::enter_shared_at_once`].
    pub unsafe fn enter_shared(
        &self,
        limit: Option<Duration>,
        file: *const c_char,
        line: u32,
    ) -> Result<(), Error> {
        let wait = limit.map_or(Wait::Forever, Wait::at_most);
        // SAFETY: the caller's promise.
        self.enter_bare(wait, unsafe { SourceLine::new(file, line) })
    }

    /// The same, but the wait ends too when a signal handler is due that ends the program's system calls:
    /// sigaction(2) without `SA_RESTART`. For who enters inside a call that the program may want to be
    /// interrupted. The caller holds all handlers back from before its first question to the gate, so that none is
    /// missed; others run within 20 ms.
    ///
    /// # Errors
    /// As [`Barrier::shared_timeout`]; [`Error::System`] with EINTR.
    ///
    /// # Safety
    /// As [`Barrier::enter_shared_at_once`].
    pub unsafe fn enter_shared_interruptibly(
        &self,
        limit: Duration,
        handlers: Handlers,
        file: *const c_char,
        line: u32,
    ) -> Result<(), Error> {
        let wait = Wait::Interruptibly(Instant::now(), limit, handlers);
        // SAFETY: the caller's promise.
        self.enter_bare(wait, unsafe { SourceLine::new(file, line) })
    }

    #[inline]
    pub(crate) fn enter_bare(&self, wait: Wait, place: SourceLine) -> Result<(), Error> {
        let seat = current::get();
        if seat.serves(self.id) && seat.enter_at_once(place) {
            return Ok(());
        }
        self.enter_slow(wait, place).map(drop)
    }

    /// Leaves a share of this thread that has no guard, in the common case. False: nothing has
    /// happened, and [`Barrier::leave_shared`] is to be asked.
    #[inline(always)]
    pub fn leave_shared_at_once(number: u64) -> bool {
        let seat = current::get();
        seat.serves(number) && leave_one(seat)
    }

    /// The same by a handle, which may be anything.
    #[inline(always)]
    pub fn leave_shared_express(handle: *const HandleCell) -> bool {
        current::get_by(handle).is_some_and(leave_one)
    }

    /// Leaves the innermost share of this thread that has no guard. It must not be used to end a
    /// guard's share.
    ///
    /// # Errors
    /// [`Error::NotHeld`] if this thread holds none: it was taken by another, or before a fork.
    pub fn leave_shared(&self) -> Result<(), Error> {
        if Barrier::leave_shared_at_once(self.id) {
            return Ok(());
        }
        let seat = self.seat().filter(|seat| seat.shares() > 0);
        let seat = seat.ok_or_else(|| Error::NotHeld { path: self.path().into() })?;
        let tag = if seat.depth() == 0 {
            TAG_INTERRUPTING
        } else if seat.slot() == COUNTED {
            TAG_COUNTED
        } else {
            TAG_CHECKED
        };
        leave_slow(self, seat, seat.serial() | tag);
        Ok(())
    }

    /// A signal handler may jump out of the wait for a lock, as programs that limit the wait by alarm(2) do.
    /// The share that was taken for the lock is then still held, and given back by the next call that no
    /// handler may make: whatever this thread waited for before it, it does so no more.
    pub(crate) fn end_abandoned_attempt(&self) {
        if self.seat().is_some_and(|seat| seat.brought().end_attempt()) {
            let _ = self.leave_shared();
        }
    }
}

/// Leaves one share of a seat's own slot. False: it has none.
#[inline(always)]
pub(crate) fn leave_one(seat: &Seat) -> bool {
    let depth = seat.depth();
    if depth == 0 {
        return false;
    }
    if seat.leave_from(depth) {
        after_leaving(seat);
    }
    true
}
