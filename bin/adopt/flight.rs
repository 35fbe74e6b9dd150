//! Calls under way in this thread.
//!
//! A call that asks for a lock may never return: a signal handler jumps out of it, or the thread is cancelled. Its
//! share would be held for ever. So the outermost call of a thread leaves a note of where on the stack it stands,
//! with a mark in its frame; the next call finds the note. If that one stands at the same place or further out, or if
//! the mark is gone, the call was left and its share is given back; if not, this is a signal handler's call
//! in the middle of it. A thread that ends gives back what it has (see the core).
//!
//! While the core is at work the thread cannot be cancelled; whoever jumps out of that, from a wait at the gate,
//! leaves it so. What the program had set is noted as well, and set again by the next call.
//!
//! # Safety
//!
//! The mark is read through the note only where the stack is in use: further out than the reader, on the same stack.

use crate::cancel::Cancellation;
use nix::libc;
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ptr;

thread_local! {
    static OUTERMOST: Cell<*const u64> = const { Cell::new(ptr::null()) };
    /// The core is at work in this thread: what it locks is its own.
    static BUSY: Cell<bool> = const { Cell::new(false) };
    /// What the outermost call has set aside.
    static CANCELLATION: Cell<Option<Cancellation>> = const { Cell::new(None) };
}

const MARK: u64 = 0x7374_696c_6c70_6f69;

/// The frame of a call.
pub struct Frame {
    mark: u64,
}

impl Frame {
    #[inline(always)]
    pub fn new() -> Frame {
        Frame { mark: 0 }
    }

    /// Whether a call is noted that has not returned.
    #[inline(always)]
    pub fn is_any() -> bool {
        !OUTERMOST.get().is_null()
    }

    /// Notes this one as the outermost.
    #[inline(always)]
    pub fn begin(&mut self) {
        // SAFETY: our own; it may be read from elsewhere.
        unsafe { (&raw mut self.mark).write_volatile(MARK) };
        OUTERMOST.set(&raw const self.mark);
    }

    /// The call that was noted was left, maybe out of the core.
    pub fn give_up() {
        OUTERMOST.set(ptr::null());
        BUSY.set(false);
        if let Some(cancellation) = CANCELLATION.take() {
            cancellation.set();
        }
    }

    /// It is over, or goes on without a share.
    #[inline(always)]
    pub fn end(&mut self) {
        OUTERMOST.set(ptr::null());
        // SAFETY: our own; what is left on the stack is no mark any more.
        unsafe { (&raw mut self.mark).write_volatile(0) };
    }

    /// Whether the call that is noted was left without returning, as seen from this one.
    #[cold]
    pub fn finds_one_abandoned(&self) -> bool {
        let (noted, here) = (OUTERMOST.get(), &raw const self.mark);
        if noted.is_null() {
            return false;
        }
        let elsewhere =
            |(start, size): (usize, usize)| !(start..start + size).contains(&(noted as usize));
        if signal_stack().is_some_and(elsewhere) {
            return false;
        }
        // SAFETY: see the head of the module.
        here >= noted || unsafe { noted.read_volatile() } != MARK
    }
}

/// The stack for signal handlers, if this is one that runs on it.
fn signal_stack() -> Option<(usize, usize)> {
    let mut stack = MaybeUninit::<libc::stack_t>::uninit();
    // SAFETY: a place for the answer, which is whole if the call succeeds.
    let stack = unsafe {
        if libc::sigaltstack(ptr::null(), stack.as_mut_ptr()) != 0 {
            return None;
        }
        stack.assume_init()
    };
    (stack.ss_flags & libc::SS_ONSTACK != 0).then_some((stack.ss_sp as usize, stack.ss_size))
}

/// Whether what is locked now may be the core's own.
#[inline(always)]
pub fn is_busy() -> bool {
    BUSY.get()
}

/// Runs what the core does.
pub fn busy<T>(work: impl FnOnce() -> T) -> T {
    let before = BUSY.replace(true);
    let result = work();
    BUSY.set(before);
    result
}

/// Runs it to its end, unless a signal handler jumps out of it.
#[inline(always)]
pub fn uncancelled<T: Copy>(work: impl FnOnce() -> T) -> T {
    let before = Cancellation::keep_off();
    let is_first = CANCELLATION.get().is_none();
    if is_first {
        CANCELLATION.set(Some(before));
    }
    let result = work();
    if is_first {
        CANCELLATION.set(None);
    }
    before.set();
    result
}
