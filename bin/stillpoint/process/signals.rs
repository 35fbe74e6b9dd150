//! The signals that end or stop the command.
//!
//! INT, TERM, HUP and QUIT set a flag that every wait looks at and fill a pipe that
//! [`child::run`](super::child::run) polls, together with CHLD. Handlers, not a blocked mask: exec
//! resets handlers to the default, so that the command starts as if we had not been there, and std
//! may use posix_spawn.
//!
//! A signal that was ignored when we were started (nohup(1), a background job of a script) stays
//! ignored, for us and for the command.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigAction, Signal, killpg};
use nix::sys::socket::{MsgFlags, send};
use nix::unistd::getpgrp;
use signal_hook::consts::{SIGCHLD, SIGTSTP};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::WithRawSiginfo;

use super::ignored::is_ignored;
use super::inherited::{set_action, set_default};
use super::leash;
use crate::words::exit::Failure;

/// The last of the ending signals, for [`received`]; 0 for none.
static RECEIVED: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// The signals under watch, until the process ends.
pub struct Signals {
    /// Never taken away again: the process ends, and saves itself a twentieth of what `run -s true` costs; or it was
    /// forked, and has given the descriptors up.
    delivery: ManuallyDrop<SignalDelivery<UnixStream, WithRawSiginfo>>,
    cancel: Arc<AtomicBool>,
    /// Our handler of TSTP, while the kernel acts on it instead.
    stop_handler: Option<SigAction>,
    /// Whoever waits was told that the leash was cut.
    is_cut_told: bool,
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
    pub fn watch() -> Result<Signals, Failure> {
        Signals::install().map_err(|error| Failure::system("cannot watch for signals", error))
    }

    fn install() -> io::Result<Signals> {
        let cancel = Arc::new(AtomicBool::new(false));
        let received = RECEIVED.get_or_init(Arc::default);
        let mut watched = vec![SIGCHLD];
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
            if is_ignored(signal) {
                continue;
            }
            let signal = signal as i32;
            signal_hook::flag::register_usize(signal, Arc::clone(received), signal as usize)?;
            signal_hook::flag::register(signal, Arc::clone(&cancel))?;
            watched.push(signal);
        }
        let (read, write) = UnixStream::pair()?;
        // As the handlers will do: a signal that nobody hears of is waited for without end.
        send(write.as_raw_fd(), &[], MsgFlags::MSG_DONTWAIT)?;
        Ok(Signals {
            delivery: ManuallyDrop::new(SignalDelivery::with_pipe(
                read,
                write,
                WithRawSiginfo,
                watched,
            )?),
            cancel,
            stop_handler: None,
            is_cut_told: false,
        })
    }

    /// Becomes true with the first INT, TERM, HUP or QUIT: for `ExclusiveOptions::cancel`.
    pub fn cancel(&self) -> &Arc<AtomicBool> {
        &self.cancel
    }

    /// Becomes true as well when a child ends, from now on.
    pub fn cancel_with_children(&self) -> Result<(), Failure> {
        signal_hook::flag::register(SIGCHLD, Arc::clone(&self.cancel))
            .map(drop)
            .map_err(|error| Failure::system("cannot watch for signals", error))
    }

    /// An error once a signal has come: for use between two steps of something longer.
    pub fn check(&self) -> Result<(), stillpoint::Error> {
        if leash::signal().is_some() {
            self.cancel.store(true, Ordering::Relaxed);
        }
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
        let own = std::iter::once(self.delivery.get_read().as_fd());
        let all = own.chain(leash::descriptor()).chain(others.iter().copied());
        let mut ready: Vec<PollFd> = all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match poll(&mut ready, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut received: Vec<Received> = self.delivery.pending().map(Received::from).collect();
        if let (Some(signal), false) = (leash::signal(), self.is_cut_told) {
            self.is_cut_told = true;
            received.push(Received { signal, whole_group: false });
        }
        Ok(received)
    }

    /// Decides who acts on TSTP (Ctrl-Z): the kernel, or we, who have a command in a process
    /// group of its own to stop first.
    pub fn handle_stops(&mut self, ours: bool) -> io::Result<()> {
        if is_ignored(Signal::SIGTSTP) {
            return Ok(());
        }
        match (ours, self.stop_handler.take()) {
            (true, None) => self.delivery.handle().add_signal(SIGTSTP)?,
            (true, Some(handler)) => drop(set_action(Signal::SIGTSTP, &handler)?),
            (false, _) => self.stop_handler = Some(set_default(Signal::SIGTSTP)?),
        }
        Ok(())
    }

    /// Stops us, or all of our group, as Ctrl-Z would have done without us. The kernel does not stop
    /// a group that nobody could continue: that of a session's leader, say.
    pub fn stop(&mut self, whose: Stop) -> io::Result<()> {
        self.handle_stops(false)?;
        match whose {
            Stop::Us => signal_hook::low_level::raise(SIGTSTP)?,
            Stop::OurGroup => killpg(getpgrp(), Signal::SIGTSTP)?,
        }
        self.handle_stops(true)
    }
}

/// Whom [`Signals::stop`] stops.
#[derive(Clone, Copy, Debug)]
pub enum Stop {
    Us,
    OurGroup,
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

/// The last of INT, TERM, HUP and QUIT that came, if any did; a leash that was cut is as TERM.
pub fn received() -> Option<i32> {
    match RECEIVED.get()?.load(Ordering::Relaxed) {
        0 => leash::signal(),
        signal => Some(signal as i32),
    }
}
