//! The gate: how writers and the exclusive side exclude each other.
//!
//! The gate is a generation counter: even is open, odd is closed. Each writer has a word of its own,
//! odd while the writer is inside. The two sides meet as in Dekker's algorithm and as readers and
//! writers do in the kernel's `percpu_rw_semaphore`: each writes its own word, passes a full fence,
//! and reads the other's.
//!
//! ```text
//!   writer                              exclusive side
//!   word = odd                          generation = odd
//!   fence (Enter)                       fence (Close)
//!   generation even?  -> inside         every word even?  -> quiet
//! ```
//!
//! Whichever fence comes first in the order of all fences, the other side sees its store, so a writer
//! that got inside is always seen, and one that was not seen always sees the closed gate. It then
//! takes its word back and wakes the exclusive side, which may have been about to wait for it.
//!
//! A word only ever grows while it belongs to one thread. That makes *two looks with identical even
//! words* mean more than two looks at even words: nobody was inside at the moment between them. One
//! look is not enough, because a covered share (see `cover`) does not wait at the gate: it can begin
//! behind a look that has passed its slot while the share that covers it ends before the look gets
//! there. Between the two stands a full fence (Look): the writer's word and its cover's are different
//! places, and without the fence a machine may show the end of the one and not yet the other.
//!
//! Leaving has no fence: the writer clears its word and then asks whether anybody waits. It may see the
//! gate open although the closer has already seen the word odd and gone to sleep. Only latency suffers: a
//! store is on its way for moments, and the closer looks again soon, its first sleeps being shorter than the
//! others. That fence would be half of what a share costs; exclusion does not need it, because the closer
//! believes nothing but an even word.
//!
//! Entering can do without its fence too, where the closer has every writer pass one between closing and
//! looking ([`Closed::fence`]): `membarrier` in the product. A writer that asked for the gate before it was made to pass that
//! fence has published before it, and the looks come after; one that asks behind it sees the gate closed. So only
//! the order in the writer's own program is needed, which the compiler shall keep ([`Gate::publish_unfenced`]). A
//! covered writer keeps its fence: its cover may end between two looks, when no such call is made. Nobody looks before that
//! call, by type: only [`Fenced`], which it makes of [`Closed`], lets a closer wait until it is quiet.
//!
//! A gate can be closed *for good*, by a generation that nobody opens: when another file has taken the
//! place of the one that it lies in, every writer is to go there. It is a closing like any other, so a
//! writer that is inside is seen, and one that comes sees that it is in the wrong place.
//!
//! Nothing here depends on time, on a process or on the map: the model checker runs this very code.

use crate::gate::fence::Fence;
use crate::gate::sync::{AtomicU32, Futex, Ordering, compiler_fence, full_fence, step};
use std::time::Duration;

/// Everybody who waits.
pub const ALL: u32 = i32::MAX as u32;

/// The generation of a gate that is closed for good.
pub const SUPERSEDED: u32 = u32::MAX;

/// Whether a gate of this generation is closed.
#[inline(always)]
pub fn is_closed(generation: u32) -> bool {
    generation & 1 == 1
}

/// Whether a gate of this generation is closed for good.
#[inline(always)]
pub fn is_superseded(generation: u32) -> bool {
    generation == SUPERSEDED
}

/// Whether a writer with this word is inside.
#[inline(always)]
pub fn is_inside(word: u32) -> bool {
    word & 1 == 1
}

/// The words of the gate, as they lie in the barrier file (one cache line of their own).
#[repr(C)]
#[derive(Debug, Default)]
pub struct Gate {
    /// Even: open. Odd: closed. Only the holder of the lock byte X makes it odd; anybody may make
    /// an odd one even by comparing and swapping the generation that he saw. [`SUPERSEDED`]: closed for
    /// good, by whoever knows that this file is not the barrier any more.
    pub generation: Futex,
    /// Grows whenever a word became even while the gate was closed: the exclusive side sleeps on it.
    pub drain: Futex,
    /// Not 0: somebody wants the exclusive side. A hint for long holders; decides nothing.
    pub wanted: AtomicU32,
    /// How many wait for the gate to open. A hint that saves a system call; decides nothing.
    pub waiters: AtomicU32,
    /// Milliseconds after which a waiter may open a closed gate; 0: never. Only changed while the
    /// gate is open, by the holder of X.
    pub limit: AtomicU32,
    /// The closed generation that still admits who holds what its closer waits for; anything else: none.
    pub admitting: AtomicU32,
    /// Grows whenever somebody was let in so.
    pub admitted: AtomicU32,
    reserved: [AtomicU32; 25],
}

/// A gate that was closed just now, as this generation. Writers that enter without a fence may have missed that, and
/// may not be seen.
#[derive(Debug, PartialEq, Eq)]
pub struct Closed {
    generation: u32,
}

/// One whose every writer has passed a fence since.
#[derive(Debug)]
pub struct Fenced(());

impl Closed {
    /// The odd generation.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// `call` has every writer that enters without a fence pass one. If it fails, the gate is the caller's to open.
    pub fn fence<E>(self, call: impl FnOnce() -> Result<(), E>) -> Result<Fenced, E> {
        call()?;
        step("close: writers fenced");
        Ok(Fenced(()))
    }
}

/// What a look at all words found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// The value of `drain` before the first word was read.
    ticket: u32,
    /// How many words were odd.
    pub inside: usize,
    /// Every word was what it had been at the look before.
    unchanged: bool,
}

impl Gate {
    /// Enter, first half: makes the word odd and returns the generation. Inside if that is even.
    #[inline(always)]
    pub fn publish(&self, word: &AtomicU32, odd: u32) -> u32 {
        word.store(odd, Ordering::Relaxed);
        step("enter: published");
        self.after_publishing()
    }

    /// [`Gate::publish`] without the fence, of a writer that passes one when the closer wants it. Not for one that
    /// goes in at a closed gate, under a cover.
    #[inline(always)]
    pub fn publish_unfenced(&self, word: &AtomicU32, odd: u32) -> u32 {
        word.store(odd, Ordering::Relaxed);
        step("enter: published");
        compiler_fence(Ordering::SeqCst);
        self.generation.word().load(Ordering::Acquire)
    }

    #[inline(always)]
    fn after_publishing(&self) -> u32 {
        full_fence(Fence::Enter);
        step("enter: fenced");
        self.generation.word().load(Ordering::Acquire)
    }

    /// Enter, when the gate was closed: takes the word back and wakes the exclusive side, which may
    /// have seen it.
    pub fn retract(&self, word: &AtomicU32, even: u32) {
        step("enter: refused");
        word.store(even, Ordering::Release);
        step("enter: taken back");
        self.bump_drain();
    }

    /// Leave: makes the word even and returns the generation. If that is odd, [`Gate::tell`] is owed.
    #[inline(always)]
    pub fn leave(&self, word: &AtomicU32, even: u32) -> u32 {
        word.store(even, Ordering::Release);
        step("leave: word even");
        self.generation.word().load(Ordering::Relaxed)
    }

    /// Enter, first half, of a word that several threads count in: `2n - 1` for n shares, else 0, so
    /// that it is odd whenever anybody is inside.
    pub fn publish_counted(&self, word: &AtomicU32) -> u32 {
        change(word, |word| if is_inside(word) { word.wrapping_add(2) } else { 1 });
        step("enter: counted");
        self.after_publishing()
    }

    /// [`Gate::retract`] for a counted word.
    pub fn retract_counted(&self, word: &AtomicU32) {
        uncount(word, 1);
        step("enter: taken back");
        self.bump_drain();
    }

    /// [`Gate::leave`] for shares of a counted word.
    pub fn leave_counted(&self, word: &AtomicU32, shares: u32) -> u32 {
        uncount(word, shares);
        step("leave: uncounted");
        self.generation.word().load(Ordering::Relaxed)
    }

    /// Enter, if the gate is open; otherwise nothing has happened. `publish` and `retract` are as for
    /// [`Gate::enter`].
    ///
    /// The gate is asked before as well, so that one who tries again and again at a closed gate keeps
    /// his word still: the exclusive side waits for two looks at the same words.
    #[inline(always)]
    pub fn try_enter(&self, publish: impl FnOnce() -> u32, retract: impl FnOnce()) -> bool {
        if is_closed(self.now()) {
            return false;
        }
        if is_closed(publish()) {
            retract();
            return false;
        }
        true
    }

    /// Enter, where that may mean to wait. `publish` and `retract` are one of the pairs above for the
    /// caller's word, and `wait` returns when the gate may have left the generation it is given.
    ///
    /// `covered` says whether the caller need not wait: it is only believed once the word is
    /// published. Asked before, it merely spares the exclusive side a word that comes and goes.
    pub fn enter<E>(
        &self,
        publish: impl Fn() -> u32,
        retract: impl Fn(),
        covered: impl Fn() -> bool,
        mut wait: impl FnMut(u32) -> Result<(), E>,
    ) -> Result<(), E> {
        let admitted = |generation| !is_closed(generation) || covered();
        loop {
            if admitted(self.now()) {
                if admitted(publish()) {
                    return Ok(());
                }
                retract();
            }
            let generation = self.now();
            if is_closed(generation) {
                wait(generation)?;
            }
        }
    }

    /// Enter, at an open gate or one that is closing and admits. Otherwise nothing has happened. For
    /// who holds what the closer waits for: kept out, it would never give that back.
    ///
    /// It is counted after its word was published, so whoever sees the count sees the word; and it asks
    /// once more after it was counted. So a closer that shuts the gate and finds the count as it was
    /// before it looked at the words knows that nobody was let in since.
    pub fn try_enter_admitted(&self, publish: impl FnOnce(), retract: impl FnOnce()) -> bool {
        if !self.admits() {
            return false;
        }
        publish();
        self.admitted.fetch_add(1, Ordering::AcqRel);
        step("enter: counted as admitted");
        full_fence(Fence::Admit);
        if !self.admits() {
            retract();
            return false;
        }
        true
    }

    /// Whether it is open, or lets holders in.
    pub fn admits(&self) -> bool {
        let generation = self.now();
        !is_closed(generation)
            || !is_superseded(generation) && self.admitting.load(Ordering::Acquire) == generation
    }

    /// Lets those in, at a gate that the caller closed as this generation, who hold what he waits for.
    pub fn admit(&self, closed: u32) {
        self.admitting.store(closed, Ordering::Release);
        step("admit: admitting");
    }

    /// How often somebody was let in so. To be asked before the look at all words.
    pub fn admissions(&self) -> u32 {
        self.admitted.load(Ordering::Acquire)
    }

    /// Admits nobody any more. True if nobody was since the count was this.
    pub fn shut(&self, admissions: u32) -> bool {
        self.admitting.store(0, Ordering::Release);
        step("shut: admits nobody");
        full_fence(Fence::Shut);
        self.admissions() == admissions
    }

    /// Tells the exclusive side that a word has become even.
    pub fn bump_drain(&self) {
        self.drain.word().fetch_add(1, Ordering::Release);
        step("drain: bumped");
        self.drain.wake(ALL);
    }

    /// Counts the caller among those who wait for the gate to open, for as long as `wait` runs.
    pub fn among_waiters<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.waiters.fetch_add(1, Ordering::Relaxed);
        step("wait: counted");
        let result = wait();
        // A hint: never below zero, whatever stands in the file.
        let _ = self.waiters.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiters| {
            Some(waiters.saturating_sub(1))
        });
        result
    }

    /// Once the gate is open: wakes the first `count` of those who wait; 0: all. Each of them wakes
    /// one more when it leaves.
    pub fn readmit(&self, count: u32) {
        self.generation.wake(if count == 0 { ALL } else { count.min(ALL) });
    }

    /// What is owed after leaving: the exclusive side is told, and a wake-up is passed on by one who
    /// has waited.
    pub fn tell(&self, readmitted: bool) {
        if is_closed(self.now()) {
            self.bump_drain();
        }
        step("leave: told");
        if readmitted && self.waiters.load(Ordering::Relaxed) > 0 {
            self.generation.wake(1);
        }
    }

    /// The generation now. Acquire: what was done while a closed gate stood is visible after it.
    #[inline(always)]
    pub fn now(&self) -> u32 {
        self.generation.word().load(Ordering::Acquire)
    }

    /// Closes an open gate; `None` if it is closed already. The
    /// caller holds X, so nobody else closes; swapping rather than storing keeps that true even if
    /// he errs.
    pub fn close(&self) -> Option<Closed> {
        let open = self.generation.word().load(Ordering::Relaxed);
        if is_closed(open) {
            return None;
        }
        let closed = match open.wrapping_add(1) {
            SUPERSEDED => 1,
            closed => closed,
        };
        self.generation
            .word()
            .compare_exchange(open, closed, Ordering::AcqRel, Ordering::Relaxed)
            .ok()?;
        step("close: closed");
        full_fence(Fence::Close);
        Some(Closed { generation: closed })
    }

    /// Closes the gate for good, whether it was open or closed, and wakes who waits for its opening. A
    /// pause that stood is over: its holder's own opening fails. Nobody sleeps until it is quiet, so
    /// the fence between two looks is all that is needed to see who is inside.
    pub fn supersede(&self) -> Closed {
        self.generation.word().swap(SUPERSEDED, Ordering::AcqRel);
        step("supersede: closed");
        self.generation.wake(ALL);
        Closed { generation: SUPERSEDED }
    }

    /// Opens a gate that was closed for good, for who knows that its file is where it should be. Nobody
    /// sleeps at such a gate.
    pub fn reinstate(&self) {
        let gate = self.generation.word();
        let _ = gate.compare_exchange(SUPERSEDED, 0, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Opens the gate if it still is of generation `closed`: the certificate for its closer, the
    /// revocation or the healing for anybody else. Never one that is closed for good. Wakes nobody.
    pub fn open(&self, closed: u32) -> bool {
        is_closed(closed)
            && closed != SUPERSEDED
            && self
                .generation
                .word()
                .compare_exchange(
                    closed,
                    closed.wrapping_add(1),
                    Ordering::AcqRel,
                    Ordering::Relaxed,
                )
                .is_ok()
    }

    /// Looks at every word once. `before` holds the words of the look before and takes these.
    pub fn look<'w>(
        &self,
        words: impl Iterator<Item = &'w AtomicU32>,
        before: &mut Vec<u32>,
    ) -> Look {
        let first = before.is_empty();
        if !first {
            full_fence(Fence::Look);
        }
        let ticket = self.drain.word().load(Ordering::Acquire);
        let mut look = Look { ticket, inside: 0, unchanged: !first };
        for (index, word) in words.enumerate() {
            let now = word.load(Ordering::Acquire);
            look.inside += usize::from(is_inside(now));
            if first {
                before.push(now);
            } else if before[index] != now {
                before[index] = now;
                look.unchanged = false;
            }
        }
        look
    }

    /// Waits until nobody is inside: two looks in a row with identical even words.
    ///
    /// `busy` is called with all words after every look that found somebody, and after every second
    /// one that found the words changing. It says how long to sleep at most before the next look
    /// (nothing to sleep for: zero), or `None` to give up, and then the result is false.
    pub fn wait_until_quiet<'w, W: Iterator<Item = &'w AtomicU32>>(
        &self,
        _fenced: &Fenced,
        words: impl Fn() -> W,
        mut busy: impl FnMut(&[u32]) -> Option<Duration>,
    ) -> bool {
        let mut seen = Vec::new();
        let mut first = true;
        loop {
            let look = self.look(words(), &mut seen);
            if look.inside == 0 && look.unchanged {
                return true;
            }
            step("drain: looked");
            if look.inside == 0 && std::mem::take(&mut first) {
                continue;
            }
            match busy(&seen) {
                None => return false,
                Some(tick) if look.inside > 0 && !tick.is_zero() => {
                    self.drain.wait(look.ticket, Some(tick));
                }
                Some(_) => {}
            }
        }
    }
}

/// Takes shares from a counted word. Only garbage is even here, and 0 is where it heals to.
fn uncount(word: &AtomicU32, shares: u32) {
    change(word, |word| if is_inside(word) && word > 2 * shares { word - 2 * shares } else { 0 });
}

fn change(word: &AtomicU32, next: impl Fn(u32) -> u32) {
    let _ = word.fetch_update(Ordering::Release, Ordering::Relaxed, |word| Some(next(word)));
}
