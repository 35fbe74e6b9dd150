//! The shared side: entering, leaving, nesting.
//!
//! The fast path asks the seat that the thread used last. If that serves this barrier, entering is
//! one store, one fence and one load, or one addition when the thread is inside already; leaving is
//! the same without the fence. All else is out of line: the first share of a thread, the first after a fork, a closed
//! gate, a thread without a slot, a signal handler in the middle. What is out of line takes and gives
//! the parts of a guard by value, never a reference to one: a guard whose address nobody knows stays in
//! registers, and building it in memory would cost more than all of the above.
//!
//! A thread nests freely, also while the gate is closed: asking the gate again inside a share would
//! wait for an exclusive side that waits for this very share.

use crate::barrier::handle::Barrier;
use crate::error::Error;
use crate::file::layout::LockByte;
use crate::gate::protocol::{Gate, is_superseded};
use crate::gate::sync::Ordering;
use crate::member::attachment::Attachment;
use crate::member::inner::Inner;
use crate::member::join;
use crate::member::process;
use crate::seat::current;
use crate::seat::{COUNTED, Seat, TAG, TAG_CHECKED, TAG_COUNTED, TAG_INTERRUPTING, TAG_OWN, VOID};
use crate::shared::counted;
use crate::shared::wait::{self, Wait};
use crate::succession::coming_over::{come_over, sign_off_if_left};
use crate::system::source_line::SourceLine;
use std::cell::Cell;
use std::marker::PhantomData;
use std::panic::Location;
use std::time::Duration;

/// A share of this thread: one nesting level. It leaves when dropped.
///
/// While any share is held, no exclusive side is granted. Hold it around one set of writes that
/// belong together, outermost, before any other lock, and never across a wait for a client or for
/// another process that needs a share itself. In a forked child an inherited guard is void.
#[derive(Debug)]
#[must_use = "the share ends when this is dropped"]
pub struct SharedGuard<'b> {
    barrier: &'b Barrier,
    seat: &'static Seat,
    /// The registration that it was taken under, with the tag that says how it leaves.
    serial: u64,
    /// A share belongs to its thread.
    not_send: PhantomData<*const ()>,
}

impl Barrier {
    /// Enters the shared side; waits at a closed gate as long as the pause lasts.
    ///
    /// A thread that holds a share does not wait for its next one. Where one thread runs many tasks, their
    /// overlapping shares are one long share, and no pause ever begins; and a task that waits here keeps all
    /// tasks of its thread waiting. Tasks use [`Barrier::shared_owned_async`].
    ///
    /// # Errors
    /// [`Error::Unreachable`] in a forked child that cannot reach the barrier any more;
    /// [`Error::System`] if a thread's first share finds no memory. A shortage of slots is never an
    /// error.
    ///
    /// # Examples
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// let barrier = stillpoint::Barrier::create(folder.path().join("spool.barrier"))?;
    /// let share = barrier.shared()?;
    /// // ... the writes that belong together ...
    /// drop(share);
    /// # Ok::<(), stillpoint::Error>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn shared(&self) -> Result<SharedGuard<'_>, Error> {
        self.enter(|| Wait::Forever)
    }

    /// Enters the shared side without waiting.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] if the gate is closed; else as [`Barrier::shared`].
    #[inline]
    #[track_caller]
    pub fn try_shared(&self) -> Result<SharedGuard<'_>, Error> {
        self.enter(|| Wait::No)
    }

    /// Enters the shared side, waiting at most `limit`.
    ///
    /// # Errors
    /// [`Error::TimedOut`] if the gate stayed closed; else as [`Barrier::shared`].
    #[track_caller]
    pub fn shared_timeout(&self, limit: Duration) -> Result<SharedGuard<'_>, Error> {
        self.enter(|| Wait::at_most(limit))
    }

    #[inline(always)]
    #[track_caller]
    fn enter(&self, wait: impl FnOnce() -> Wait) -> Result<SharedGuard<'_>, Error> {
        let seat = current::get();
        let place = Location::caller();
        if seat.enter_at_once(self.id, place.into()) {
            return Ok(self.guard(seat, seat.serial() | TAG_OWN));
        }
        let (seat, serial) = self.enter_slow(wait(), place.into())?;
        Ok(self.guard(seat, serial))
    }

    #[inline(always)]
    fn guard(&self, seat: &'static Seat, serial: u64) -> SharedGuard<'_> {
        SharedGuard { barrier: self, seat, serial, not_send: PhantomData }
    }

    /// Every way to enter but the common one. Gives a guard's seat and serial number.
    #[cold]
    #[inline(never)]
    pub(crate) fn enter_slow(
        &self,
        wait: Wait,
        place: SourceLine,
    ) -> Result<(&'static Seat, u64), Error> {
        loop {
            let (inner, attachment) = self.here()?;
            // What this thread has begun in a file that was replaced goes on there.
            let before =
                self.inner.succession().take_while(|older| !std::ptr::eq(*older, &**inner));
            let mut before =
                before.filter_map(Inner::seat).inspect(|seat| seat.leave_the_fast_path());
            if let Some(nested) = before.find_map(nest) {
                return Ok(nested);
            }
            match self.enter_here(inner, attachment, wait, place) {
                Err(Error::Replaced { .. }) => come_over(inner)?,
                result => return result,
            }
        }
    }

    fn enter_here(
        &self,
        inner: &Inner,
        attachment: &Attachment,
        wait: Wait,
        place: SourceLine,
    ) -> Result<(&'static Seat, u64), Error> {
        let seat = join::seat_of_this_thread(inner, attachment)?;
        if let Some(nested) = nest(seat) {
            return Ok(nested);
        }
        if seat.slot() == COUNTED {
            if counted::enter(inner, attachment, wait)? {
                seat.set_readmitted();
            }
            seat.set_place(place);
            seat.set_depth(1);
            return Ok((seat, seat.serial() | TAG_COUNTED));
        }
        let slot = attachment.slot(seat.slot());
        let odd = Cell::new(0);
        loop {
            attachment.gate().enter(
                || {
                    odd.set(seat.next_odd());
                    seat.publish(odd.get(), place)
                },
                || seat.retract(odd.get()),
                || inner.cover.holds(&inner.place, attachment).is_some(),
                |generation| {
                    wait::for_opening(
                        &inner.place,
                        attachment,
                        Some(slot),
                        generation,
                        wait,
                        None,
                    )?;
                    seat.set_readmitted();
                    Ok(())
                },
            )?;
            if seat.settle(odd.get(), place) {
                break;
            }
        }
        Ok((seat, seat.serial() | own_tag()))
    }

    /// How many shares this thread holds.
    pub fn depth(&self) -> u32 {
        self.seat().map_or(0, Seat::shares)
    }

    /// The seat of this thread, if it has one in this incarnation.
    #[inline]
    pub(crate) fn seat(&self) -> Option<&'static Seat> {
        let seat = current::get();
        if seat.serves(self.id) {
            return Some(seat);
        }
        let _ = process::incarnation();
        let mut last = None;
        for seat in self.inner.succession().filter_map(Inner::seat) {
            last = Some(seat);
            if seat.shares() > 0 {
                break;
            }
        }
        last
    }

    /// Whether somebody wants the exclusive side. Long holders (a replication run, a big fetch) ask
    /// at a point where their files are consistent and call [`SharedGuard::yield_now`] if it is so.
    /// One load, so it may stand in an inner loop.
    #[inline]
    pub fn should_yield(&self) -> bool {
        let wanted = |gate: &Gate| gate.wanted.load(Ordering::Relaxed) != 0;
        match self.seat() {
            Some(seat) => wanted(seat.gate()),
            // A thread without shares of its own may run tasks that have some.
            None => {
                let attachment = self.latest().attachment_of_this_process();
                attachment.is_some_and(|attachment| wanted(attachment.gate()))
            }
        }
    }
}

impl SharedGuard<'_> {
    /// Leaves the share and enters again, so that whoever wants the exclusive side gets it. Only the
    /// outermost share can give way; a nested one changes nothing.
    ///
    /// # Errors
    /// As [`Barrier::shared`]; the share is then not held any more.
    #[track_caller]
    pub fn yield_now(&mut self) -> Result<(), Error> {
        if self.barrier.depth() > 1 {
            return Ok(());
        }
        self.leave();
        self.serial = VOID;
        let (inner, attachment) = self.barrier.here()?;
        if self.barrier.should_yield() && inner.place.is_free(LockByte::Exclusive) {
            // Whoever wanted it died: nobody else takes the wish back.
            attachment.gate().wanted.store(0, Ordering::Relaxed);
        }
        let again = self.barrier.enter(|| Wait::Forever)?;
        self.seat = again.seat;
        self.serial = again.serial;
        std::mem::forget(again);
        Ok(())
    }

    #[inline(always)]
    fn leave(&mut self) {
        if self.seat.matches(self.serial) {
            if self.seat.leave() {
                after_leaving(self.seat);
            }
        } else {
            leave_slow(self.barrier, self.seat, self.serial);
        }
    }
}

impl Inner {
    /// The seat of this thread in this file.
    fn seat(&self) -> Option<&'static Seat> {
        self.attachment_of_this_process()?.seat(self.id)
    }
}

/// The tag of a guard that stands in the seat's own slot.
fn own_tag() -> u64 {
    if process::wipes_seats() { TAG_OWN } else { TAG_CHECKED }
}

/// One more share where this thread has one already, or has been interrupted in the middle of one.
fn nest(seat: &'static Seat) -> Option<(&'static Seat, u64)> {
    let counted = seat.slot() == COUNTED;
    let tag = if counted { TAG_COUNTED } else { own_tag() };
    if !counted && process::wipes_seats() {
        current::set(seat);
    }
    if seat.depth() > 0 {
        seat.set_depth(seat.depth() + 1);
        return Some((seat, seat.serial() | tag));
    }
    if !counted && seat.interrupt() {
        seat.count_interrupting(1);
        return Some((seat, seat.serial() | TAG_INTERRUPTING));
    }
    None
}

#[cold]
#[inline(never)]
pub(crate) fn after_leaving(seat: &Seat) {
    seat.gate().tell(seat.take_readmitted());
    if !is_superseded(seat.gate().now()) {
        return;
    }
    let barrier = process::open_barrier(seat.barrier());
    let attachment = barrier.as_ref().and_then(|barrier| barrier.attachment_of(seat));
    if let Some(attachment) = attachment {
        sign_off_if_left(attachment);
    }
}

/// Every way to leave but the common one. A guard whose registration is gone (inherited by a
/// child, or given up) is void.
#[cold]
#[inline(never)]
pub(crate) fn leave_slow(barrier: &Barrier, seat: &'static Seat, serial: u64) {
    let _ = process::incarnation();
    if !seat.matches(serial & !TAG) {
        return;
    }
    let Some(attachment) = barrier.inner.attachment_of(seat) else {
        return;
    };
    match serial & TAG {
        TAG_COUNTED => {
            seat.set_depth(seat.depth().saturating_sub(1));
            if seat.depth() == 0 {
                attachment.leave_counted(1, seat.take_readmitted());
                sign_off_if_left(attachment);
            }
        }
        TAG_INTERRUPTING => seat.count_interrupting(-1),
        _ => {
            if seat.leave() {
                after_leaving(seat);
            }
        }
    }
}

impl Drop for SharedGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A signal handler that strikes between the last two stores of enter, or the first two of leave,
    /// stands under the share that it interrupted and leaves that as it was.
    #[test]
    fn a_handlers_share_stands_under_the_interrupted_one() {
        let folder = tempfile::tempdir().unwrap();
        let barrier = Barrier::create(folder.path().join("test.barrier")).unwrap();
        let share = barrier.shared().unwrap();
        let seat = barrier.seat().unwrap();
        let word = &barrier.inner.attached().unwrap().slot(seat.slot()).word;
        seat.set_depth(0);
        let handlers = barrier.shared().unwrap();
        assert_eq!((word.load(Ordering::Relaxed), barrier.depth()), (1, 1));
        drop(handlers);
        assert_eq!((word.load(Ordering::Relaxed), barrier.depth()), (1, 0));
        seat.set_depth(1);
        drop(share);
        assert_eq!((word.load(Ordering::Relaxed), barrier.depth()), (2, 0));
    }

    /// One handler strikes while enter takes its word back, another when enter has chosen the number that
    /// the first has used and takes that back too; then the pause is granted, before enter says so.
    #[test]
    fn a_handler_that_strikes_again_is_not_inside_in_a_pause() {
        let folder = tempfile::tempdir().unwrap();
        let barrier = Barrier::create(folder.path().join("test.barrier")).unwrap();
        drop(barrier.shared().unwrap());
        let seat = barrier.seat().unwrap();
        let attachment = barrier.inner.attached().unwrap();
        let word = &attachment.slot(seat.slot()).word;
        let refused = seat.next_odd();
        seat.publish(refused, Location::caller().into());
        drop(barrier.shared().unwrap());
        seat.retract(refused);
        let again = seat.next_odd();
        seat.publish(again, Location::caller().into());
        attachment.gate().retract(word, again.wrapping_add(1));
        let tool = Barrier::open(barrier.path()).unwrap();
        let pause = tool.exclusive(&mut Default::default()).unwrap();
        assert!(matches!(barrier.try_shared(), Err(Error::WouldBlock { .. })));
        pause.release().unwrap();
    }

    #[test]
    fn one_that_has_waited_owes_a_wake_up() {
        let folder = tempfile::tempdir().unwrap();
        let barrier = Barrier::create(folder.path().join("test.barrier")).unwrap();
        drop(barrier.shared().unwrap());
        // Nobody holds the exclusive side: the waiter opens the gate by itself.
        barrier.inner.attached().unwrap().gate().close().unwrap();
        let _share = barrier.shared().unwrap();
        assert!(barrier.seat().unwrap().take_readmitted());
    }
}
