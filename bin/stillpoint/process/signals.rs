//! The signals that end or stop the command.
//!
//! INT, TERM, HUP and QUIT set a flag that every wait looks at. Together with CHLD they are noted, and wake
//! [`child::run`](super::child::run), which polls, by an eventfd(2). Handlers, not a blocked mask: exec
//! resets handlers to the default, so that the command starts as if we had not been there.
//!
//! What comes twice before anybody looks has come once, as the kernel has it. Nobody waits for what has come: it is
//! noted before it wakes, and looked at after what has woken is read.
//!
//! A signal that was ignored when we were started (nohup(1), a background job of a script) stays
//! ignored, for us and for the command.
//!
//! # Safety
//!
//! The handler touches nothing but atomics, and writes to a descriptor that this process never closes. A forked child
//! has closed it, and its number may be a file: the handler knows whose it is.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, killpg, raise};
use nix::unistd::{getpgrp, getpid};

use super::ignored::is_ignored;
use super::inherited::{set_action, set_default};
use super::leash;
use crate::words::exit::Failure;

/// Those that are listened for. The first one only says that a child has ended, and the last one is listened for only
/// [when asked](Signals::handle_stops); the others end us.
const WATCHED: [Signal; 6] = [
    Signal::SIGCHLD,
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGTSTP,
];
const ENDING: std::ops::Range<usize> = 1..5;

/// Whence a signal came, by bit: from a process to us alone, or from the kernel (keyboard, hang-up) to our whole group.
const ALONE: u8 = 1;
const WHOLE_GROUP: u8 = 2;

/// How often the handler tries to wake: who is not woken may wait without end.
const TRIES: u32 = 8;

/// What the handler writes.
struct Heard {
    /// For each of [`WATCHED`], whence it has come and nobody has looked yet.
    came: [AtomicU8; WATCHED.len()],
    /// The last of the ending signals, for [`received`]; 0 for none.
    ending: AtomicI32,
    cancel: AtomicBool,
    /// Whether the end of a child sets that, too.
    children_cancel: AtomicBool,
    /// What wakes, and the process in which it is that.
    wake: AtomicI32,
    process: AtomicI32,
}

static HEARD: Heard = Heard {
    came: [const { AtomicU8::new(0) }; WATCHED.len()],
    ending: AtomicI32::new(0),
    cancel: AtomicBool::new(false),
    children_cancel: AtomicBool::new(false),
    wake: AtomicI32::new(-1),
    process: AtomicI32::new(0),
};

extern "C" fn hear(
    signal: libc::c_int,
    information: *mut libc::siginfo_t,
    _context: *mut libc::c_void,
) {
    let Some(index) = WATCHED.iter().position(|watched| *watched as libc::c_int == signal) else {
        return;
    };
    // SAFETY: the kernel says where it comes from. kill(2), sigqueue(3) and tgkill(2) have codes of 0 and less.
    let whence = if unsafe { (*information).si_code } > 0 { WHOLE_GROUP } else { ALONE };
    if ENDING.contains(&index) {
        HEARD.ending.store(signal, Ordering::Relaxed);
        HEARD.cancel.store(true, Ordering::Relaxed);
    }
    if index == 0 && HEARD.children_cancel.load(Ordering::Relaxed) {
        HEARD.cancel.store(true, Ordering::Relaxed);
    }
    HEARD.came[index].fetch_or(whence, Ordering::Release);
    if HEARD.process.load(Ordering::Relaxed) == getpid().as_raw() {
        let errno = Errno::last_raw();
        // SAFETY: open in this process for ever.
        let wake = unsafe { BorrowedFd::borrow_raw(HEARD.wake.load(Ordering::Relaxed)) };
        let _ = (0..TRIES).any(|_| add(wake, 1).is_ok());
        Errno::set_raw(errno);
    }
}

/// Wakes by more than 0. Success, too, if no more can be added: then it has not been read yet.
fn add(descriptor: BorrowedFd<'_>, value: u64) -> nix::Result<()> {
    match nix::unistd::write(descriptor, &value.to_ne_bytes()) {
        Ok(_) | Err(Errno::EAGAIN) => Ok(()),
        Err(error) => Err(error),
    }
}

fn listen(signal: Signal) -> nix::Result<()> {
    let flags = SaFlags::SA_SIGINFO | SaFlags::SA_RESTART;
    let action = SigAction::new(SigHandler::SigAction(hear), flags, SigSet::empty());
    set_action(signal, &action).map(drop)
}

/// The signals under watch, until the process ends.
pub struct Signals {
    /// Never closed: the handlers write to it.
    wake: ManuallyDrop<EventFd>,
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
    /// Installs the handlers. To be called once, before anything is waited for; by a forked child once more.
    pub fn watch() -> Result<Signals, Failure> {
        Signals::install().map_err(|error| Failure::system("cannot watch for signals", error))
    }

    fn install() -> io::Result<Signals> {
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        // As the handlers will do: a signal that nobody hears of is waited for without end.
        add(wake.as_fd(), 0)?;
        HEARD.came.iter().for_each(|came| came.store(0, Ordering::Relaxed));
        HEARD.cancel.store(false, Ordering::Relaxed);
        HEARD.children_cancel.store(false, Ordering::Relaxed);
        HEARD.wake.store(wake.as_raw_fd(), Ordering::Relaxed);
        HEARD.process.store(getpid().as_raw(), Ordering::Relaxed);
        listen(WATCHED[0])?;
        for signal in &WATCHED[ENDING] {
            if !is_ignored(*signal) {
                listen(*signal)?;
            }
        }
        Ok(Signals { wake: ManuallyDrop::new(wake), is_cut_told: false })
    }

    /// Becomes true with the first INT, TERM, HUP or QUIT: for `ExclusiveOptions::cancel`.
    pub fn cancel(&self) -> &'static AtomicBool {
        &HEARD.cancel
    }

    /// Becomes true as well when a child ends, from now on.
    pub fn cancel_with_children(&self) {
        HEARD.children_cancel.store(true, Ordering::Relaxed);
    }

    /// An error once a signal has come: for use between two steps of something longer.
    pub fn check(&self) -> Result<(), stillpoint::Error> {
        if leash::signal().is_some() {
            HEARD.cancel.store(true, Ordering::Relaxed);
        }
        match HEARD.cancel.load(Ordering::Relaxed) {
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
        let own = std::iter::once(self.wake.as_fd());
        let all = own.chain(leash::descriptor()).chain(others.iter().copied());
        let mut ready: Vec<PollFd> = all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match poll(&mut ready, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        // Nothing to be read is no error.
        let _ = self.wake.read();
        let mut received: Vec<Received> = came().collect();
        if let (Some(signal), false) = (leash::signal(), self.is_cut_told) {
            self.is_cut_told = true;
            received.push(Received { signal, whole_group: false });
        }
        Ok(received)
    }

    /// Decides who acts on TSTP (Ctrl-Z): the kernel, or we, who have a command in a process
    /// group of its own to stop first.
    pub fn handle_stops(&mut self, ours: bool) -> io::Result<()> {
        match ours {
            _ if is_ignored(Signal::SIGTSTP) => {}
            true => listen(Signal::SIGTSTP)?,
            false => drop(set_default(Signal::SIGTSTP)?),
        }
        Ok(())
    }

    /// Stops us, or all of our group, as Ctrl-Z would have done without us. The kernel does not stop
    /// a group that nobody could continue: that of a session's leader, say.
    pub fn stop(&mut self, whose: Stop) -> io::Result<()> {
        self.handle_stops(false)?;
        match whose {
            Stop::Us => raise(Signal::SIGTSTP)?,
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

/// What has come and nobody has looked at yet.
fn came() -> impl Iterator<Item = Received> {
    WATCHED.iter().zip(&HEARD.came).flat_map(|(signal, came)| {
        let whence = came.swap(0, Ordering::Acquire);
        let each = [ALONE, WHOLE_GROUP].into_iter().filter(move |bit| whence & bit != 0);
        each.map(|bit| Received { signal: *signal as i32, whole_group: bit == WHOLE_GROUP })
    })
}

/// The last of INT, TERM, HUP and QUIT that came, if any did; a leash that was cut is as TERM.
pub fn received() -> Option<i32> {
    match HEARD.ending.load(Ordering::Relaxed) {
        0 => leash::signal(),
        signal => Some(signal),
    }
}
