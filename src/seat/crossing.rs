//! Entering and leaving, step by step: the fast path.
//!
//! A signal handler of the thread may strike anywhere, so the order of the stores matters:
//!
//! ```text
//!   enter   copy = odd | where | word = odd, fence, gate open? | settled = odd, copy still odd? | depth = 1
//!   leave   depth = 0 | copy = even | settled = even | word = even, gate closed?
//! ```
//!
//! (Where the share is taken is told as `taken_at` says.)
//!
//! A handler that finds depth 0 and the copy odd struck in the middle. If the copy is the settled one,
//! the interrupted share stands until the handler returns, and covers the handler's. If not, enter has
//! not looked at the gate yet. Waiting there would wait for a pause that waits for this very word, so
//! the handler takes the word back and goes on as if nothing had been there; enter finds the copy
//! changed, and starts over. In leave the copy goes first: from then on a handler only sees to it that
//! the word is even before it waits, and the word that leave stores once more is an even one.
//!
//! Numbers come again: a handler that strikes between enter's look at the copy and its first store takes a
//! whole share of the number that enter then uses, and an enter that takes its word back after a handler
//! has left sets the copy back behind that one's. So the settled word lasts as long as the share: who
//! leaves, and who starts over, unsettles it. Else a later handler would take the number of a share that
//! has ended for one that found the gate open, and stand under a word that is not published or is taken
//! back already, in the middle of a pause.

use crate::gate::protocol::is_inside;
use crate::gate::sync::{Ordering, compiler_fence, step};
use crate::seat::{Seat, seldom};
use crate::system::source_line::SourceLine;

impl Seat {
    /// Enters, if nested or if the gate is open. Otherwise nothing has happened.
    #[inline]
    pub(crate) fn try_enter(&self, place: SourceLine) -> bool {
        let depth = self.depth();
        if depth > 0 {
            self.depth.store(depth + 1, Ordering::Relaxed);
            return true;
        }
        let copy = self.copy.load(Ordering::Relaxed);
        if is_inside(copy) {
            // In the middle of another enter or leave.
            return false;
        }
        let odd = copy.wrapping_add(1);
        self.gate().try_enter(|| self.publish(odd, place), || self.retract(odd))
            && self.settle(odd, place)
    }

    /// The odd word that comes next.
    pub(crate) fn next_odd(&self) -> u32 {
        self.copy.load(Ordering::Relaxed).wrapping_add(1) | 1
    }

    /// Says where, makes the slot's word odd and looks at the gate. Not in the middle of another enter or
    /// leave.
    #[inline(always)]
    pub(crate) fn publish(&self, odd: u32, place: SourceLine) -> u32 {
        step("enter: numbered");
        self.copy.store(odd, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        step("enter: copied");
        let own = self.own();
        own.taken_at.is_of(odd);
        compiler_fence(Ordering::SeqCst);
        step("enter: of this word");
        if !self.place.is(place) {
            self.tell(odd, place);
        }
        compiler_fence(Ordering::SeqCst);
        self.gate().publish(&own.word, odd)
    }

    /// Says that it is another line than last time.
    #[cold]
    #[inline(never)]
    fn tell(&self, odd: u32, place: SourceLine) {
        let before = self.telling.swap(1, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        self.place.forget();
        compiler_fence(Ordering::SeqCst);
        step("enter: telling");
        let taken_at = &self.own().taken_at;
        if self.settled.load(Ordering::Relaxed).wrapping_sub(odd) as i32 > 0 {
            // A handler's share had this number, and somebody may be reading its line.
            taken_at.is_of_none();
        }
        taken_at.set(place);
        compiler_fence(Ordering::SeqCst);
        step("enter: told");
        self.telling.store(before, Ordering::Relaxed);
    }

    /// Remembers what was told, now that no handler says another line any more. One that has struck in the
    /// middle of telling does not: the rest is written over its own.
    #[cold]
    #[inline(never)]
    fn keep(&self, place: SourceLine) {
        if self.telling.load(Ordering::Relaxed) == 0 {
            self.place.set(place);
        }
    }

    /// Establishes a published share. False if a signal handler has taken the word back: then nothing
    /// is published any more.
    #[inline(always)]
    pub(crate) fn settle(&self, odd: u32, place: SourceLine) -> bool {
        compiler_fence(Ordering::SeqCst);
        step("enter: admitted");
        self.settled.store(odd, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        step("enter: settled");
        if self.copy.load(Ordering::Relaxed) != odd {
            self.start_over();
            return false;
        }
        self.depth.store(1, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        step("enter: inside");
        if !self.place.is(place) {
            self.keep(place);
        }
        true
    }

    #[cold]
    #[inline(never)]
    pub(super) fn start_over(&self) {
        // The word is odd again if the handler struck between the two stores of `publish`.
        let even = self.copy.load(Ordering::Relaxed);
        self.settled.store(even, Ordering::Relaxed);
        self.gate().retract(self.word(), even);
    }

    /// Takes a published word back.
    #[cold]
    #[inline(never)]
    pub(crate) fn retract(&self, odd: u32) {
        let even = odd.wrapping_add(1);
        self.gate().retract(self.word(), even);
        compiler_fence(Ordering::SeqCst);
        self.copy.store(even, Ordering::Relaxed);
    }

    /// Leaves one share. True if the exclusive side or a waiter is to be told.
    #[inline(always)]
    pub(crate) fn leave(&self) -> bool {
        self.leave_from(self.depth())
    }

    /// The same for who has asked how many shares the thread has.
    #[inline(always)]
    pub(crate) fn leave_from(&self, depth: u32) -> bool {
        if depth != 1 {
            seldom();
            self.depth.store(depth.wrapping_sub(1), Ordering::Relaxed);
            return false;
        }
        let even = self.copy.load(Ordering::Relaxed).wrapping_add(1);
        compiler_fence(Ordering::SeqCst);
        self.depth.store(0, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        step("leave: no depth");
        self.copy.store(even, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        step("leave: copied");
        self.settled.store(even, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        step("leave: unsettled");
        let generation = self.gate().leave(self.word(), even);
        (generation | self.readmitted.load(Ordering::Relaxed)) & 1 != 0
    }

    /// Before waiting may begin, at depth 0: a signal handler may have struck in the middle of enter or
    /// leave. True if the interrupted share stands for as long as the handler runs; if not, the slot's
    /// word is even now.
    pub(crate) fn interrupt(&self) -> bool {
        let copy = self.copy.load(Ordering::Relaxed);
        if !is_inside(copy) {
            // In leave, between its last two stores.
            if self.word().load(Ordering::Relaxed) != copy {
                self.gate().retract(self.word(), copy);
            }
            return false;
        }
        let stands = self.settled.load(Ordering::Relaxed) == copy;
        if !stands {
            self.retract(copy);
        }
        stands
    }
}

#[cfg(test)]
mod tests {
    //! Every place where a signal handler may strike, step by step.

    use super::*;
    use crate::file::layout::Slot;
    use crate::gate::protocol::Gate;
    use crate::seat::FastPath;
    use std::mem::zeroed;
    use std::panic::Location;

    struct Scene {
        seat: Seat,
        gate: Gate,
        slot: Slot,
    }

    fn scene() -> &'static Scene {
        // SAFETY: it consists of atomics only.
        let (seat, gate, slot) = (Seat::new(), Gate::default(), unsafe { zeroed() });
        let scene: &'static Scene = Box::leak(Box::new(Scene { seat, gate, slot }));
        scene.seat.register(1, &scene.gate, Some((0, &scene.slot)), FastPath::Fenced);
        scene
    }

    #[track_caller]
    fn here() -> SourceLine {
        Location::caller().into()
    }

    impl Scene {
        fn words(&self) -> (u32, u32, u32) {
            let word = self.slot.word.load(Ordering::Relaxed);
            (word, self.seat.copy.load(Ordering::Relaxed), self.seat.depth())
        }

        fn enters(&self) -> bool {
            self.seat.try_enter(here())
        }

        /// A whole share of a handler that did not find an interrupted one standing.
        fn share(&self) {
            assert!(self.enters());
            assert!(is_inside(self.slot.word.load(Ordering::Relaxed)));
            self.seat.leave();
        }
    }

    #[test]
    fn before_the_gate_was_found_open_the_word_is_taken_back() {
        let scene = scene();
        let odd = scene.seat.next_odd();
        scene.seat.publish(odd, here());
        assert!(!scene.seat.interrupt());
        assert_eq!(scene.words(), (2, 2, 0));
        scene.share();
        assert!(!scene.seat.settle(odd, here()), "enter starts over");
        assert_eq!(scene.words(), (4, 4, 0));
        assert!(scene.enters());
    }

    #[test]
    fn a_seat_that_serves_again_does_not_take_a_new_share_for_an_old_one() {
        let scene = scene();
        scene.share();
        scene.seat.wipe();
        // SAFETY: it consists of atomics only.
        let other: Slot = unsafe { zeroed() };
        scene.seat.register(
            2,
            &scene.gate,
            Some((1, Box::leak(Box::new(other)))),
            FastPath::Fenced,
        );
        let odd = scene.seat.next_odd();
        scene.seat.publish(odd, here());
        assert!(!scene.seat.interrupt(), "the gate has not been asked");
    }

    #[test]
    fn a_word_that_is_made_odd_behind_the_handlers_back_is_even_again() {
        let scene = scene();
        let odd = scene.seat.next_odd();
        scene.seat.copy.store(odd, Ordering::Relaxed);
        assert!(!scene.seat.interrupt());
        scene.share();
        scene.slot.word.store(odd, Ordering::Relaxed);
        assert!(!scene.seat.settle(odd, here()));
        assert_eq!(scene.words(), (4, 4, 0));
    }

    #[test]
    fn a_number_that_a_handler_has_used_is_not_settled_for_the_next() {
        // Struck after the number was chosen, and before the first store.
        let scene = scene();
        let odd = scene.seat.next_odd();
        scene.share();
        scene.seat.copy.store(odd, Ordering::Relaxed);
        assert!(!scene.seat.interrupt(), "nothing is published");
        assert_eq!(scene.words(), (2, 2, 0));
    }

    #[test]
    fn a_word_that_is_taken_back_after_a_handler_is_not_settled_when_it_comes_again() {
        let scene = scene();
        let odd = scene.seat.next_odd();
        scene.seat.publish(odd, here());
        // In the middle of taking it back.
        assert!(!scene.seat.interrupt());
        scene.share();
        scene.seat.retract(odd);
        let again = scene.seat.next_odd();
        scene.seat.publish(again, here());
        scene.gate.retract(&scene.slot.word, again.wrapping_add(1));
        assert!(!scene.seat.interrupt(), "its word is even");
        assert!(!is_inside(scene.slot.word.load(Ordering::Relaxed)));
    }

    #[test]
    fn who_starts_over_leaves_nothing_settled() {
        let scene = scene();
        let odd = scene.seat.next_odd();
        scene.seat.publish(odd, here());
        assert!(!scene.seat.interrupt());
        assert!(!scene.seat.settle(odd, here()));
        scene.seat.copy.store(odd, Ordering::Relaxed);
        assert!(!scene.seat.interrupt(), "nothing is published");
    }

    #[test]
    fn once_the_gate_was_found_open_the_share_stands() {
        let scene = scene();
        let odd = scene.seat.next_odd();
        scene.seat.publish(odd, here());
        scene.seat.settled.store(odd, Ordering::Relaxed);
        assert!(scene.seat.interrupt());
        assert!(scene.seat.settle(odd, here()));
        assert_eq!(scene.words(), (1, 1, 1));
        // The same until leave says otherwise.
        scene.seat.set_depth(0);
        assert!(scene.seat.interrupt());
    }

    #[test]
    fn in_leave_the_word_is_even_before_a_handler_waits() {
        let scene = scene();
        assert!(scene.enters());
        scene.seat.set_depth(0);
        scene.seat.copy.store(2, Ordering::Relaxed);
        assert!(!scene.seat.interrupt());
        assert_eq!(scene.words(), (2, 2, 0));
    }

    #[test]
    fn in_the_middle_of_enter_nobody_enters() {
        let scene = scene();
        let odd = scene.seat.next_odd();
        scene.seat.publish(odd, here());
        assert!(!scene.enters());
        assert_eq!(scene.words(), (1, 1, 0));
        assert!(scene.seat.settle(odd, here()));
    }

    #[test]
    fn leaving_tells_whoever_has_closed_the_gate() {
        let scene = scene();
        assert!(scene.enters());
        assert!(!scene.seat.leave(), "the gate is open");
        assert!(scene.enters());
        scene.gate.close().unwrap();
        assert!(scene.seat.leave());
    }
}
