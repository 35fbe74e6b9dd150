//! Handles: places in a table that is never freed.
//!
//! So a handle that is null, made up or closed is an error and not a wild pointer: it must lie in the
//! table, on the boundary of a place, and that place must be open.

use crate::failure::{Failure, answer};
use barrier::{Barrier, ExclusiveGuard};
use nix::errno::Errno;
use nix::libc::{c_void, pthread_key_create, pthread_key_t, pthread_setspecific};
use std::cell::UnsafeCell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// What a `stillpoint *` leads to.
#[repr(align(64))]
pub struct Handle {
    /// The open barrier's number, for the fast path; else [`CLOSED`].
    number: AtomicU64,
    state: AtomicU32,
    /// The thread that has the exclusive side by this handle; 0: none.
    owner: AtomicU32,
    barrier: UnsafeCell<Option<Barrier>>,
    pause: UnsafeCell<Option<Box<ExclusiveGuard>>>,
}

/// No barrier's number.
const CLOSED: u64 = u64::MAX;

/// Nobody's.
const FREE: u32 = 0;
/// Being opened or closed, by one thread.
const CHANGING: u32 = 1;
/// In use.
const OPEN: u32 = 2;

// SAFETY: `barrier` is only written by the one thread that has made the state CHANGING, and only read
// while it is OPEN; closing while another thread uses the handle is excluded by the caller's promise.
// `pause` is only touched by the thread that is its owner.
unsafe impl Sync for Handle {}

/// More than any program opens at once.
const HANDLES: usize = 1024;

static TABLE: [Handle; HANDLES] = [const {
    Handle {
        number: AtomicU64::new(CLOSED),
        state: AtomicU32::new(FREE),
        owner: AtomicU32::new(0),
        barrier: UnsafeCell::new(None),
        pause: UnsafeCell::new(None),
    }
}; HANDLES];

impl Handle {
    /// The handle that C gave, if it is one.
    #[inline(always)]
    fn find(handle: *const Handle) -> Option<&'static Handle> {
        let offset = handle.addr().wrapping_sub(TABLE.as_ptr().addr());
        // What is beyond the table or between two places becomes a large number.
        TABLE.get(offset.rotate_right(size_of::<Handle>().trailing_zeros()))
    }

    fn get(handle: *const Handle) -> Result<&'static Handle, Failure> {
        let wrong = if handle.is_null() { Errno::EINVAL } else { Errno::EBADF };
        Handle::find(handle).ok_or(Failure::from(wrong))
    }

    /// The number of the barrier behind a handle, for the fast path; else no barrier's.
    #[inline(always)]
    pub fn number(handle: *const Handle) -> u64 {
        Handle::find(handle).map_or(CLOSED, |handle| handle.number.load(Ordering::Relaxed))
    }

    /// The barrier behind a handle.
    pub fn barrier(handle: *const Handle) -> Result<&'static Barrier, Failure> {
        let handle = Handle::get(handle)?;
        if handle.state.load(Ordering::Acquire) != OPEN {
            return Err(Errno::EBADF.into());
        }
        // SAFETY: it is open, and stays so for as long as anybody uses it.
        let barrier = unsafe { &*handle.barrier.get() };
        barrier.as_ref().ok_or(Failure::from(Errno::EBADF))
    }

    /// Puts a barrier into a free place.
    pub fn open(barrier: Barrier) -> Result<&'static Handle, Failure> {
        let free = |handle: &&Handle| handle.change(FREE, CHANGING);
        let handle = TABLE.iter().find(free).ok_or(Failure::from(Errno::EMFILE))?;
        // SAFETY: this thread alone has made it CHANGING.
        let barrier = unsafe { (*handle.barrier.get()).insert(barrier) };
        handle.number.store(barrier.number(), Ordering::Relaxed);
        handle.state.store(OPEN, Ordering::Release);
        Ok(handle)
    }

    /// Frees the place. One that is not open stays as it is.
    pub fn close(handle: *const Handle) {
        let Some(handle) = Handle::find(handle) else { return };
        if handle.change(OPEN, CHANGING) {
            handle.number.store(CLOSED, Ordering::Relaxed);
            // SAFETY: this thread alone has made it CHANGING.
            drop(unsafe { (*handle.pause.get()).take() });
            handle.owner.store(0, Ordering::Relaxed);
            // SAFETY: as above.
            drop(unsafe { (*handle.barrier.get()).take() });
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
