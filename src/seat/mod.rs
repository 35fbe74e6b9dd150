//! Seats: the fast path, and what a thread remembers of its place in a barrier.
//!
//! Uses `file` and below. Right about one thread and its signal handlers: whoever strikes in the middle of enter
//! or leave finds a word that says the truth.
//!
//! A seat is the private side of a slot: nesting depth, a copy of the slot's word, and where slot and
//! gate are mapped. It answers everything that the fast path asks, so that entering and leaving are
//! a few loads, a few stores and at most one fence for both, and the shared map is not touched before the seat has
//! been found valid. Seats lie in pages that the kernel wipes in a forked child: there the seat
//! serves no barrier, the guards of the parent no longer match it, and nothing leads to memory that
//! the child does not have.
//!
//! A seat belongs to one thread until that ends; only the thread itself, and its signal handlers, use it.
//!
//! # Safety
//!
//! `own` and `gate` lead into the barrier's map. They are only followed while `serves` says so, and
//! a seat stops serving a barrier before that is unmapped, which needs the last handle: whoever is on
//! the fast path borrows one.

pub(crate) mod brought;
mod crossing;
pub(crate) mod current;
pub(crate) mod express;
pub(crate) mod published;

use crate::file::layout::Slot;
use crate::gate::protocol::Gate;
use crate::gate::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use crate::seat::brought::Brought;
use crate::system::source_line::{KeptLine, SourceLine};
use std::ptr;

/// Marks a way that is not the common one: that one is laid out without a jump, of which a call has enough.
#[cold]
#[inline]
fn seldom() {}

/// The slot number of a seat that has no slot of its own.
pub(crate) const COUNTED: u32 = u32::MAX;

/// One thread's place in one barrier.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct Seat {
    /// The barrier whose common case of entering needs no fence here; 0: none.
    unfenced: AtomicU64,
    /// The handle of another language by which this thread used that one last; null: none.
    unfenced_handle: AtomicPtr<()>,
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
    /// The barrier that the fast path may use it for, with a fence or without; 0: none.
    express: AtomicU64,
    /// The handle by which this thread used that one last; null: none.
    handle: AtomicPtr<()>,
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

/// How the fast path may use a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FastPath {
    /// Not at all: the kernel does not wipe it in a child.
    None,
    /// With a fence of its own.
    Fenced,
    /// Without one: who closes the gate has it pass one then.
    Unfenced,
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
            unfenced: AtomicU64::new(0),
            unfenced_handle: AtomicPtr::new(ptr::null_mut()),
            serial: AtomicU64::new(0),
            own: AtomicPtr::new(ptr::null_mut()),
            gate: AtomicPtr::new(ptr::null_mut()),
            depth: AtomicU32::new(0),
            copy: AtomicU32::new(0),
            settled: AtomicU32::new(0),
            readmitted: AtomicU32::new(0),
            place: KeptLine::new(),
            express: AtomicU64::new(0),
            handle: AtomicPtr::new(ptr::null_mut()),
            telling: AtomicU32::new(0),
            barrier: AtomicU64::new(0),
            slot: AtomicU32::new(0),
            interrupting: AtomicU32::new(0),
            brought: Brought::new(),
            next: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Registers it with a barrier: with a slot of its own, or counted.
    pub(crate) fn register(
        &self,
        barrier: u64,
        gate: &Gate,
        own: Option<(u32, &Slot)>,
        fast_path: FastPath,
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
        let express = if index != COUNTED && fast_path != FastPath::None { barrier } else { 0 };
        self.express.store(express, Ordering::Relaxed);
        let unfenced = if fast_path == FastPath::Unfenced { express } else { 0 };
        self.unfenced.store(unfenced, Ordering::Relaxed);
    }

    /// Makes it serve nothing: what the kernel does to it in a child.
    pub(crate) fn wipe(&self) {
        self.leave_the_fast_path();
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

    /// The same by a handle, which may be anything.
    #[inline(always)]
    pub(crate) fn serves_handle(&self, handle: *const ()) -> bool {
        !handle.is_null() && ptr::eq(self.handle.load(Ordering::Relaxed), handle)
    }

    /// This thread's next share by this handle, which is one of the barrier that this seat serves, may be the common case.
    pub(crate) fn set_handle(&self, handle: *const ()) {
        let is_unfenced = self.unfenced.load(Ordering::Relaxed) != 0;
        let unfenced = if is_unfenced { handle } else { ptr::null() };
        self.unfenced_handle.store(unfenced.cast_mut(), Ordering::Relaxed);
        self.handle.store(handle.cast_mut(), Ordering::Relaxed);
    }

    /// It is a handle of the barrier no more. For who closes it, on any thread.
    pub(crate) fn forget_handle(&self, handle: *const ()) {
        for known in [&self.unfenced_handle, &self.handle] {
            let (handle, null) = (handle.cast_mut(), ptr::null_mut());
            let _ = known.compare_exchange(handle, null, Ordering::Relaxed, Ordering::Relaxed);
        }
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
        self.unfenced.store(0, Ordering::Relaxed);
        self.express.store(0, Ordering::Relaxed);
        self.set_handle(ptr::null());
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

    /// Keeps where the outermost share was taken, of a seat without a slot.
    pub(crate) fn set_place(&self, place: SourceLine) {
        self.place.set(place);
    }

    /// Where the outermost share was taken, if that is known.
    pub(crate) fn place(&self) -> Option<SourceLine> {
        self.place.get()
    }
}
