//! Entering in the common case, which is all that is inline: where the last share was taken, too, at an open gate, and
//! with no signal handler in the middle.
//!
//! The steps are those of `crossing`, in the same order. Left out is the fence, where the seat may do without: nobody
//! is covered here, for who is goes in at a closed gate (see `Gate::publish_unfenced`).
//!
//! And left out is every call of what comes back. A function that calls such a one in its middle keeps on the stack
//! what it needs afterwards, from its beginning on and however seldom it calls: seven registers in the C library. Those
//! are stores, and a fence waits for each of them. So where something is in the way, the steps stop as they stand, and
//! it is the caller who goes on by the way that sees to everything: as the last thing that he does, which needs no stack.
//!
//! Who stops between two steps has left the copy as a signal handler would find it who strikes there; whatever
//! strikes now treats it so, and `try_enter_otherwise` takes back what is left.
//!
//! Whether the line is the last one's is asked behind the copy: who strikes before it may take a share at another one,
//! and who strikes later and does so takes the number back, and then the copy is not the same at the end.

use crate::gate::protocol::{is_closed, is_inside};
use crate::gate::sync::{Ordering, compiler_fence, step};
use crate::seat::{Seat, seldom};
use crate::system::source_line::SourceLine;
use std::ptr;

/// How far entering in the common case has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "what was begun is to be ended"]
pub enum AtOnce {
    /// Inside.
    Inside,
    /// It is not the common case. Nothing has happened.
    Outside,
    /// Nor is it. Something has happened, and is to be taken back.
    Halfway,
}

impl Seat {
    /// Enters in the common case, if the seat serves this barrier. Whatever else this gives,
    /// [`Seat::try_enter_otherwise`] is to be asked next.
    #[inline(always)]
    pub(crate) fn try_enter_express(&self, barrier: u64, place: SourceLine) -> AtOnce {
        let is_unfenced = self.unfenced.load(Ordering::Relaxed) == barrier;
        if !is_unfenced {
            seldom();
            if !self.serves(barrier) {
                return AtOnce::Outside;
            }
        }
        self.try_enter_served(is_unfenced, place)
    }

    /// The same by a handle, which may be anything.
    #[inline(always)]
    pub(crate) fn try_enter_by_handle(&self, handle: *const (), place: SourceLine) -> AtOnce {
        let is_unfenced =
            !handle.is_null() && ptr::eq(self.unfenced_handle.load(Ordering::Relaxed), handle);
        if !is_unfenced {
            seldom();
            if !self.serves_handle(handle) {
                return AtOnce::Outside;
            }
        }
        self.try_enter_served(is_unfenced, place)
    }

    #[inline(always)]
    fn try_enter_served(&self, is_unfenced: bool, place: SourceLine) -> AtOnce {
        let depth = self.depth();
        if depth > 0 {
            seldom();
            self.depth.store(depth + 1, Ordering::Relaxed);
            return AtOnce::Inside;
        }
        let copy = self.copy.load(Ordering::Relaxed);
        let gate = self.gate();
        // The gate is asked before as well: see `Gate::try_enter`.
        if is_inside(copy) || is_closed(gate.now()) {
            return AtOnce::Outside;
        }
        let odd = copy.wrapping_add(1);
        step("enter: numbered");
        self.copy.store(odd, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        step("enter: copied");
        let own = self.own();
        own.taken_at.is_of(odd);
        compiler_fence(Ordering::SeqCst);
        step("enter: of this word");
        if !self.place.is(place) {
            return AtOnce::Halfway;
        }
        compiler_fence(Ordering::SeqCst);
        let generation = if is_unfenced {
            gate.publish_unfenced(&own.word, odd)
        } else {
            seldom();
            gate.publish(&own.word, odd)
        };
        if is_closed(generation) {
            return AtOnce::Halfway;
        }
        compiler_fence(Ordering::SeqCst);
        step("enter: admitted");
        self.settled.store(odd, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        step("enter: settled");
        if self.copy.load(Ordering::Relaxed) != odd {
            return AtOnce::Halfway;
        }
        self.depth.store(1, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        step("enter: inside");
        AtOnce::Inside
    }

    /// Enters after [`Seat::try_enter_express`] did not: at another line, if the seat serves this barrier and the gate is
    /// open. If not, nothing has happened; and of what had, either nothing is left, or the seat is not this thread's
    /// way in any more, and whoever goes on finds it as a signal handler would.
    #[cold]
    #[inline(never)]
    pub(crate) fn try_enter_otherwise(
        &self,
        barrier: u64,
        came: AtOnce,
        place: SourceLine,
    ) -> bool {
        if !self.serves(barrier) {
            return false;
        }
        if came == AtOnce::Halfway {
            self.give_up();
        }
        self.try_enter(place)
    }

    /// Both, for who need not care.
    #[inline(always)]
    pub(crate) fn enter_at_once(&self, barrier: u64, place: SourceLine) -> bool {
        match self.try_enter_express(barrier, place) {
            AtOnce::Inside => true,
            came => self.try_enter_otherwise(barrier, came, place),
        }
    }

    /// Takes back what stopped halfway, unless a handler has done so.
    fn give_up(&self) {
        let copy = self.copy.load(Ordering::Relaxed);
        if !is_inside(copy) {
            return self.start_over();
        }
        if self.word().load(Ordering::Relaxed) == copy {
            return self.retract(copy);
        }
        // Nobody has seen the number and nobody is to be told; but a handler may come first and take it back.
        let even = copy.wrapping_add(1);
        if self.copy.compare_exchange(copy, even, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            self.start_over();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::layout::Slot;
    use crate::gate::protocol::Gate;
    use crate::gate::steps::STRIKE;
    use crate::seat::FastPath;
    use std::cell::Cell;
    use std::mem::zeroed;
    use std::panic::Location;

    thread_local! {
        static CLOSING: Cell<Option<&'static Gate>> = const { Cell::new(None) };
    }

    thread_local! {
        static FENCES: Cell<u32> = const { Cell::new(0) };
    }

    /// Only the common case of a seat that may goes without, so whoever goes in at a closed gate has one.
    #[test]
    fn who_passes_a_fence() {
        let fences = |enter: &dyn Fn() -> bool| {
            FENCES.set(0);
            STRIKE.set(Some(|step| FENCES.set(FENCES.get() + u32::from(step == "enter: fenced"))));
            assert!(enter());
            STRIKE.set(None);
            FENCES.get()
        };
        for (fast_path, expected) in [(FastPath::Fenced, 1), (FastPath::Unfenced, 0)] {
            // SAFETY: it consists of atomics only.
            let (seat, gate, slot): (_, _, Slot) =
                (Seat::new(), Gate::default(), unsafe { zeroed() });
            let (gate, slot): (&Gate, &Slot) =
                (Box::leak(Box::new(gate)), Box::leak(Box::new(slot)));
            seat.register(1, gate, Some((0, slot)), fast_path);
            let here = Location::caller().into();
            assert_eq!(fences(&|| seat.try_enter_otherwise(1, AtOnce::Outside, here)), 1);
            seat.leave();
            assert_eq!(fences(&|| seat.try_enter_express(1, here) == AtOnce::Inside), expected);
            seat.leave();
            // As `enter_slow` does.
            let slowly = || {
                let odd = seat.next_odd();
                seat.publish(odd, here);
                seat.settle(odd, here)
            };
            assert_eq!(fences(&slowly), 1);
            seat.leave();
            assert_eq!(seat.try_enter_express(2, here), AtOnce::Outside, "another barrier");
            let (handle, other) = (ptr::from_ref(&seat).cast::<()>(), ptr::dangling::<()>());
            assert_eq!(seat.try_enter_by_handle(ptr::null(), here), AtOnce::Outside, "none yet");
            seat.set_handle(handle);
            assert_eq!(
                fences(&|| seat.try_enter_by_handle(handle, here) == AtOnce::Inside),
                expected
            );
            assert!(seat.serves_handle(handle) && !seat.serves_handle(other));
            seat.leave();
            assert_eq!(seat.try_enter_by_handle(other, here), AtOnce::Outside, "another handle");
            seat.wipe();
            assert_eq!(seat.try_enter_express(1, here), AtOnce::Outside, "none any more");
            assert_eq!(seat.try_enter_by_handle(handle, here), AtOnce::Outside);
        }
    }

    /// The way that comes next may fail before it finds out.
    #[test]
    fn who_stops_halfway_leaves_nothing() {
        // SAFETY: it consists of atomics only.
        let (seat, gate, slot): (_, _, Slot) = (Seat::new(), Gate::default(), unsafe { zeroed() });
        let (gate, slot): (&Gate, &Slot) = (Box::leak(Box::new(gate)), Box::leak(Box::new(slot)));
        seat.register(1, gate, Some((0, slot)), FastPath::Fenced);
        let here = Location::caller().into();
        assert_eq!(
            seat.try_enter_express(1, here),
            AtOnce::Halfway,
            "at a line for the first time"
        );
        assert!(seat.try_enter_otherwise(1, AtOnce::Halfway, here) && !seat.leave());
        assert_eq!(gate.drain.word().load(Ordering::Relaxed), 0, "nobody has seen anything");
        assert_eq!(seat.try_enter_express(1, here), AtOnce::Inside);
        assert!(!seat.leave());
        CLOSING.set(Some(gate));
        STRIKE.set(Some(|step| {
            if step == "enter: published" {
                STRIKE.set(None);
                CLOSING.get().map(Gate::close);
            }
        }));
        assert_eq!(seat.try_enter_express(1, here), AtOnce::Halfway);
        assert!(is_inside(slot.word.load(Ordering::Relaxed)));
        assert!(!seat.try_enter_otherwise(1, AtOnce::Halfway, here));
        assert!(!is_inside(slot.word.load(Ordering::Relaxed)));
        assert_ne!(gate.drain.word().load(Ordering::Relaxed), 0, "told");
        assert_eq!(seat.depth(), 0);
    }
}
