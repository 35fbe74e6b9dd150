//! What a parent has ignored, as nohup(1) does and a script for its background jobs, stays ignored: asked here, also by
//! `stillpoint-cluster`.

use nix::libc;
use nix::sys::signal::Signal;

/// Whether the parent had it ignored, and nobody has changed that.
pub fn is_ignored(signal: Signal) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: a null new action only asks, and `action` is as large as the kernel's answer.
    let asked = unsafe { libc::sigaction(signal as i32, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: filled in by the call, which succeeded.
    asked == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}
