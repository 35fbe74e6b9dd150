//! Watching over a command until it has ended: its signals, its terminal, its limit.
//!
//! The process group of a command with a limit is not the terminal's foreground group: the keyboard's
//! signals come to us and are handed on, and when the command stops because it wants to read from the
//! terminal, it gets the foreground then and only then, so that a pipeline or a script around us is not
//! disturbed. Ctrl-Z stops the command, then us: by the very signal, because only the kernel knows
//! whether somebody could continue us. Where nobody could, the command goes on.

use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};
use signal_hook::consts::{SIGCHLD, SIGTSTP};

use super::ended::{Ended, is_ended};
use crate::process::signals::{Signals, Stop};
use crate::words::live::REFRESH;

/// From TERM to KILL.
const GRACE: Duration = Duration::from_secs(2);
/// How long to wait for the end after KILL: a process in an uninterruptible system call must not
/// keep the gate closed.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// A command that runs.
pub struct Supervisor<'a> {
    pid: Pid,
    own_group: bool,
    told: Option<&'a dyn Fn(Pid)>,
    /// The terminal, while the command's group is in its foreground.
    terminal: Option<File>,
    signals: &'a mut Signals,
}

impl<'a> Supervisor<'a> {
    pub fn new(
        pid: Pid,
        own_group: bool,
        told: Option<&'a dyn Fn(Pid)>,
        signals: &'a mut Signals,
    ) -> Supervisor<'a> {
        Supervisor { pid, own_group, told, terminal: None, signals }
    }

    /// Returns when it has ended, or was ended at the deadline.
    pub fn supervise(mut self, deadline: Option<Instant>) -> io::Result<Ended> {
        let ended = self.until_the_end(deadline);
        self.take_terminal_back(&ended);
        ended
    }

    fn until_the_end(&mut self, deadline: Option<Instant>) -> io::Result<Ended> {
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                self.end()?;
                return Ok(Ended::AtLimit);
            }
            // Whom nobody listens to is not disturbed.
            let wait = match self.told {
                Some(_) => Some(left.unwrap_or(REFRESH).min(REFRESH)),
                None => left,
            };
            for received in self.signals.wait(wait)? {
                match received.signal {
                    SIGCHLD => {}
                    SIGTSTP => self.stop_with_us()?,
                    _ if received.whole_group && !self.own_group => {}
                    signal => self.send(Signal::try_from(signal)?),
                }
            }
            if let Some(ended) = self.reap()? {
                return Ok(ended);
            }
            if let Some(told) = self.told {
                told(self.pid);
            }
        }
    }

    /// To the command, or to all of its group. That it is gone already is no error.
    fn send(&self, signal: Signal) {
        let _ = match self.own_group {
            true => killpg(self.pid, signal),
            false => kill(self.pid, signal),
        };
    }

    fn reap(&mut self) -> io::Result<Option<Ended>> {
        let mut flags = WaitPidFlag::WNOHANG;
        if self.own_group {
            flags |= WaitPidFlag::WUNTRACED;
        }
        loop {
            return match waitpid(self.pid, Some(flags)) {
                Err(Errno::EINTR) => continue,
                Err(error) => Err(error.into()),
                Ok(WaitStatus::Exited(_, status)) => Ok(Some(Ended::Exited(status as u8))),
                Ok(WaitStatus::Signaled(_, signal, _)) => Ok(Some(Ended::Killed(signal as i32))),
                Ok(WaitStatus::Stopped(_, signal)) => {
                    self.stopped(signal)?;
                    continue;
                }
                Ok(_) => Ok(None),
            };
        }
    }

    /// TERM, then KILL after the grace; returns when nothing of it is left.
    fn end(&mut self) -> io::Result<()> {
        self.send(Signal::SIGTERM);
        self.send(Signal::SIGCONT);
        if self.is_gone_within(GRACE)? {
            return Ok(());
        }
        self.send(Signal::SIGKILL);
        self.is_gone_within(LAST_WAIT)?;
        Ok(())
    }

    fn is_gone_within(&mut self, limit: Duration) -> io::Result<bool> {
        let since = Instant::now();
        let mut reaped = false;
        loop {
            reaped = reaped || self.reap()?.is_some();
            // Others of the group are not our children: no signal tells of their end.
            if reaped && (!self.own_group || is_ended(self.pid)) {
                return Ok(true);
            }
            if since.elapsed() >= limit {
                return Ok(false);
            }
            self.signals.wait(Some(Duration::from_millis(10)))?;
        }
    }

    /// Ctrl-Z came to us, in the foreground: stop the command, then ourselves.
    fn stop_with_us(&mut self) -> io::Result<()> {
        self.send(Signal::SIGTSTP);
        self.signals.stop(Stop::Us)?;
        self.send(Signal::SIGCONT);
        Ok(())
    }

    /// The command stopped, by `signal`. Job control of its own (SIGSTOP) is none of our business.
    fn stopped(&mut self, signal: Signal) -> io::Result<()> {
        match signal {
            Signal::SIGTTIN | Signal::SIGTTOU if self.lend_terminal() => {}
            Signal::SIGTTIN | Signal::SIGTTOU => {
                // We are in the background ourselves: stop, until the shell brings us forward. An
                // orphaned group does not stop; it must not make this a busy loop.
                signal_hook::low_level::raise(signal as i32)?;
                std::thread::sleep(Duration::from_millis(50));
            }
            Signal::SIGTSTP if self.terminal.is_some() => {
                // Ctrl-Z reached the command alone; the shell waits for our group to stop.
                self.foreground(getpgrp());
                self.signals.stop(Stop::OurGroup)?;
                self.terminal = None;
            }
            _ => return Ok(()),
        }
        self.send(Signal::SIGCONT);
        Ok(())
    }

    /// Gives the command the terminal's foreground, if it is ours to give.
    fn lend_terminal(&mut self) -> bool {
        let Ok(terminal) = File::options().read(true).write(true).open("/dev/tty") else {
            return false;
        };
        if tcgetpgrp(&terminal) != Ok(getpgrp()) {
            return false;
        }
        self.terminal = Some(terminal);
        self.foreground(self.pid)
    }

    fn foreground(&self, group: Pid) -> bool {
        let Some(terminal) = &self.terminal else {
            return false;
        };
        // From the background, tcsetpgrp would stop us.
        let mut ttou = SigSet::empty();
        ttou.add(Signal::SIGTTOU);
        let blocked = ttou.thread_block();
        let done = tcsetpgrp(terminal, group);
        if blocked.is_ok() {
            let _ = ttou.thread_unblock();
        }
        done.is_ok()
    }

    fn take_terminal_back(&mut self, ended: &io::Result<Ended>) {
        if self.terminal.is_none() {
            return;
        }
        self.foreground(getpgrp());
        self.terminal = None;
        if matches!(ended, Ok(Ended::Killed(signal)) if *signal == Signal::SIGINT as i32) {
            // Ctrl-C reached the command alone; a script or pipeline around us expects it too.
            let _ = killpg(getpgrp(), Signal::SIGINT);
        }
    }
}
