//! Handles: places in a table that is never freed.
//!
//! So a handle that is null, made up or closed is an error and not a wild pointer: it must lie in the
//! table, on the boundary of a place, and that place must be open.
//!
//! A handle may be open without a barrier: `STILLPOINT_OPTIONAL`, see `optional`. It is given its barrier
//! once, by whichever thread finds it first, and keeps it until it is closed.

use crate::failure::{Failure, answer};
use crate::optional::Wish;
use barrier::{Barrier, ExclusiveGuard};
use nix::errno::Errno;
use nix::libc::{c_void, pthread_key_create, pthread_key_t, pthread_setspecific};
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// What a `stillpoint *` leads to.
#[repr(C, align(64))]
pub struct Handle {
    state: AtomicU32,
    /// The thread that has the exclusive side by this handle; 0: none.
    owner: AtomicU32,
    /// A box; null: none is there yet, and `wish` says what for to look.
    barrier: AtomicPtr<Barrier>,
    wish: UnsafeCell<Option<Box<Wish>>>,
    pause: UnsafeCell<Option<Box<ExclusiveGuard>>>,
}

/// Nobody's.
const FREE: u32 = 0;
/// Being opened or closed, by one thread.
const CHANGING: u32 = 1;
/// In use.
const OPEN: u32 = 2;

// SAFETY: `wish` is only written by the one thread that has made the state CHANGING, and only read
// while it is OPEN; closing while another thread uses the handle is excluded by the caller's promise.
// A barrier is put in where there is null, and taken out by who closes.
// `pause` is only touched by the thread that is its owner.
unsafe impl Sync for Handle {}

/// More than any program opens at once.
const HANDLES: usize = 1024;

static TABLE: [Handle; HANDLES] = [const {
    Handle {
        state: AtomicU32::new(FREE),
        owner: AtomicU32::new(0),
        barrier: AtomicPtr::new(ptr::null_mut()),
        wish: UnsafeCell::new(None),
        pause: UnsafeCell::new(None),
    }
}; HANDLES];

impl Handle {
    /// The handle that C gave, if it is one.
    fn find(handle: *const Handle) -> Option<&'static Handle> {
        let offset = handle.addr().wrapping_sub(TABLE.as_ptr().addr());
        // What is beyond the table or between two places becomes a large number.
        TABLE.get(offset.rotate_right(size_of::<Handle>().trailing_zeros()))
    }

    fn get(handle: *const Handle) -> Result<&'static Handle, Failure> {
        let wrong = if handle.is_null() { Errno::EINVAL } else { Errno::EBADF };
        Handle::find(handle).ok_or(Failure::from(wrong))
    }

    fn opened(handle: *const Handle) -> Result<&'static Handle, Failure> {
        let handle = Handle::get(handle)?;
        let is_open = handle.state.load(Ordering::Acquire) == OPEN;
        is_open.then_some(handle).ok_or(Failure::from(Errno::EBADF))
    }

    /// The barrier behind a handle; `None`: there was none when somebody looked last.
    pub fn barrier(handle: *const Handle) -> Result<Option<&'static Barrier>, Failure> {
        let handle = Handle::opened(handle)?;
        // SAFETY: null, or a box that stays for as long as anybody uses the handle.
        Ok(unsafe { handle.barrier.load(Ordering::Acquire).as_ref() })
    }

    /// The same for who begins something: where there was none, it looks.
    pub fn look(handle: *const Handle) -> Result<Option<&'static Barrier>, Failure> {
        if let Some(barrier) = Handle::barrier(handle)? {
            return Ok(Some(barrier));
        }
        let opened = Handle::opened(handle)?;
        // SAFETY: it is open, and stays so for as long as anybody uses it.
        let wish = unsafe { &*opened.wish.get() };
        let found = wish.as_ref().map_or(Ok(None), |wish| wish.look())?;
        Ok(found.map(|barrier| opened.give(barrier)))
    }

    /// Whether there was none when the handle was opened: what was begun then has no share to give back.
    pub fn was_without(handle: *const Handle) -> bool {
        // SAFETY: it is open, and stays so for as long as anybody uses it.
        Handle::opened(handle).is_ok_and(|handle| unsafe { (*handle.wish.get()).is_some() })
    }

    /// Gives the handle its barrier, unless another thread was first. Both have found the same: this
    /// process has one barrier for one file.
    fn give(&self, barrier: Barrier) -> &'static Barrier {
        let new = Box::into_raw(Box::new(barrier));
        let null = ptr::null_mut();
        match self.barrier.compare_exchange(null, new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                // SAFETY: boxed above, and nobody frees it before he closes the handle.
                unsafe { &*new }
            }
            Err(first) => {
                // SAFETY: boxed above, and given to nobody; the first one's is as in `barrier`.
                unsafe {
                    drop(Box::from_raw(new));
                    &*first
                }
            }
        }
    }

    /// Takes a free place, for a barrier or for the wish for one.
    pub fn open(found: Result<Barrier, Wish>) -> Result<&'static Handle, Failure> {
        let free = |handle: &&Handle| handle.change(FREE, CHANGING);
        let handle = TABLE.iter().find(free).ok_or(Failure::from(Errno::EMFILE))?;
        match found {
            Ok(barrier) => {
                handle.give(barrier);
            }
            // SAFETY: this thread alone has made it CHANGING.
            Err(wish) => unsafe { *handle.wish.get() = Some(Box::new(wish)) },
        }
        handle.state.store(OPEN, Ordering::Release);
        Ok(handle)
    }

    /// Frees the place. One that is not open stays as it is.
    pub fn close(handle: *const Handle) {
        let Some(handle) = Handle::find(handle) else { return };
        if handle.change(OPEN, CHANGING) {
            // SAFETY: this thread alone has made it CHANGING.
            drop(unsafe { (*handle.pause.get()).take() });
            handle.owner.store(0, Ordering::Relaxed);
            let barrier = handle.barrier.swap(ptr::null_mut(), Ordering::AcqRel);
            // SAFETY: as above; null, or a box that nobody uses any more.
            unsafe {
                *handle.wish.get() = None;
                if !barrier.is_null() {
                    (*barrier).forget_handle(ptr::from_ref(handle).cast());
                    drop(Box::from_raw(barrier));
                }
            }
            handle.state.store(FREE, Ordering::Release);
        }
    }

    /// This thread has the exclusive side now, until it gives it back or ends.
    pub fn set_pause(handle: *const Handle, pause: ExclusiveGuard) -> Result<(), Failure> {
        let handle = Handle::get(handle)?;
        end_pauses_with_thread()?;
        // SAFETY: whoever had the exclusive side before took his pause out before he gave it back;
        // what a forked child finds here is its parent's, and void.
        unsafe { *handle.pause.get() = Some(Box::new(pause)) };
        handle.owner.store(thread_id(), Ordering::Release);
        Ok(())
    }

    /// The pause of this thread, to be ended.
    pub fn take_pause(handle: *const Handle) -> Result<ExclusiveGuard, Failure> {
        let handle = Handle::get(handle)?;
        let owner = thread_id();
        let mine = &handle.owner;
        if mine.compare_exchange(owner, 0, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            return Err(Errno::EPERM.into());
        }
        // SAFETY: this thread was the owner.
        unsafe { (*handle.pause.get()).take() }
            .map(|pause| *pause)
            .ok_or(Failure::from(Errno::EPERM))
    }

    /// Ends the pauses of this thread, which ends: nobody else may.
    fn end_pauses() {
        let owner = thread_id();
        for handle in TABLE.iter().filter(|handle| handle.owner.load(Ordering::Relaxed) == owner) {
            if let Ok(pause) = Handle::take_pause(handle) {
                drop(pause);
            }
        }
    }

    fn change(&self, from: u32, to: u32) -> bool {
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

/// Sees to it that this thread's pauses end with it. By a key of pthreads, not by a thread-local variable
/// with a destructor: to register one of those may end the process where there is no memory.
fn end_pauses_with_thread() -> Result<(), Failure> {
    extern "C" fn ended(_: *mut c_void) {
        answer(|| {
            Handle::end_pauses();
            Ok(0)
        });
    }
    static KEY: OnceLock<Option<pthread_key_t>> = OnceLock::new();
    let key = *KEY.get_or_init(|| {
        let mut key = 0;
        // SAFETY: a place for the key, and a function of this library, which stays loaded.
        let made = unsafe { pthread_key_create(&raw mut key, Some(ended)) };
        (made == 0).then_some(key)
    });
    let key = key.ok_or(Failure::from(Errno::ENOMEM))?;
    // SAFETY: the key was made above and is never deleted; the value only says that there is one.
    match unsafe { pthread_setspecific(key, TABLE.as_ptr().cast()) } {
        0 => Ok(()),
        _ => Err(Errno::ENOMEM.into()),
    }
}

fn thread_id() -> u32 {
    nix::unistd::gettid().as_raw().unsigned_abs()
}
