//! Messages on standard error, if that still is what it was when the library was loaded.
//!
//! A program may have closed its standard error, and then number 2 is the next file that it opened: a
//! mailbox, a client's connection. A line there would be worse than none. Nor may a message stop the
//! program: none is written that would have to wait, or whose reader is gone.

use nix::libc;
use std::ffi::c_int;
use std::sync::atomic::{AtomicU64, Ordering};

const STANDARD_ERROR: c_int = 2;

/// Device and inode of standard error; 0 and 0: there was none.
static FOUND: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

fn identity() -> Option<[u64; 2]> {
    // SAFETY: a struct of numbers; zeros are valid.
    let mut found: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: a number that the kernel checks, and a live struct that it fills.
    let result = unsafe { libc::fstat(STANDARD_ERROR, &raw mut found) };
    #[allow(clippy::unnecessary_cast, reason = "their widths differ between platforms")]
    (result == 0).then_some([found.st_dev as u64, found.st_ino as u64])
}

/// What the dynamic linker calls when it has loaded the library.
#[used]
#[unsafe(link_section = ".init_array")]
static WHEN_LOADED: extern "C" fn() = remember;

extern "C" fn remember() {
    barrier::prepare();
    for (place, found) in FOUND.iter().zip(identity().unwrap_or_default()) {
        place.store(found, Ordering::Relaxed);
    }
    std::panic::set_hook(Box::new(|panic| say(&format!("stillpoint: {panic}\n"))));
}

/// Writes the text, or nothing.
pub fn say(text: &str) {
    let found = FOUND.each_ref().map(|place| place.load(Ordering::Relaxed));
    if found == [0, 0] || identity() != Some(found) {
        return;
    }
    let mut ready = libc::pollfd { fd: STANDARD_ERROR, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one live struct.
    let count = unsafe { libc::poll(&raw mut ready, 1, 0) };
    if count != 1 || ready.revents & libc::POLLOUT == 0 || ready.revents & libc::POLLERR != 0 {
        return;
    }
    without_broken_pipe(|| {
        // SAFETY: live bytes, as many as said.
        unsafe { libc::write(STANDARD_ERROR, text.as_ptr().cast(), text.len()) };
    });
}

/// Runs it so that a pipe whose reader has gone sends no signal.
fn without_broken_pipe(write: impl FnOnce()) {
    // SAFETY: sets of signals are numbers, which are filled before they are read; the calls are given live
    // ones, and change this thread's own mask and nothing else.
    unsafe {
        let mut pipe: libc::sigset_t = std::mem::zeroed();
        let (mut before, mut pending): (libc::sigset_t, libc::sigset_t) = (pipe, pipe);
        libc::sigemptyset(&raw mut pipe);
        libc::sigaddset(&raw mut pipe, libc::SIGPIPE);
        libc::sigpending(&raw mut pending);
        let had_one = libc::sigismember(&raw const pending, libc::SIGPIPE) == 1;
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const pipe, &raw mut before);
        write();
        if !had_one {
            let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            libc::sigtimedwait(&raw const pipe, std::ptr::null_mut(), &raw const now);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
    }
}
