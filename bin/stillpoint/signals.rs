//! The signals that end or stop the command.
//!
//! INT, TERM, HUP and QUIT set a flag that every wait looks at and fill a pipe that
//! [`child::run`](crate::child::run) polls, together with CHLD. Handlers, not a blocked mask: exec
//! resets handlers to the default, so that the command starts as if we had not been there, and std
//! may use posix_spawn.
//!
//! A signal that was ignored when we were started (nohup(1), a background job of a script) stays
//! ignored, for us and for the command.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::WithRawSiginfo;

/// The last of the ending signals, for [`received`]; 0 for none.
static RECEIVED: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// The signals under watch, until the process ends.
pub struct Signals {
    delivery: SignalDelivery<UnixStream, WithRawSiginfo>,
    cancel: Arc<AtomicBool>,
    /// While true, TSTP stops us as if we had no handler.
    stop_at_once: Option<Arc<AtomicBool>>,
}

/// One signal that came.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    pub signal: i32,
    /// From the kernel (keyboard, hang-up), which gave it to the whole process group.
    pub whole_group: bool,
}

impl Signals {
    /// Installs the handlers. To be called once, before anything is waited for.
    pub fn watch() -> io::Result<Signals> {
        let cancel = Arc::new(AtomicBool::new(false));
        let received = RECEIVED.get_or_init(Arc::default);
        let mut watched = vec![SIGCHLD];
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
            if is_ignored(signal) {
                continue;
            }
            signal_hook::flag::register_usize(signal, Arc::clone(received), signal as usize)?;
            signal_hook::flag::register(signal, Arc::clone(&cancel))?;
            watched.push(signal);
        }
        let (read, write) = UnixStream::pair()?;
        Ok(Signals {
            delivery: SignalDelivery::with_pipe(read, write, WithRawSiginfo, watched)?,
            cancel,
            stop_at_once: None,
        })
    }

    /// Becomes true with the first INT, TERM, HUP or QUIT: for `ExclusiveOptions::cancel`.
    pub fn cancel(&self) -> &Arc<AtomicBool> {
        &self.cancel
    }

    /// An error once a signal has come: for use between two steps of something longer.
    pub fn check(&self) -> Result<(), stillpoint::Error> {
        match self.cancel.load(Ordering::Relaxed) {
            true => Err(stillpoint::Error::Cancelled),
            false => Ok(()),
        }
    }

    /// Waits for the next signals, at most `limit`; what has come meanwhile, which may be nothing.
    pub fn wait(&mut self, limit: Option<Duration>) -> io::Result<Vec<Received>> {
        self.wait_beside(&[], limit)
    }

    /// The same, but returns too when one of these descriptors can be read.
    pub fn wait_beside(
        &mut self,
        others: &[BorrowedFd<'_>],
        limit: Option<Duration>,
    ) -> io::Result<Vec<Received>> {
        // Rounded up, lest the last millisecond be a busy loop.
        let timeout = match limit {
            None => PollTimeout::NONE,
            Some(limit) => {
                PollTimeout::try_from(limit.as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX)
            }
        };
        let all = std::iter::once(self.delivery.get_read().as_fd()).chain(others.iter().copied());
        let mut ready: Vec<PollFd> = all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match poll(&mut ready, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.delivery.pending().map(Received::from).collect())
    }

    /// Decides who acts on TSTP (Ctrl-Z): the kernel, or we, who have a command in a process
    /// group of its own to stop first.
    pub fn handle_stops(&mut self, ours: bool) -> io::Result<()> {
        match &self.stop_at_once {
            Some(at_once) => at_once.store(!ours, Ordering::Relaxed),
            None if ours && !is_ignored(SIGTSTP) => {
                let at_once = Arc::new(AtomicBool::new(false));
                signal_hook::flag::register_conditional_default(SIGTSTP, Arc::clone(&at_once))?;
                self.delivery.handle().add_signal(SIGTSTP)?;
                self.stop_at_once = Some(at_once);
            }
            None => {}
        }
        Ok(())
    }
}

impl From<libc::siginfo_t> for Received {
    fn from(information: libc::siginfo_t) -> Received {
        Received {
            signal: information.si_signo,
            // kill(2), sigqueue(3) and tgkill(2) have codes of 0 and less.
            whole_group: information.si_code > 0,
        }
    }
}

/// The last of INT, TERM, HUP and QUIT that came, if any did.
pub fn received() -> Option<i32> {
    match RECEIVED.get()?.load(Ordering::Relaxed) {
        0 => None,
        signal => Some(signal as i32),
    }
}

/// Ends the process by the signal it received, where `status` says that it ended for that reason:
/// a shell loop or systemd must be able to see that, which 128 + n alone does not tell them.
pub fn die_of_it(status: u8) {
    if let Some(signal @ (SIGINT | SIGTERM | SIGHUP)) = received()
        && i32::from(status) == 128 + signal
    {
        // Does not return unless the signal cannot be raised; then the status has to do.
        let _ = signal_hook::low_level::emulate_default_handler(signal);
    }
}

fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: a null new action only asks, and `action` is as large as the kernel's answer.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: filled in by the call, which succeeded.
    asked == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}
