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
//!
//! Of a job with several barriers each has a keeper: that of the last one closed is the parent of the one before it,
//! and so on. So they belong together without any list: one that ends early takes those before it along. The first holds
//! the locks of other programs, as they are taken before any gate closes; the last stills all others, and has run what the
//! job names, before all of it and after.

mod around;
mod before;
mod standing;
mod wanted;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{self, ForkResult, Pid};
use stillpoint::{Barrier, Ending, Keeper};

use self::around::Over;
use self::before::Before;
use self::standing::Standing;
pub use self::wanted::Arguments;
use self::wanted::Freezing;
use crate::barrier::exclusive::{Exclusive, Others};
use crate::barrier::freezable;
use crate::barrier::recovery::{Recovery, dirty_text};
use crate::barrier::state::State;
use crate::process::signals::Signals;
use crate::process::{apart, ending, inherited};
use crate::snapshot::foreign::ForeignLocks;
use crate::stilling::cover::{Means, Places};
use crate::stilling::{Limits, Stilling, Wanted};
use crate::words::advice::Named;
use crate::words::exit::{Exit, Failure};
use crate::words::lines::warn;

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
    let freezing = Freezing::new(arguments)?;
    State::require(freezing.state.as_deref())?;
    let Begun { keeper, word } = Begun::begin(&freezing, freezing.barriers.len())?;
    wait_for_tokens(keeper, word)
}

/// A keeper, as it is seen by who started it: it will send lines with tokens, or end.
struct Begun {
    keeper: Pid,
    word: OwnedFd,
}

impl Begun {
    /// Starts the keeper of the first so many barriers.
    fn begin(freezing: &Freezing, count: usize) -> anyhow::Result<Begun> {
        let parent = unistd::getpid();
        let (read, write) = unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)
            .map_err(|error| Failure::system("cannot make a pipe", error))?;
        // SAFETY: this process has one thread.
        match unsafe { unistd::fork() } {
            Err(error) => Err(Failure::system("cannot start the keeper", error).into()),
            Ok(ForkResult::Parent { child }) => {
                drop(write);
                Ok(Begun { keeper: child, word: read })
            }
            // It never returns to who called: what is open there it has closed, and would close once more.
            Ok(ForkResult::Child) => {
                drop(read);
                let exit = ending::of(keep(freezing, count, parent, write));
                std::process::exit(exit.code().into())
            }
        }
    }
}

/// The command: passes the tokens on, or the status of a keeper that did not come to one.
fn wait_for_tokens(keeper: Pid, word: OwnedFd) -> anyhow::Result<Exit> {
    let mut signals = match Signals::watch() {
        Ok(signals) => signals,
        Err(failure) => return not_followed(keeper, failure),
    };
    let tokens = tokens(keeper, word, &mut signals)?;
    if !tokens.ends_with(b"\n") {
        return ended(keeper);
    }
    let mut output = io::stdout().lock();
    let told = output.write_all(&tokens).and_then(|()| output.flush());
    told.map(|()| Exit::SUCCESS).map_err(|error| {
        // Nobody will thaw what nobody knows of.
        let _ = kill(keeper, Signal::SIGTERM);
        Failure::system("cannot print the token, so nothing stays frozen", error).into()
    })
}

/// What a keeper sends until it closes its end: whole lines, or it came to no token. Signals are handed on to it.
fn tokens(keeper: Pid, word: OwnedFd, signals: &mut Signals) -> Result<Vec<u8>, Failure> {
    let cannot = |error: io::Error| Failure::system("waiting for the keeper", error);
    let mut word = File::from(word);
    let mut tokens = Vec::new();
    loop {
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
            0 => return Ok(tokens),
            count => tokens.extend(&some[..count]),
        }
    }
}

/// How long a keeper is given that is most likely ending by itself.
const LEAVING: Duration = Duration::from_millis(500);

/// This process cannot follow the keeper, which most likely complains of the same: one that is ended between its
/// complaint and its end would have both complain.
fn not_followed(keeper: Pid, failure: Failure) -> anyhow::Result<Exit> {
    let asked = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    let since = Instant::now();
    while waitid(Id::Pid(keeper), asked) == Ok(WaitStatus::StillAlive) && since.elapsed() < LEAVING
    {
        std::thread::sleep(Duration::from_millis(1));
    }
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

/// The keeper of the last of so many barriers: what it returns matters until it has sent its token.
fn keep(freezing: &Freezing, count: usize, parent: Pid, word: OwnedFd) -> anyhow::Result<Exit> {
    let cannot = |what: &'static str| move |error: nix::Error| Failure::system(what, error);
    let is_last = count == freezing.barriers.len();
    apart::close_all_but(&[word.as_raw_fd()])
        .map_err(|error| Failure::system("/proc/self/fd", error))?;
    prctl::set_pdeathsig(Signal::SIGTERM)
        .map_err(cannot("cannot tie the keeper to its parent: prctl"))?;
    if unistd::getppid() != parent {
        return Ok(Exit::killed_by(Signal::SIGTERM as i32));
    }
    // What is forked from here on watches for itself, and gives the descriptor of this up.
    let mut signals = Signals::watch()?;
    match freezing.around.as_ref().filter(|_| is_last) {
        None => hold(freezing, count, word, &mut signals).and_then(Over::exit),
        Some(around) => around
            .run(&freezing.patience, &mut signals, |signals| hold(freezing, count, word, signals)),
    }
}

/// Closes the barriers before this one, by a keeper for each, and then this one, and sends the tokens.
fn hold(
    freezing: &Freezing,
    count: usize,
    word: OwnedFd,
    signals: &mut Signals,
) -> anyhow::Result<Over> {
    let cannot = |what: &'static str| move |error: nix::Error| Failure::system(what, error);
    let is_last = count == freezing.barriers.len();
    let mut before = Before { keeper: None, tokens: Vec::new() };
    if count > 1 {
        let Begun { keeper, word } = Begun::begin(freezing, count - 1)?;
        before.keeper = Some(keeper);
        before.tokens = tokens(keeper, word, signals)?;
        if !before.tokens.ends_with(b"\n") {
            before.keeper = None;
            return ended(keeper).map(Over::Refused);
        }
    }
    let signals = &*signals;
    signals.check()?;
    let (wanted, user) = (&freezing.barriers[count - 1], freezing.user);
    let barrier = Barrier::options().user(user).label(&freezing.label).open(wanted)?;
    freezable::warn(&barrier);
    look_at_state(&barrier, freezing, wanted)?;
    let side = Exclusive {
        barriers: &[&barrier],
        label: &freezing.label,
        patience: &freezing.patience,
        drain: freezing.drain,
        hold: freezing.hold,
        inherited: false,
    };
    // All barriers are closed by then, and nobody stands still for nothing.
    let nobody = Wanted::default();
    let others = if is_last { &freezing.others } else { &nobody };
    let limits = Limits::of(&side);
    let mut stilling = Stilling::prepare(others, &[], limits)?;
    let mut closed = freezing.paths()?;
    closed.push(barrier.path().into());
    stilling.check_barriers(&closed.iter().map(PathBuf::as_path).collect::<Vec<_>>())?;
    stilling.get_ready()?;
    let none = ForeignLocks::default();
    let foreign = if count == 1 { &freezing.foreign } else { &none };
    let covered = freezing.covered.as_ref().filter(|_| is_last).map(|(places, cyrus)| {
        let foreign = freezing.foreign.records().into_iter().map(|record| record.path).collect();
        (places, Means { barriers: closed, foreign, cyrus: *cyrus, ..stilling.means() })
    });
    let mut standing = Standing::new(stilling, foreign, limits);
    if let Some((places, means)) = &covered {
        standing.look(places, means)?;
    }
    let guard = side.quiesce(signals, &mut standing).map_err(|error| {
        let name = Named::new(wanted, user, None);
        frozen_already(&barrier, &name, error)
    })?;
    if guard.covered() {
        let path = barrier.path().display();
        let message = format!(
            "{path}: is held by the command that this one runs under; that pause ends with it"
        );
        return Err(Failure::usage(message).into());
    }
    standing.stilling.freeze(side.drain, &guard)?;
    if !others.with.is_empty() {
        // Nobody shall stand at the gate for a pause that has no certificate any more.
        signals.cancel_with_children()?;
        standing.stilling.check()?;
    }
    Before::stand(&freezing.paths()?[..count - 1])?;
    let keeper = Keeper::new(guard)?;
    if is_last {
        prctl::set_pdeathsig(None).map_err(cannot("cannot tie the keeper to its parent: prctl"))?;
    }
    apart::leave_session().map_err(|error| Failure::system("cannot leave the session", error))?;
    let place = barrier.path().display();
    let mut tokens = match freezing.names_barriers {
        true => format!("{} {place}\n", keeper.token()).into_bytes(),
        false => format!("{}\n", keeper.token()).into_bytes(),
    };
    tokens.extend(&before.tokens);
    // Fails if the parent is gone: then nobody knows of this pause.
    let told = File::from(word).write_all(&tokens);
    let held = match told {
        Ok(()) => {
            let look = covered.as_ref().map(|(places, means)| (*places, means));
            let kept = keeper.serve_if(signals.cancel(), |end| held(&mut standing, look, end));
            kept.map(drop).map_err(anyhow::Error::from)
        }
        Err(error) => {
            drop(keeper);
            Err(Failure::system("nobody could be told the token", error).into())
        }
    };
    let _ = standing.end();
    // The gate is open, and so are the disks.
    State::keep_dirt_of(wanted, user, freezing.state.as_deref(), &barrier);
    let held = held.and_then(|()| match before.outlive(signals) {
        true => Ok(()),
        false => {
            let message =
                format!("the pause of a barrier that was closed before {place} did not hold");
            Err(Failure::new(Exit::LIMIT, message).into())
        }
    });
    Ok(held.map_or_else(Over::Lost, |()| Over::Held))
}

/// Refuses a durable state that is damaged or another barrier's, as a snapshot does. Says it if a writer was lost: what the
/// host takes now is no better for the pause. That a state cannot be read is no failure of who may have nothing to write.
fn look_at_state(barrier: &Barrier, freezing: &Freezing, wanted: &OsStr) -> anyhow::Result<()> {
    let (user, given) = (freezing.user, freezing.state.as_deref());
    match Recovery::of(barrier, wanted, user, given) {
        Err(error) if ending::from_error(&error, Exit::CONFLICT) != Exit::DENIED => {
            return Err(error);
        }
        _ => {}
    }
    let dirty = barrier.dirty();
    if dirty.is_dirty() {
        warn(&dirty_text(&Named::new(wanted, user, given), barrier, dirty));
    }
    Ok(())
}

/// Whether others have stood still to its end. Our own writers go on first: others may take long to.
fn held(standing: &mut Standing, look: Option<(&Places, &Means)>, end: Ending) -> bool {
    match end {
        Ending::Asked => {
            standing.have_stayed_still().and_then(|()| standing.stilling.check()).is_ok()
        }
        // Many find out only when they thaw that they did not stand still.
        Ending::Opened => {
            let stood = standing.end();
            let covered = look.map_or(Ok(()), |(places, means)| standing.look(places, means));
            stood.and(covered).is_ok()
        }
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
