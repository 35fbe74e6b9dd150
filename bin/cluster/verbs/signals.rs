//! The signals that end this process, or that its parent has left it with.
//!
//! One that was ignored when we were started (nohup(1), a background job of a script) stays ignored. One that was
//! blocked is freed: with CHLD blocked nobody hears that a child has ended, with TERM blocked nobody could end an agent.
//! What a verb leaves to the default ends it at once, which is right for all that only wait.

use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicI32, Ordering};
use std::task::Poll;

use nix::sys::signal::{SigSet, Signal};
use nix::unistd::getpid;
use tokio::signal::unix::{SignalKind, signal};

use super::ignored::is_ignored;
use crate::words::exit::Exit;

/// Those that a service or a person says "end" by.
const ENDING: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// The first that came; 0 for none.
static RECEIVED: AtomicI32 = AtomicI32::new(0);

/// Frees those that we live by. To be called while there is one thread.
pub fn settle() {
    let mut ours: SigSet = ENDING.into_iter().collect();
    ours.add(Signal::SIGCHLD);
    ours.add(Signal::SIGTSTP);
    let _ = ours.thread_unblock();
}

/// Why this process is told to end, when it is: by a signal that comes from now on.
pub fn ended() -> impl Future<Output = String> + Send {
    let heard = ENDING
        .into_iter()
        .filter(|kind| !is_ignored(*kind))
        .filter_map(|kind| Some((signal(SignalKind::from_raw(kind as i32)).ok()?, kind)));
    let mut signals: Vec<_> = heard.collect();
    let came = poll_fn(move |context| {
        let came = signals
            .iter_mut()
            .find_map(|(signal, kind)| signal.poll_recv(context).is_ready().then_some(*kind));
        came.map_or(Poll::Pending, Poll::Ready)
    });
    async {
        let signal = came.await;
        let _ = RECEIVED.compare_exchange(0, signal as i32, Ordering::Relaxed, Ordering::Relaxed);
        format!("interrupted by {signal}")
    }
}

/// The status of who was told to end and has, if he was.
pub fn received() -> Option<Exit> {
    match RECEIVED.load(Ordering::Relaxed) {
        0 => None,
        signal => Some(Exit::killed_by(signal)),
    }
}

/// Ends the process by the signal that it received, if this is the status for that: a shell's loop must be able to see
/// it. The first process of a container has no default action to die of.
pub fn die_of_it(exit: Exit) {
    if received() == Some(exit) && getpid().as_raw() != 1 {
        // Does not return unless the signal cannot be raised; then the status has to do.
        let _ = signal_hook::low_level::emulate_default_handler(RECEIVED.load(Ordering::Relaxed));
    }
}
