//! What a parent leaves in its children and most programs never look at: blocked and ignored signals,
//! closed standard descriptors, limits.
//!
//! We cannot work with all of it. With CHLD blocked nobody tells us that the command has ended; with
//! CHLD ignored the kernel keeps its status from us; with TERM blocked nobody could end our wait. So
//! [`settle`] frees the signals we live by, and [`hand_on`] gives the command what we were given: it
//! runs as it would have without us.
//!
//! Two things are as std would have them, which `main` does without: PIPE is ignored, and a standard descriptor that is
//! closed leads to /dev/null, so that no file of ours can come to stand there; with close-on-exec it is closed again in
//! the command.

use std::fs::File;
use std::io;
use std::os::fd::IntoRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction};
use nix::unistd::setsid;

use super::apart;
use super::ignored::is_ignored;
use crate::words::exit::Failure;

/// The signals that we watch or send to ourselves.
const OURS: [Signal; 6] = [
    Signal::SIGCHLD,
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGTSTP,
];

/// Those whose action we change, here, in [`faults`](super::faults) and in [`signals`](super::signals).
pub const HANDLED: [Signal; 9] = {
    let [a, b, c, d, e, f] = OURS;
    [a, b, c, d, e, f, Signal::SIGPIPE, Signal::SIGXFSZ, Signal::SIGBUS]
};

/// A bit for each standard descriptor that was closed.
static CLOSED: AtomicU8 = AtomicU8::new(0);

/// The signals as the command shall find them, where that is not as they are here.
static FOR_THE_COMMAND: OnceLock<Signals> = OnceLock::new();

#[derive(Clone, Copy)]
struct Signals {
    blocked: SigSet,
    ignored: SigSet,
}

/// Frees us of what we cannot work with. To be called before anything else.
pub fn settle() -> Result<(), Failure> {
    (0..=2)
        .try_for_each(fill_if_closed)
        .map_err(|error| Failure::system("cannot open /dev/null", error))?;
    let mut ignored = SigSet::empty();
    if is_ignored(Signal::SIGPIPE) {
        ignored.add(Signal::SIGPIPE);
    } else {
        let _ = set_action(Signal::SIGPIPE, &action(SigHandler::SigIgn));
    }
    if is_ignored(Signal::SIGCHLD) {
        ignored.add(Signal::SIGCHLD);
        let _ = set_default(Signal::SIGCHLD);
    }
    let ours: SigSet = OURS.into_iter().collect();
    let blocked = ours.thread_swap_mask(SigmaskHow::SIG_UNBLOCK).unwrap_or(SigSet::empty());
    if ignored != SigSet::empty() || OURS.iter().any(|signal| blocked.contains(*signal)) {
        let _ = FOR_THE_COMMAND.set(Signals { blocked, ignored });
    }
    Ok(())
}

fn fill_if_closed(descriptor: i32) -> io::Result<()> {
    // SAFETY: only asks; a closed descriptor is an error.
    let asked = unsafe { libc::fcntl(descriptor, libc::F_GETFD) };
    if asked == -1 && Errno::last() == Errno::EBADF {
        CLOSED.fetch_or(1 << descriptor, Ordering::Relaxed);
        // The lowest number that is free is this one.
        let _ = File::options().read(true).write(true).open("/dev/null")?.into_raw_fd();
    }
    Ok(())
}

/// Whether a command finds the signals as our parent left them if those we handle are at their defaults.
pub fn is_plain() -> bool {
    FOR_THE_COMMAND.get().is_none()
}

/// Lets a command of the user's find what we found. Without need nothing runs between fork and exec,
/// so that std may use posix_spawn.
pub fn hand_on(command: &mut Command) {
    let Some(&Signals { blocked, ignored }) = FOR_THE_COMMAND.get() else {
        return;
    };
    let restore = move || {
        for signal in &ignored {
            set_action(signal, &action(SigHandler::SigIgn))?;
        }
        Ok(blocked.thread_set_mask()?)
    };
    // SAFETY: calls nothing but sigaction(2) and sigprocmask(2), which signal-safety(7) lists.
    unsafe { command.pre_exec(restore) };
}

/// Lets a command begin in a session of its own, with the standard descriptors only, and with every signal at its
/// default: whatever our parent, or we, have done to ours.
pub fn begin_anew(command: &mut Command) {
    // Those of a parent that shows no /proc are below that.
    let open = apart::open_descriptors().unwrap_or_else(|_| (3..1024).collect());
    let ignored: Vec<Signal> = Signal::iterator().filter(|signal| is_ignored(*signal)).collect();
    let begin = move || {
        setsid()?;
        for descriptor in &open {
            // SAFETY: takes no memory; one that is closed by now is an error.
            unsafe { libc::fcntl(*descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
        for signal in &ignored {
            set_default(*signal)?;
        }
        Ok(SigSet::empty().thread_set_mask()?)
    };
    // SAFETY: calls nothing but setsid(2), fcntl(2), sigaction(2) and sigprocmask(2), which signal-safety(7)
    // lists.
    unsafe { command.pre_exec(begin) };
}

/// Whether this standard descriptor was closed when we were started: what is written there is lost.
pub fn is_closed(descriptor: i32) -> bool {
    CLOSED.load(Ordering::Relaxed) & (1 << descriptor) != 0
}

/// Lets `signal` end the command, however we found it.
pub fn arm(command: &mut Command, signal: Signal) {
    let free = move || {
        set_default(signal)?;
        Ok(SigSet::from(signal).thread_unblock()?)
    };
    // SAFETY: as above.
    unsafe { command.pre_exec(free) };
}

/// The action that was set before.
pub fn set_default(signal: Signal) -> nix::Result<SigAction> {
    set_action(signal, &action(SigHandler::SigDfl))
}

/// Sets the default action, none, or one that was set before. The action that was set until now.
pub fn set_action(signal: Signal, action: &SigAction) -> nix::Result<SigAction> {
    // SAFETY: handlers of this program, and signal-hook's, stay valid for ever.
    unsafe { sigaction(signal, action) }
}

fn action(handler: SigHandler) -> SigAction {
    SigAction::new(handler, SaFlags::empty(), SigSet::empty())
}
