//! No function is a cancellation point: pthreads(7).
//!
//! A thread that is cancelled is unwound from where it is, without a word. In the middle of the library it
//! would leave locks and descriptors behind, and what unwinds it is no panic, which Rust could catch. So a
//! cancellation waits until the function has returned. One that may strike anywhere (`PTHREAD_CANCEL_ASYNCHRONOUS`)
//! then does so at once, when all is in order: what it passes on its way are frames without anything to drop,
//! of functions that C may unwind.
//!
//! For that the kind is set as well as the state: glibc's signal may be on its way when the state is set.
//!
//! # Safety
//!
//! pthread_setcancelstate(3) and pthread_setcanceltype(3) change what the calling thread itself is, and have
//! no wrapper.

use std::ffi::c_int;

const PTHREAD_CANCEL_DEFERRED: c_int = 0;
const PTHREAD_CANCEL_DISABLE: c_int = 1;

unsafe extern "C-unwind" {
    fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
    fn pthread_setcanceltype(kind: c_int, before: *mut c_int) -> c_int;
}

/// What a thread has set: how it may be cancelled, and whether.
#[derive(Clone, Copy, Debug)]
pub struct Cancellation {
    kind: c_int,
    state: c_int,
}

impl Cancellation {
    /// Keeps it off. What was set before.
    #[inline(always)]
    pub fn keep_off() -> Cancellation {
        let (mut kind, mut state) = (0, 0);
        // SAFETY: places for what was before.
        unsafe {
            pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &raw mut kind);
            pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &raw mut state);
        }
        Cancellation { kind, state }
    }

    /// Sets it again.
    #[inline(always)]
    pub fn set(self) {
        let mut set_here = 0;
        // SAFETY: as above; what is set is what was.
        unsafe {
            pthread_setcancelstate(self.state, &raw mut set_here);
            pthread_setcanceltype(self.kind, &raw mut set_here);
        }
    }
}

/// Runs it to its end.
#[inline(always)]
pub fn uncancelled<T: Copy>(work: impl FnOnce() -> T) -> T {
    let before = Cancellation::keep_off();
    let result = work();
    before.set();
    result
}
