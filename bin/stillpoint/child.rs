//! Running a command to its end.
//!
//! Two ways, and the difference is the limit:
//!
//! * [`Bounds::None`]: the command stays in our process group, as under flock(1). The keyboard
//!   reaches it without us, and what kills the group kills both. A signal sent to us alone is
//!   handed on; one that the kernel sent to the whole group is not, lest it arrive twice.
//! * [`Bounds::Until`]: at the limit everything that the command has started must go, so it gets a
//!   process group of its own. That group is not the terminal's foreground group: the keyboard's
//!   signals come to us and are handed on, and when the command stops because it wants to read
//!   from the terminal, it gets the foreground then and only then, so that a pipeline or a script
//!   around us is not disturbed. Ctrl-Z stops the command, then us.
//!
//! Descriptors that the command shall inherit lose their close-on-exec flag around the start only.
//! Nothing runs between fork and exec, so std may use posix_spawn.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};
use signal_hook::consts::{SIGCHLD, SIGTSTP};

use crate::exit::{Exit, Failure, reason};
use crate::signals::Signals;

/// From TERM to KILL.
const GRACE: Duration = Duration::from_secs(2);
/// How long to wait for the end after KILL: a process in an uninterruptible system call must not
/// keep the gate closed.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// How long the command may run.
#[derive(Clone, Copy, Debug)]
pub enum Bounds {
    /// As long as it likes.
    None,
    /// Until then; TERM and then KILL go to all of its process group.
    Until(Instant),
    /// Until then; only the command itself is ended, in our process group. For a command under
    /// another one's limit, whose KILL must reach this command too.
    UntilWithin(Instant),
}

impl Bounds {
    fn deadline(self) -> Option<Instant> {
        match self {
            Bounds::None => None,
            Bounds::Until(deadline) | Bounds::UntilWithin(deadline) => Some(deadline),
        }
    }

    fn own_group(self) -> bool {
        matches!(self, Bounds::Until(_))
    }
}

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Exited(u8),
    Killed(i32),
    /// It was still running at the limit and has been ended.
    AtLimit,
}

impl Ended {
    /// The status to pass on.
    pub fn exit(self) -> Exit {
        match self {
            Ended::Exited(status) => Exit::new(status),
            Ended::Killed(signal) => Exit::killed_by(signal),
            Ended::AtLimit => Exit::LIMIT,
        }
    }
}

/// How a command is started.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    pub bounds: Bounds,
    /// Close-on-exec descriptors that the command shall have nevertheless.
    pub inherited: &'a [BorrowedFd<'a>],
    /// Whether what it prints goes to standard error.
    pub prints_errors_only: bool,
}

impl Terms<'_> {
    fn apply(&self, command: &mut Command) {
        if self.bounds.own_group() {
            command.process_group(0);
        }
        if self.prints_errors_only
            && let Ok(errors) = io::stderr().as_fd().try_clone_to_owned()
        {
            command.stdout(Stdio::from(errors));
        }
    }
}

/// Starts `command`, hands signals on, enforces the bounds and returns when it has ended.
pub fn run(
    command: &mut Command,
    terms: Terms<'_>,
    signals: &mut Signals,
) -> Result<Ended, Failure> {
    let bounds = terms.bounds;
    if bounds.own_group() {
        signals
            .handle_stops(true)
            .map_err(|error| Failure::system("cannot handle SIGTSTP", error))?;
    }
    let pid = start(command, terms)?;
    let mut supervisor = Supervisor { pid, own_group: bounds.own_group(), terminal: None, signals };
    let ended = supervisor
        .supervise(bounds.deadline())
        .map_err(|error| Failure::system(format_args!("waiting for process {pid}"), error));
    supervisor.take_terminal_back(&ended);
    if bounds.own_group() {
        // Failing is impossible: the handler is there already.
        let _ = signals.handle_stops(false);
    }
    ended
}

/// Replaces this process by `command`, which inherits what has no close-on-exec flag. Returns
/// only if that fails.
pub fn exec(command: &mut Command) -> Failure {
    let error = command.exec();
    cannot_run(command, &error)
}

fn start(command: &mut Command, terms: Terms<'_>) -> Result<Pid, Failure> {
    let failed = |error: Errno| Failure::system("fcntl", error);
    terms.apply(command);
    for descriptor in terms.inherited {
        fcntl(*descriptor, FcntlArg::F_SETFD(FdFlag::empty())).map_err(failed)?;
    }
    let started = match command.spawn() {
        // A script without #!, which execvp(3) would give to the shell.
        Err(error) if error.raw_os_error() == Some(Errno::ENOEXEC as i32) => {
            let mut shell = by_shell(command);
            terms.apply(&mut shell);
            shell.spawn().map_err(|_| error)
        }
        other => other,
    };
    for descriptor in terms.inherited {
        fcntl(*descriptor, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(failed)?;
    }
    match started {
        Ok(child) => Ok(Pid::from_raw(child.id() as i32)),
        Err(error) => Err(cannot_run(command, &error)),
    }
}

fn by_shell(command: &Command) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "exec \"$0\" \"$@\""]);
    shell.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

fn cannot_run(command: &Command, error: &io::Error) -> Failure {
    let program = command.get_program().display();
    let exit = match error.kind() {
        io::ErrorKind::NotFound => Exit::NOT_FOUND,
        io::ErrorKind::OutOfMemory | io::ErrorKind::WouldBlock => Exit::SYSTEM,
        _ => Exit::CANNOT_EXECUTE,
    };
    Failure::new(exit, format!("cannot run {program}: {}", reason(error)))
}

struct Supervisor<'a> {
    pid: Pid,
    own_group: bool,
    /// The terminal, while the command's group is in its foreground.
    terminal: Option<File>,
    signals: &'a mut Signals,
}

impl Supervisor<'_> {
    fn supervise(&mut self, deadline: Option<Instant>) -> io::Result<Ended> {
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                self.end()?;
                return Ok(Ended::AtLimit);
            }
            for received in self.signals.wait(left)? {
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
            if reaped && (!self.own_group || killpg(self.pid, None) == Err(Errno::ESRCH)) {
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
        signal_hook::low_level::raise(Signal::SIGSTOP as i32)?;
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
                killpg(getpgrp(), Signal::SIGSTOP)?;
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

    fn take_terminal_back(&mut self, ended: &Result<Ended, Failure>) {
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
