//! Shares without guards, for interfaces to other languages.
//!
//! A C program enters in one function and leaves in another; what a guard would remember is asked of
//! the thread's seat instead. Everything else is as in `guard`: the same fast path, and the same ways
//! around it.

use crate::barrier::handle::Barrier;
use crate::error::Error;
use crate::member::inner::Inner;
use crate::member::process;
use crate::seat::current;
use crate::seat::express::AtOnce;
use crate::seat::published;
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
        seat.enter_at_once(number, unsafe { SourceLine::new(file, line) })
    }

    /// The next share that this thread takes of this barrier by this handle may be the common case. Null is none.
    pub fn remember_handle(&self, handle: *const ()) {
        let seat = current::get();
        if seat.serves(self.id) && !handle.is_null() {
            seat.set_handle(handle);
        }
    }

    /// Nobody's next share by this handle is: it stands for something else from now on, or for nothing. Whoever uses it
    /// meanwhile does so at his own risk.
    pub fn forget_handle(&self, handle: *const ()) {
        for attachment in self.inner.succession().filter_map(Inner::attachment_of_this_process) {
            attachment.for_each_seat(&process::lock(), |seat| seat.forget_handle(handle));
        }
    }

    /// The common case of [`Barrier::enter_shared_at_once`] alone, by a handle that may be anything, for a function
    /// that needs no stack for it. If not inside, [`Barrier::enter_shared_otherwise`] is to be asked.
    ///
    /// # Safety
    /// As [`Barrier::enter_shared_at_once`].
    #[inline(always)]
    pub unsafe fn enter_shared_express(
        handle: *const (),
        file: *const c_char,
        line: u32,
    ) -> AtOnce {
        // SAFETY: the caller's promise.
        current::get().try_enter_by_handle(handle, unsafe { SourceLine::new(file, line) })
    }

    /// The rest of [`Barrier::enter_shared_at_once`].
    ///
    /// # Safety
    /// As [`Barrier::enter_shared_at_once`].
    pub unsafe fn enter_shared_otherwise(
        number: u64,
        came: AtOnce,
        file: *const c_char,
        line: u32,
    ) -> bool {
        // SAFETY: the caller's promise.
        let place = unsafe { SourceLine::new(file, line) };
        current::get().try_enter_otherwise(number, came, place)
    }

    /// Where the word is that leads to this thread's seat, for who has the steps of the common case in his own language:
    /// it stays there until the thread ends. `layout` is what he knows of a seat; if that is not this library's, the
    /// word leads to one that serves nothing.
    pub fn word_of_this_thread(layout: u32) -> *const *const () {
        published::word(layout).cast()
    }

    /// What is owed by who has left a share himself, and has read so at its end.
    ///
    /// # Safety
    /// `seat` is the one that the word above led to when he began to leave.
    #[cold]
    pub unsafe fn tell_of_leaving(seat: *const ()) {
        // SAFETY: the caller's promise, and seats are never unmapped.
        after_leaving(unsafe { &*seat.cast::<Seat>() });
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
        if seat.enter_at_once(self.id, place) {
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
    pub fn leave_shared_express(handle: *const ()) -> bool {
        let seat = current::get();
        seat.serves_handle(handle) && leave_one(seat)
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
