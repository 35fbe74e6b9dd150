//! Seats: the fast path, and what a thread remembers of its place in a barrier.
//!
//! Uses `file` and below. Right about one thread and its signal handlers: whoever strikes in the middle of enter
//! or leave finds a word that says the truth.
//!
//! Seats: what a thread remembers of its place in a barrier.
//!
//! A seat is the private side of a slot: nesting depth, a copy of the slot's word, and where slot and
//! gate are mapped. It answers everything that the fast path asks, so that entering and leaving are
//! a few loads, two stores and one fence each, and the shared map is not touched before the seat has
//! been found valid. Seats lie in pages that the kernel wipes in a forked child: there the seat
//! serves no barrier, the guards of the parent no longer match it, and nothing leads to memory that
//! the child does not have.
//!
//! A seat belongs to one thread until that ends; only the thread itself, and its signal handlers,
//! use it. A handler may strike anywhere, so the order of the stores matters:
//!
//! ```text
//!   enter   copy = odd | where | word = odd, fence, gate open? | settled = odd, copy still odd? | depth = 1
//!   leave   depth = 0 | copy = even | settled = even | word = even, fence, gate closed?
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
//!
//! # Safety
//!
//! `own` and `gate` lead into the barrier's map. They are only followed while `serves` says so, and
//! a seat stops serving a barrier before that is unmapped, which needs the last handle: whoever is on
//! the fast path borrows one.

pub(crate) mod brought;
pub(crate) mod current;

use crate::file::layout::Slot;
use crate::gate::protocol::{Gate, is_inside};
use crate::gate::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering, compiler_fence, step};
use crate::seat::brought::Brought;
use crate::system::source_line::{KeptLine, SourceLine};
use std::ptr;

/// The slot number of a seat that has no slot of its own.
pub(crate) const COUNTED: u32 = u32::MAX;

/// One thread's place in one barrier.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct Seat {
    /// The barrier that the fast path may use it for; 0: none.
    express: AtomicU64,
    /// Which registration this is; 0: none. Guards carry it, and are void when it differs.
    serial: AtomicU64,
    /// Its slot; null: it has none of its own.
    own: AtomicPtr<Slot>,
    gate: AtomicPtr<Gate>,
    /// Shares of the thread.
    depth: AtomicU32,
    /// The slot's word as this thread last set it.
    copy: AtomicU32,
    /// The odd word that found the gate open; even: none has since the last share ended.
    settled: AtomicU32,
    /// 1: the thread was let in by a wake-up and passes one on when it leaves.
    readmitted: AtomicU32,
    /// Where the outermost share was taken, and what the slot says, if there is one.
    place: KeptLine,
    /// 1: in the middle of saying so, or a handler has jumped away there.
    telling: AtomicU32,
    /// The barrier that it belongs to; 0: none.
    barrier: AtomicU64,
    slot: AtomicU32,
    /// Shares of signal handlers that stand under an interrupted one.
    interrupting: AtomicU32,
    /// The write locks that have brought a share.
    brought: Brought,
    /// The next seat of the same thread.
    next: AtomicPtr<Seat>,
}

/// Serial numbers end in a tag that says what a guard has to do when it leaves.
pub(crate) const TAG: u64 = 3;
/// The seat's own slot.
pub(crate) const TAG_OWN: u64 = 0;
/// The seat's own slot, but only the process id tells a child apart.
pub(crate) const TAG_CHECKED: u64 = 1;
/// The process's counted slot.
pub(crate) const TAG_COUNTED: u64 = 2;
/// No slot: a signal handler's share, under the one that it interrupted.
pub(crate) const TAG_INTERRUPTING: u64 = 3;

/// The serial number of a guard that holds nothing: no seat's.
pub(crate) const VOID: u64 = u64::MAX;

static NEXT_SERIAL: AtomicU64 = AtomicU64::new(TAG + 1);

impl Seat {
    pub(crate) const fn new() -> Seat {
        Seat {
            express: AtomicU64::new(0),
            serial: AtomicU64::new(0),
            own: AtomicPtr::new(ptr::null_mut()),
            gate: AtomicPtr::new(ptr::null_mut()),
            depth: AtomicU32::new(0),
            copy: AtomicU32::new(0),
            settled: AtomicU32::new(0),
            readmitted: AtomicU32::new(0),
            place: KeptLine::new(),
            telling: AtomicU32::new(0),
            barrier: AtomicU64::new(0),
            slot: AtomicU32::new(0),
            interrupting: AtomicU32::new(0),
            brought: Brought::new(),
            next: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Registers it with a barrier: with a slot of its own, or counted. `wiped`: the kernel wipes it in a child.
    pub(crate) fn register(
        &self,
        barrier: u64,
        gate: &Gate,
        own: Option<(u32, &Slot)>,
        wiped: bool,
    ) {
        self.depth.store(0, Ordering::Relaxed);
        self.readmitted.store(0, Ordering::Relaxed);
        self.interrupting.store(0, Ordering::Relaxed);
        self.gate.store(ptr::from_ref(gate).cast_mut(), Ordering::Relaxed);
        let (index, own, copy) = match own {
            Some((index, slot)) => (index, ptr::from_ref(slot), slot.word.load(Ordering::Relaxed)),
            None => (COUNTED, ptr::null(), 0),
        };
        self.slot.store(index, Ordering::Relaxed);
        self.own.store(own.cast_mut(), Ordering::Relaxed);
        self.place.forget();
        self.telling.store(0, Ordering::Relaxed);
        self.copy.store(copy, Ordering::Relaxed);
        self.settled.store(copy & !1, Ordering::Relaxed);
        self.serial.store(NEXT_SERIAL.fetch_add(TAG + 1, Ordering::Relaxed), Ordering::Relaxed);
        self.barrier.store(barrier, Ordering::Relaxed);
        let express = if index != COUNTED && wiped { barrier } else { 0 };
        self.express.store(express, Ordering::Relaxed);
    }

    /// Makes it serve nothing: what the kernel does to it in a child.
    pub(crate) fn wipe(&self) {
        self.express.store(0, Ordering::Relaxed);
        self.barrier.store(0, Ordering::Relaxed);
        self.serial.store(0, Ordering::Relaxed);
        self.depth.store(0, Ordering::Relaxed);
        self.brought.forget();
    }

    /// Whether the fast path may use it for this barrier. False after a fork.
    #[inline(always)]
    pub(crate) fn serves(&self, barrier: u64) -> bool {
        self.express.load(Ordering::Relaxed) == barrier
    }

    pub(crate) fn serial(&self) -> u64 {
        self.serial.load(Ordering::Relaxed)
    }

    /// Whether a guard's serial number is this seat's, in the plain case.
    #[inline(always)]
    pub(crate) fn matches(&self, serial: u64) -> bool {
        self.serial.load(Ordering::Relaxed) == serial
    }

    pub(crate) fn barrier(&self) -> u64 {
        self.barrier.load(Ordering::Relaxed)
    }

    pub(crate) fn slot(&self) -> u32 {
        self.slot.load(Ordering::Relaxed)
    }

    /// The next seat of the same thread.
    pub(crate) fn next(&self) -> Option<&'static Seat> {
        // SAFETY: null or a seat, and seats are never unmapped.
        unsafe { self.next.load(Ordering::Relaxed).as_ref() }
    }

    pub(crate) fn set_next(&self, next: *const Seat) {
        self.next.store(next.cast_mut(), Ordering::Relaxed);
    }

    /// The write locks that have brought a share: for its own thread.
    #[inline(always)]
    pub(crate) fn brought(&self) -> &Brought {
        &self.brought
    }

    #[inline(always)]
    pub(crate) fn depth(&self) -> u32 {
        self.depth.load(Ordering::Relaxed)
    }

    /// All shares of the thread, those of interrupting handlers too.
    pub(crate) fn shares(&self) -> u32 {
        self.depth() + self.interrupting.load(Ordering::Relaxed)
    }

    /// Counts the shares of interrupting handlers.
    pub(crate) fn count_interrupting(&self, change: i32) {
        let now = self.interrupting.load(Ordering::Relaxed).wrapping_add_signed(change);
        self.interrupting.store(now, Ordering::Relaxed);
    }

    pub(crate) fn set_depth(&self, depth: u32) {
        self.depth.store(depth, Ordering::Relaxed);
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

    pub(crate) fn set_readmitted(&self) {
        self.readmitted.store(1, Ordering::Relaxed);
    }

    /// Whether a wake-up is to be passed on; asking settles it.
    pub(crate) fn take_readmitted(&self) -> bool {
        let owed = self.readmitted.load(Ordering::Relaxed) == 1;
        self.readmitted.store(0, Ordering::Relaxed);
        owed
    }

    /// The gate.
    ///
    /// The caller knows that this seat serves a barrier.
    #[inline(always)]
    pub(crate) fn gate(&self) -> &Gate {
        // SAFETY: a serving seat's pointers lead into a live map (see the head of the module).
        unsafe { &*self.gate.load(Ordering::Relaxed) }
    }

    /// Whether it belongs to the file with this gate.
    pub(crate) fn is_at(&self, gate: &Gate) -> bool {
        ptr::eq(self.gate.load(Ordering::Relaxed), gate)
    }

    /// The fast path is not to use it any more: the thread has another one where the barrier is now.
    pub(crate) fn leave_the_fast_path(&self) {
        self.express.store(0, Ordering::Relaxed);
    }

    #[inline(always)]
    fn own(&self) -> &Slot {
        // SAFETY: as in `gate`.
        unsafe { &*self.own.load(Ordering::Relaxed) }
    }

    #[inline(always)]
    fn word(&self) -> &AtomicU32 {
        &self.own().word
    }

    /// Enters, if nested or if the gate is open. Otherwise nothing has happened.
    #[inline(always)]
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
    fn start_over(&self) {
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
        let depth = self.depth();
        if depth != 1 {
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

    /// Keeps where the outermost share was taken, of a seat without a slot.
    pub(crate) fn set_place(&self, place: SourceLine) {
        self.place.set(place);
    }

    /// Where the outermost share was taken, if that is known.
    pub(crate) fn place(&self) -> Option<SourceLine> {
        self.place.get()
    }
}

#[cfg(test)]
mod tests {
    //! Every place where a signal handler may strike, step by step.

    use super::*;
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
        scene.seat.register(1, &scene.gate, Some((0, &scene.slot)), true);
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
        scene.seat.register(2, &scene.gate, Some((1, Box::leak(Box::new(other)))), true);
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
