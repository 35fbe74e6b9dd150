//! A call's way through the gate.
//!
//! 1. At an open gate: a share, the call, and the share is given back: two stores and a fence more than the call.
//! 2. At a closed one: a process that holds what the tool waits for is let in as long as the gate admits holders.
//! 3. Everybody else waits until the gate opens, also for a call that would not wait for the lock itself: programs
//!    take its refusal for an error. A signal handler that ends system calls ends the wait: then a call that waits says
//!    EINTR, and one that does not says that somebody else has the lock. No handler is missed: they are held back from
//!    the first look at the gate.
//!
//! Never is anything but the call's own result an answer: no deadlock is told of, and `errno` is as libc left it.
//!
//! Which descriptors lead to protected files is remembered, since fstat(2) costs more than all else here; what is
//! remembered is asked again before anybody waits for it, and is not believed while the core is at work.

use crate::flight::{Frame, busy, is_busy, uncancelled};
use crate::holding;
use crate::log;
use crate::program::{self, Program};
use barrier::{Barrier, Error, ErrorKind, Handlers};
use nix::errno::Errno;
use nix::libc::{EAGAIN, EINTR, c_int};
use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What the tool shows of who is inside.
const PLACE: *const c_char = c"a lock that is asked for".as_ptr();
/// Between two looks at what may have changed about a call that waits.
const SLICE: Duration = Duration::from_millis(100);
/// The same for a holder at a gate that admits none yet, or not at the moment.
const HOLDERS_SLICE: Duration = Duration::from_millis(1);

unsafe extern "C-unwind" {
    fn pthread_testcancel();
}

/// A call for a write lock.
#[derive(Clone, Copy)]
pub struct Call {
    pub descriptor: c_int,
    /// For the lock.
    pub waits: bool,
    /// It is a cancellation point.
    pub may_be_cancelled: bool,
}

/// Descriptors that led to protected files when they were last asked about.
static PROTECTED: [AtomicU64; 16] = [const { AtomicU64::new(0) }; 16];

fn remembered(descriptor: c_int) -> Option<(&'static AtomicU64, u64)> {
    let descriptor = usize::try_from(descriptor).ok()?;
    Some((PROTECTED.get(descriptor / 64)?, 1 << (descriptor % 64)))
}

#[inline(always)]
fn is_remembered(descriptor: c_int) -> bool {
    remembered(descriptor).is_some_and(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
}

fn remember(descriptor: c_int, protected: bool) {
    if let Some((word, bit)) = remembered(descriptor) {
        match protected {
            true => word.fetch_or(bit, Ordering::Relaxed),
            false => word.fetch_and(!bit, Ordering::Relaxed),
        };
    }
}

/// How a call goes on.
#[derive(Clone, Copy)]
enum Way {
    /// As if there were no barrier.
    Past,
    /// Inside a share, which is its own.
    Inside,
    /// Inside one more share of a thread whose outermost call goes on.
    Within,
    /// Not yet.
    Again,
    /// With this error.
    Refused(c_int),
}

/// Makes the call where the gate allows it.
#[inline(always)]
pub fn pass(call: Call, ask: impl Fn() -> c_int) -> c_int {
    if program::is_not_adopted() {
        return ask();
    }
    let mut frame = Frame::new();
    let number = program::number();
    if !Frame::is_any() && is_remembered(call.descriptor) && !is_busy() {
        frame.begin();
        // SAFETY: a string that is never freed.
        if unsafe { Barrier::enter_shared_at_once(number, PLACE, 0) } {
            let result = made(call, &ask);
            leave(&mut frame, number);
            return result;
        }
        frame.end();
    }
    let errno = Errno::last_raw();
    if frame.finds_one_abandoned() {
        give_back();
    }
    let (mut waited, mut handlers) = (false, None);
    loop {
        let outermost = !Frame::is_any();
        if outermost {
            frame.begin();
        }
        let way = uncancelled(|| find_way(call, outermost, waited, &mut handlers));
        if outermost && !matches!(way, Way::Inside) {
            frame.end();
        }
        match way {
            Way::Past => {
                Errno::set_raw(errno);
                return ask();
            }
            Way::Inside => {
                Errno::set_raw(errno);
                let result = made(call, &ask);
                leave(&mut frame, program::number());
                return result;
            }
            Way::Within => {
                Errno::set_raw(errno);
                let result = made(call, &ask);
                let errno = Errno::last_raw();
                uncancelled(leave_slowly);
                Errno::set_raw(errno);
                return result;
            }
            Way::Refused(error) => {
                Errno::set_raw(error);
                return -1;
            }
            Way::Again => {
                waited = true;
                if call.may_be_cancelled {
                    // SAFETY: nothing here is to be dropped.
                    unsafe { pthread_testcancel() };
                }
            }
        }
    }
}

/// Makes the call, and remembers who took a lock.
#[inline(always)]
fn made(call: Call, ask: impl Fn() -> c_int) -> c_int {
    let result = ask();
    if result == 0 {
        holding::note(call.descriptor);
    }
    result
}

/// Gives the share of the outermost call back.
#[inline(always)]
fn leave(frame: &mut Frame, number: u64) {
    let errno = Errno::last_raw();
    if !Barrier::leave_shared_at_once(number) {
        uncancelled(leave_slowly);
    }
    frame.end();
    Errno::set_raw(errno);
}

#[cold]
#[inline(never)]
fn leave_slowly() {
    let leave = || {
        if let Some(barrier) = program::this().and_then(Program::barrier) {
            // One that is not held was lost with the process that this one was forked from.
            let _ = barrier.leave_shared();
        }
    };
    let _ = busy(|| catch_unwind(AssertUnwindSafe(leave)));
}

/// What a call has that was left without returning.
#[cold]
#[inline(never)]
fn give_back() {
    Frame::give_up();
    let give_back = || {
        let barrier = program::this().and_then(Program::barrier);
        while barrier.is_some_and(|barrier| barrier.leave_shared().is_ok()) {}
    };
    let _ = uncancelled(|| busy(|| catch_unwind(AssertUnwindSafe(give_back)).is_ok()));
}

#[cold]
#[inline(never)]
fn find_way(call: Call, outermost: bool, waited: bool, handlers: &mut Option<Handlers>) -> Way {
    let Some(program) = program::this() else {
        return Way::Past;
    };
    let protected = program.devices.protect(call.descriptor);
    remember(call.descriptor, protected);
    if !protected {
        // Not any more, maybe.
        if let Some(held_back) = handlers.take() {
            held_back.let_run();
        }
        return Way::Past;
    }
    log::speak();
    let held_back = *handlers.get_or_insert_with(Handlers::hold_back);
    let find = || way(program, call, outermost, waited, held_back);
    // A fault of ours is not the program's.
    let mut way = busy(|| catch_unwind(AssertUnwindSafe(find))).unwrap_or(Way::Past);
    if call.waits && held_back.end_calls() {
        if matches!(way, Way::Inside | Way::Within) {
            leave_slowly();
        }
        way = Way::Refused(EINTR);
    }
    if !matches!(way, Way::Again) {
        held_back.let_run();
    }
    way
}

fn way(program: &Program, call: Call, outermost: bool, waited: bool, handlers: Handlers) -> Way {
    let past = |answer: Option<c_int>| answer.map_or(Way::Past, Way::Refused);
    let Some(barrier) = program.barrier() else {
        return past(program.without());
    };
    let entered = match enter(program, barrier, waited, handlers) {
        Ok(()) if outermost => return Way::Inside,
        Ok(()) => return Way::Within,
        Err(error) => error,
    };
    match entered.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Way::Again,
        _ if is_interrupted(&entered) && call.waits => Way::Refused(EINTR),
        _ if is_interrupted(&entered) => Way::Refused(EAGAIN),
        _ => past(program.cannot_use(&entered)),
    }
}

fn is_interrupted(error: &Error) -> bool {
    matches!(error, Error::System { source, .. } if source.raw_os_error() == Some(EINTR))
}

/// Enters, or waits a while.
fn enter(
    program: &Program,
    barrier: &Barrier,
    waited: bool,
    handlers: Handlers,
) -> Result<(), Error> {
    if !waited {
        // SAFETY: a string that is never freed.
        match unsafe { barrier.enter_shared(Some(Duration::ZERO), PLACE, 0) } {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
    let mut slice = SLICE;
    let closing = barrier.admits_holders();
    if closing.is_some_and(|closing| holding::holds(&program.devices, &program.ignored, closing)) {
        // SAFETY: as above.
        match unsafe { barrier.enter_shared_as_holder(PLACE, 0) } {
            Err(error) if error.kind() == ErrorKind::WouldBlock => slice = HOLDERS_SLICE,
            done => return done,
        }
    } else if !waited {
        // The gate may have been closed just now, and not admit anybody yet.
        slice = HOLDERS_SLICE;
    }
    // SAFETY: as above.
    unsafe { barrier.enter_shared_interruptibly(slice, handlers, PLACE, 0) }
}
