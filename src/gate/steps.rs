//! Trouble at every step, for builds with `--cfg stillpoint_steps` and the core's own tests only.
//!
//! The places between two steps of the protocol are named in the code by `sync::step`. In the product
//! they are nothing. Built with the flag, `$STILLPOINT_STEPS` says what happens there:
//!
//! ```text
//! log:FILE          the name of each step that is reached is appended to the file, a line each
//! abort:N           the process aborts at the N-th step that it reaches
//! jitter:SEED       now and then a step yields, or sleeps up to a millisecond
//! ```
//!
//! A test of the core's own may strike at the steps of its thread by itself.
//!
//! Steps are reached with locks held, between the stores of one operation and in signal handlers, so
//! nothing here takes a lock once the variable has been read.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

enum Trouble {
    None,
    Log(File),
    Abort(u64),
    Jitter(u64),
}

#[cfg(test)]
thread_local! {
    /// What happens at each step of this thread.
    pub static STRIKE: std::cell::Cell<Option<fn(&'static str)>> = const { std::cell::Cell::new(None) };
}

static TROUBLE: OnceLock<Trouble> = OnceLock::new();
static REACHED: AtomicU64 = AtomicU64::new(0);

/// Marks a place between two steps of the protocol.
pub fn step(name: &'static str) {
    #[cfg(test)]
    if let Some(strike) = STRIKE.get() {
        return strike(name);
    }
    let count = REACHED.fetch_add(1, Ordering::Relaxed) + 1;
    match TROUBLE.get_or_init(asked) {
        Trouble::None => {}
        Trouble::Log(file) => {
            let mut file = file;
            let _ = file.write_all(format!("{name}\n").as_bytes());
        }
        Trouble::Abort(at) if *at == count => std::process::abort(),
        Trouble::Abort(_) => {}
        Trouble::Jitter(seed) => jitter(seed.wrapping_add(count)),
    }
}

fn asked() -> Trouble {
    let text = crate::system::environment::variable("STILLPOINT_STEPS");
    let Some(text) = text.and_then(|text| text.into_string().ok()) else {
        return Trouble::None;
    };
    let number = |digits: &str| digits.parse().expect("STILLPOINT_STEPS has a number");
    match text.split_once(':') {
        Some(("log", path)) => {
            let file = OpenOptions::new().create(true).append(true).open(path);
            Trouble::Log(file.expect("STILLPOINT_STEPS names a file that can be written"))
        }
        Some(("abort", count)) => Trouble::Abort(number(count)),
        Some(("jitter", seed)) => Trouble::Jitter(number(seed)),
        _ => panic!("STILLPOINT_STEPS is log:FILE, abort:N or jitter:SEED, not {text:?}"),
    }
}

/// Seven of eight steps pass; of the others most yield and some sleep. The mixing is SplitMix64's.
fn jitter(count: u64) {
    let mut word = count.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^= word >> 31;
    match word & 63 {
        0..=6 => std::thread::yield_now(),
        7 => sleep(Duration::from_micros((word >> 6) % 1000)),
        _ => {}
    }
}

/// In a futex of this process alone, by which a test tells it from the protocol's own sleep.
fn sleep(time: Duration) {
    let (nobody, never) = (Mutex::new(()), Condvar::new());
    drop(never.wait_timeout(nobody.lock().unwrap_or_else(PoisonError::into_inner), time));
}
