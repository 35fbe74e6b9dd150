//! Running a command to its end.
//!
//! Two ways, and the difference is the limit:
//!
//! * [`Bounds::None`]: the command stays in our process group, as under flock(1). The keyboard
//!   reaches it without us, and what kills the group kills both. A signal sent to us alone is
//!   handed on; one that the kernel sent to the whole group is not, lest it arrive twice.
//! * [`Bounds::Until`]: at the limit everything that the command has started must go, so it gets a
//!   process group of its own.
//!
//! Descriptors that the command shall inherit lose their close-on-exec flag around the start only.
//! Nothing runs between fork and exec, so that it is started without a copy of our memory, unless the command is to
//! find signals as our parent left them.

pub mod ended;
mod supervisor;
mod vfork;
pub mod written;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use self::ended::Ended;
use self::supervisor::Supervisor;
use super::inherited;
use super::signals::Signals;
use crate::words::exit::{Exit, Failure, is_shortage, reason};

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
    pub fn deadline(self) -> Option<Instant> {
        match self {
            Bounds::None => None,
            Bounds::Until(deadline) | Bounds::UntilWithin(deadline) => Some(deadline),
        }
    }

    fn own_group(self) -> bool {
        matches!(self, Bounds::Until(_))
    }
}

/// How a command is started.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    pub bounds: Bounds,
    /// Close-on-exec descriptors that the command shall have nevertheless.
    pub inherited: &'a [BorrowedFd<'a>],
    /// Whether what it prints goes to standard error.
    pub prints_errors_only: bool,
    /// Told of the command a few times a second, while it runs.
    pub told: Option<&'a dyn Fn(Pid)>,
}

impl Terms<'_> {
    fn apply(&self, command: &mut Command) {
        if self.bounds.own_group() {
            command.process_group(0);
        }
        let errors = || io::stderr().as_fd().try_clone_to_owned().ok();
        if let Some(errors) = self.prints_errors_only.then(errors).flatten() {
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
    let pid = start(terms.inherited, || {
        let child = spawn(command, |command| terms.apply(command))?;
        Ok(Pid::from_raw(child.id() as i32))
    })?;
    watch_over(pid, terms, signals)
}

/// The same for a command that has no bounds, and in all but some variables what this process has: its standard
/// descriptors, its folder. Quickly, in a process that has one thread.
pub fn run_as_ours(
    command: &mut Command,
    inherited: &[BorrowedFd<'_>],
    signals: &mut Signals,
) -> Result<Ended, Failure> {
    let terms = Terms { bounds: Bounds::None, inherited, prints_errors_only: false, told: None };
    if !inherited::is_plain() {
        return run(command, terms, signals);
    }
    let started = || vfork::spawn(command).map_err(|error| cannot_run(command, &error));
    watch_over(start(inherited, started)?, terms, signals)
}

fn watch_over(pid: Pid, terms: Terms<'_>, signals: &mut Signals) -> Result<Ended, Failure> {
    let bounds = terms.bounds;
    let supervised =
        Supervisor::new(pid, bounds.own_group(), terms.told, signals).supervise(bounds.deadline());
    let ended = supervised.map_err(|error| {
        // It would go on where nobody watches it, and outside of the barrier.
        let _ = match bounds.own_group() {
            true => killpg(pid, Signal::SIGKILL),
            false => kill(pid, Signal::SIGKILL),
        };
        let what = format!("waiting for process {pid}, which was ended");
        let mut failure = Failure::system(what, error);
        failure.is_loss = true;
        failure
    });
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

fn start(
    inherited: &[BorrowedFd<'_>],
    spawn: impl FnOnce() -> Result<Pid, Failure>,
) -> Result<Pid, Failure> {
    let failed = |error: Errno| Failure::system("cannot hand a descriptor to the command", error);
    for descriptor in inherited {
        fcntl(*descriptor, FcntlArg::F_SETFD(FdFlag::empty())).map_err(failed)?;
    }
    let started = spawn();
    for descriptor in inherited {
        fcntl(*descriptor, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(failed)?;
    }
    started
}

/// Starts a command, with what `terms` does to it: a script without #!, too, which execvp(3) would give to the
/// shell.
pub fn spawn(command: &mut Command, terms: impl Fn(&mut Command)) -> Result<Child, Failure> {
    terms(command);
    let started = match command.spawn() {
        Err(error) if error.raw_os_error() == Some(Errno::ENOEXEC as i32) => {
            let mut shell = by_shell(command);
            terms(&mut shell);
            shell.spawn().map_err(|_| error)
        }
        other => other,
    };
    started.map_err(|error| cannot_run(command, &error))
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
    let program = command.get_program().to_string_lossy();
    let exit = match error.kind() {
        io::ErrorKind::NotFound => Exit::NOT_FOUND,
        _ if is_shortage(error) => Exit::SYSTEM,
        _ => Exit::CANNOT_EXECUTE,
    };
    Failure::new(exit, format!("cannot run {program}: {}", reason(error)))
}
