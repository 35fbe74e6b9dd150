//! One line for the administrator.
//!
//! It goes to the system's log as syslog(3) would send it, but by a socket of our own: the program's log, its name
//! and its descriptor are the program's. Where nobody listens it goes to standard error.

use nix::libc;
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicU32, Ordering};

/// `daemon.warning`: syslog(3).
const PRIORITY: u32 = 3 << 3 | 4;

/// What has been said in this process: each thing once.
static SAID: AtomicU32 = AtomicU32::new(0);

/// What there is to say.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum About {
    Settings = 1,
    Barrier = 2,
    Call = 4,
}

/// Says it, unless something was said about this before.
pub fn say(about: About, text: &str) {
    let before = SAID.fetch_or(about as u32, Ordering::Relaxed);
    if before & about as u32 != 0 {
        return;
    }
    let pid = std::process::id();
    let name = program();
    let line = format!("{name}[{pid}]: stillpoint adopt: {text}");
    let sent = UnixDatagram::unbound().and_then(|socket| {
        socket.set_nonblocking(true)?;
        socket.send_to(format!("<{PRIORITY}>{line}").as_bytes(), "/dev/log")
    });
    if sent.is_err() {
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
