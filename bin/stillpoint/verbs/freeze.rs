//! `stillpoint freeze`: a pause that outlives the command that began it.
//!
//! The process forks before it opens anything. The child, the keeper, takes the exclusive side; the
//! parent waits for its word. Until the barrier is quiet the keeper belongs to its parent: it complains
//! on the same standard error, the keyboard reaches both, and should the parent be killed (a host that
//! lost its patience) the kernel tells it to give up, so that a hook which failed never leaves a closed
//! gate. Once quiet it leaves the session, gives up every descriptor it was started with, since hosts
//! wait for the end of what they read, and only then sends the token. Between that and the opening
//! nothing is written anywhere but to the barrier: the disk may be frozen.
//!
//! At the limit, or when it is told to end, the keeper opens the gate by itself, and a later `thaw`
//! says that the pause did not hold.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{self, ForkResult, Pid};
use stillpoint::{Barrier, Ending, Keeper};

use crate::barrier::exclusive::{DRAIN, Exclusive, HOLD, Others, Patience};
use crate::barrier::freezable;
use crate::barrier::state::State;
use crate::process::signals::Signals;
use crate::process::{apart, inherited};
use crate::stilling::{Limits, Stilling, Wanted};
use crate::words::advice::Named;
use crate::words::exit::{Exit, Failure, STATUSES};
use crate::words::seconds::{self, Limit};

/// How long to try to get quiet, unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(12);

#[derive(clap::Args)]
#[command(after_help = STATUSES)]
pub struct Arguments {
    /// Name or path of the barrier
    barrier: OsString,

    /// Open the gate by itself after this long [default: 60]
    #[arg(long, value_name = "SECS|none", allow_hyphen_values = true, value_parser = seconds::parse_limit)]
    hold: Option<Limit>,

    /// Keep the gate closed at most this long at a time for the writers to leave [default: 2]
    #[arg(long, value_name = "SECS", allow_hyphen_values = true, value_parser = seconds::parse)]
    drain: Option<Duration>,

    /// Fail after this long; 0 does not wait [default: 12]
    #[arg(short = 'w', long = "timeout", visible_alias = "wait", value_name = "SECS", allow_hyphen_values = true, value_parser = seconds::parse)]
    timeout: Option<Duration>,

    /// Who closes the gate, as `status` shall say
    #[arg(long, value_name = "TEXT", default_value = "freeze")]
    label: String,

    /// Where its durable state is kept, as given to `create`, or none
    #[arg(long, value_name = "PATH|none")]
    state: Option<PathBuf>,

    #[command(flatten)]
    wanted: Wanted,

    /// Look for the name in $XDG_RUNTIME_DIR/stillpoint
    #[arg(long)]
    user: bool,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    if inherited::is_closed(1) {
        let message = "standard output is closed, and nobody could end a pause without its token";
        return Err(Failure::usage(message).into());
    }
    let parent = unistd::getpid();
    if parent.as_raw() == 1 {
        let message = "the keeper would end with this process, the first one of a container; \
                       freeze from a container that goes on, or take the snapshot in `run -x`";
        return Err(Failure::new(Exit::UNAVAILABLE, message).into());
    }
    let (read, write) = unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)
        .map_err(|error| Failure::system("cannot make a pipe", error))?;
    // SAFETY: this process has one thread.
    match unsafe { unistd::fork() } {
        Err(error) => Err(Failure::system("cannot start the keeper", error).into()),
        Ok(ForkResult::Parent { child }) => {
            drop(write);
            wait_for_token(child, read)
        }
        Ok(ForkResult::Child) => {
            drop(read);
            keep(&arguments, parent, write)
        }
    }
}

/// The parent: passes the token on, or the status of a keeper that did not come to one.
fn wait_for_token(keeper: Pid, word: OwnedFd) -> anyhow::Result<Exit> {
    let cannot = |error: io::Error| Failure::system("waiting for the keeper", error);
    let mut signals = match Signals::watch() {
        Ok(signals) => signals,
        Err(failure) => return not_followed(keeper, failure),
    };
    let mut word = File::from(word);
    let mut token = Vec::new();
    // A line comes whole or not at all.
    while !token.ends_with(b"\n") {
        for received in signals.wait_beside(&[word.as_fd()], None).map_err(cannot)? {
            match Signal::try_from(received.signal) {
                Ok(signal) if signal != Signal::SIGCHLD && !received.whole_group => {
                    let _ = kill(keeper, signal);
                }
                _ => {}
            }
        }
        let mut ready = [nix::poll::PollFd::new(word.as_fd(), nix::poll::PollFlags::POLLIN)];
        if nix::poll::poll(&mut ready, nix::poll::PollTimeout::ZERO) == Ok(0) {
            continue;
        }
        let mut some = [0; 256];
        match word.read(&mut some).map_err(cannot)? {
            0 => return ended(keeper),
            count => token.extend(&some[..count]),
        }
    }
    let mut output = io::stdout().lock();
    let told = output.write_all(&token).and_then(|()| output.flush());
    told.map(|()| Exit::SUCCESS).map_err(|error| {
        // Nobody will thaw what nobody knows of.
        let _ = kill(keeper, Signal::SIGTERM);
        Failure::system("cannot print the token, so nothing stays frozen", error).into()
    })
}

/// This process cannot follow the keeper, which has most likely complained of the same.
fn not_followed(keeper: Pid, failure: Failure) -> anyhow::Result<Exit> {
    let _ = kill(keeper, Signal::SIGTERM);
    match ended(keeper)? {
        exit if exit == failure.exit => Ok(exit),
        _ => Err(failure.into()),
    }
}

/// The keeper has complained itself.
fn ended(keeper: Pid) -> anyhow::Result<Exit> {
    loop {
        return match waitpid(keeper, None) {
            Err(nix::Error::EINTR) => continue,
            Ok(WaitStatus::Exited(_, status)) => Ok(Exit::new(status as u8)),
            Ok(WaitStatus::Signaled(_, signal, _)) => Ok(Exit::killed_by(signal as i32)),
            other => Err(Failure::new(Exit::INTERNAL, format!("the keeper: {other:?}")).into()),
        };
    }
}

/// The child: what it returns matters until it has sent the token.
fn keep(arguments: &Arguments, parent: Pid, word: OwnedFd) -> anyhow::Result<Exit> {
    let cannot = |what: &'static str| move |error: nix::Error| Failure::system(what, error);
    apart::close_all_but(&[word.as_raw_fd()])
        .map_err(|error| Failure::system("/proc/self/fd", error))?;
    let signals = Signals::watch()?;
    prctl::set_pdeathsig(Signal::SIGTERM)
        .map_err(cannot("cannot tie the keeper to its parent: prctl"))?;
    if unistd::getppid() != parent {
        return Ok(Exit::killed_by(Signal::SIGTERM as i32));
    }
    let barrier =
        Barrier::options().user(arguments.user).label(&arguments.label).open(&arguments.barrier)?;
    freezable::warn(&barrier);
    let patience = Patience::new(Some(arguments.timeout.unwrap_or(PATIENCE)));
    let side = Exclusive {
        barriers: &[&barrier],
        label: &arguments.label,
        patience: &patience,
        drain: arguments.drain.unwrap_or(DRAIN),
        hold: arguments.hold.unwrap_or(HOLD),
        inherited: false,
    };
    arguments.wanted.check(side.hold.duration())?;
    let mut stilling = Stilling::prepare(&arguments.wanted, &[], Limits::of(&side))?;
    stilling.check_barriers(&[barrier.path()])?;
    stilling.get_ready()?;
    let guard = side.quiesce(&signals, &mut stilling).map_err(|error| {
        let name = Named::new(&arguments.barrier, arguments.user, None);
        frozen_already(&barrier, &name, error)
    })?;
    if guard.covered() {
        let path = barrier.path().display();
        let message = format!(
            "{path}: is held by the command that this one runs under; that pause ends with it"
        );
        return Err(Failure::usage(message).into());
    }
    stilling.freeze(side.drain, &guard)?;
    if !arguments.wanted.with.is_empty() {
        // Nobody shall stand at the gate for a pause that has no certificate any more.
        signals.cancel_with_children()?;
        stilling.check()?;
    }
    let keeper = Keeper::new(guard)?;
    prctl::set_pdeathsig(None).map_err(cannot("cannot tie the keeper to its parent: prctl"))?;
    apart::leave_session().map_err(|error| Failure::system("cannot leave the session", error))?;
    // Fails if the parent is gone: then nobody knows of this pause.
    match File::from(word).write_all(format!("{}\n", keeper.token()).as_bytes()) {
        Ok(()) => drop(keeper.serve_if(signals.cancel(), |end| held(&mut stilling, end))),
        Err(_) => drop(keeper),
    }
    let _ = stilling.thaw();
    // The gate is open, and so are the disks.
    State::keep_dirt_of(&arguments.barrier, arguments.user, arguments.state.as_deref(), &barrier);
    Ok(Exit::SUCCESS)
}

/// Whether others have stood still to its end. Our own writers go on first: others may take long to.
fn held(stilling: &mut Stilling, end: Ending) -> bool {
    match end {
        Ending::Asked => stilling.have_stayed_still().and_then(|()| stilling.check()).is_ok(),
        // Many find out only when they thaw that they did not stand still.
        Ending::Opened => stilling.check().and_then(|()| stilling.thaw()).is_ok(),
        _ => true,
    }
}

/// A pause of another keeper has a way out that a busy tool's has not.
fn frozen_already(barrier: &Barrier, name: &Named, error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<stillpoint::Error>() {
        Some(stillpoint::Error::Busy { path, holder }) if barrier.is_frozen() => {
            let message = format!(
                "{}: frozen already by {holder}; wait for its limit, or end it with {}",
                path.display(),
                name.command("thaw")
            );
            Failure::new(Exit::CONFLICT, message).into()
        }
        _ => error,
    }
}
