//! One line for the administrator.
//!
//! It goes to the system's log as syslog(3) would send it, but by a socket of our own: the program's log, its name
//! and its descriptor are the program's. Where nobody listens it goes to standard error, if that still is what it was
//! when the program started: one that has closed it may have a mailbox in its place.
//!
//! What is wrong is found out when a program starts, and nobody's matter unless it asks for a write lock: till then it
//! is kept.

use nix::libc;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::unix::net::UnixDatagram;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

/// `daemon.warning`: syslog(3).
const PRIORITY: u32 = 3 << 3 | 4;

/// What has been said in this process: each thing once.
static SAID: AtomicU32 = AtomicU32::new(0);

/// What standard error led to when the program started.
static STANDARD_ERROR: OnceLock<Option<(u64, u64)>> = OnceLock::new();

/// Somebody has asked for a write lock.
static MATTERS: AtomicBool = AtomicBool::new(false);
/// What is kept, one for each thing.
static KEPT: [AtomicPtr<String>; 3] = [const { AtomicPtr::new(ptr::null_mut()) }; 3];

/// What there is to say.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum About {
    Settings,
    Barrier,
    Call,
}

const ALL: [About; 3] = [About::Settings, About::Barrier, About::Call];

/// Says it, once it matters, unless something was said about this before.
pub fn say(about: About, text: &str) {
    let place = 1 << about as u32;
    if SAID.fetch_or(place, Ordering::Relaxed) & place != 0 {
        return;
    }
    KEPT[about as usize].store(Box::into_raw(Box::new(text.into())), Ordering::SeqCst);
    if MATTERS.load(Ordering::SeqCst) {
        say_kept(about);
    }
}

fn say_kept(about: About) {
    let kept = KEPT[about as usize].swap(ptr::null_mut(), Ordering::SeqCst);
    if !kept.is_null() {
        // SAFETY: from a box, and nobody else has it any more.
        tell(&unsafe { Box::from_raw(kept) });
    }
}

/// The program starts.
pub fn begin() {
    STANDARD_ERROR.get_or_init(standard_error);
}

fn standard_error() -> Option<(u64, u64)> {
    let mut status = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: a place for the answer, which is whole if the call succeeds.
    unsafe {
        (libc::fstat(2, status.as_mut_ptr()) == 0).then(|| {
            let status = status.assume_init();
            (status.st_dev, status.st_ino)
        })
    }
}

pub fn is_anything_kept() -> bool {
    ALL.iter().any(|about| !KEPT[*about as usize].load(Ordering::Relaxed).is_null())
}

/// It matters from now on.
pub fn speak() {
    if !MATTERS.load(Ordering::Relaxed) {
        MATTERS.store(true, Ordering::SeqCst);
        ALL.into_iter().for_each(say_kept);
    }
}

fn tell(text: &str) {
    let pid = std::process::id();
    let name = program();
    let line = format!("{name}[{pid}]: stillpoint adopt: {text}");
    let sent = UnixDatagram::unbound().and_then(|socket| {
        socket.set_nonblocking(true)?;
        socket.send_to(format!("<{PRIORITY}>{line}").as_bytes(), "/dev/log")
    });
    let is_what_it_was = STANDARD_ERROR.get().is_some_and(|then| *then == standard_error());
    if sent.is_err() && is_what_it_was {
        let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
    }
}

fn program() -> String {
    let mut name = [0u8; 17];
    // SAFETY: prctl(2): 16 bytes, and a zero byte behind them.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(0);
    String::from_utf8_lossy(&name[..end]).into_owned()
}
