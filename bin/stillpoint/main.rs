//! The command `stillpoint`: its verbs, each in a file or folder of its own, and below them what they share.
//!
//! A room names only those below it:
//!
//! | room | what it is |
//! |---|---|
//! | `verbs` | one file or folder for each verb |
//! | `selection` | which snapshots a verb is about |
//! | `snapshot` | one snapshot from its plan to its last manifest: `provider`, `place`, `data`, `foreign` |
//! | `catalogue` | the folder of manifests |
//! | `barrier` | the durable state, and the exclusive side for a command |
//! | `process` | this process, its signals, its children and tools |
//! | `files` | folders and names |
//! | `words` | what is read and said: times, errors, metrics |

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use process::{inherited, reaper, signals, tool};
use verbs::deferred::Deferred;
use verbs::{
    completions, create, freeze, latest, list, prune, recover, retire, run, status, thaw, r#use,
};
use words::exit::{self, Exit};
use words::usage;

mod barrier;
mod catalogue;
mod files;
mod process;
mod selection;
mod snapshot;
mod verbs;
mod words;

/// A consistency barrier: writers share it, a snapshot tool quiesces them for milliseconds.
///
/// Every process that changes a store takes the shared side of the barrier around each set of
/// writes that belong together. A snapshot tool takes the exclusive side: granted when no set of
/// writes is under way, and while it is held none begins.
#[derive(Parser)]
#[command(
    name = "stillpoint",
    version,
    after_help = EXIT_STATUS,
    max_term_width = 100,
    propagate_version = false,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Create a barrier
    ///
    /// The file belongs to root and the group of the writers and is shared by all of them. If its
    /// durable state says that the last barrier of this name was never retired (a power cut, a
    /// crash), the new one starts dirty. A barrier that is there already stays as it is.
    Create(Deferred<create::Arguments>),

    /// End a barrier in good order
    ///
    /// Refuses while a writer is inside or has the barrier open. Afterwards the durable state says
    /// that nothing was under way, so that the next `create` starts clean.
    Retire(Deferred<retire::Arguments>),

    /// Run a command inside the barrier
    ///
    /// Exclusive by default, as flock(1) is: no writer is inside while the command runs. With -s
    /// the command is a writer among others. Options stand before BARRIER; all that follows it is
    /// the command.
    Run(Deferred<run::Arguments>),

    /// Take a snapshot while no writer is inside
    ///
    /// Prints its path, and nothing else, on standard output. A snapshot that failed, was
    /// interrupted, or whose pause did not last is removed and never counts as one.
    Snapshot(Deferred<Box<snapshot::Arguments>>),

    /// Close the gate until somebody thaws it, or a limit is reached
    ///
    /// For hosts that take the snapshot themselves and call a hook before and one after. Prints a
    /// token once no writer is inside, and returns; a process that stays behind, the keeper, holds
    /// the pause. It opens the gate by itself at the limit.
    Freeze(Deferred<freeze::Arguments>),

    /// End the pause of freeze
    ///
    /// Succeeds only if the pause held until now, or until it was thawed before. If it did not,
    /// what was made in it is not to be trusted. With nothing frozen there is nothing to do.
    Thaw(Deferred<thaw::Arguments>),

    /// Check or repair the store after a writer was lost, and acknowledge that
    ///
    /// Runs CHECK-COMMAND while no writer is inside. If it succeeds, the losses up to then are
    /// acknowledged: the barrier is no longer dirty. If it fails, nothing changes and its status is
    /// passed on.
    Recover(Deferred<recover::Arguments>),

    /// Show who is inside a barrier, who waits, and what was lost
    ///
    /// Needs permission to read the barrier and changes nothing. Without BARRIER, shows all
    /// barriers in the folder of names.
    Status(Deferred<status::Arguments>),

    /// List the snapshots of a catalogue
    ///
    /// The oldest first, of BARRIER if one is given. Files that are no manifests are reported and left alone; the status is 65
    /// then.
    List(Deferred<list::Arguments>),

    /// Print the path of the newest clean snapshot
    ///
    /// The newest is the one that was begun last, whatever the clock said. A snapshot whose data was
    /// removed is not named, nor one that a command made, which has none of its own; --provider
    /// command asks for the name of such a one.
    Latest(Deferred<latest::Arguments>),

    /// Remove snapshots that need not be kept
    ///
    /// Goes by series: same sources, provider, folder, barriers and label. Never removes the newest
    /// clean one of a series, nor one that `use` reads, nor one under way. What failed or is not clean
    /// never counts against what is clean. With both rules, removes only what neither keeps.
    Prune(Deferred<prune::Arguments>),

    /// Run a command that reads a snapshot, and keep it meanwhile
    ///
    /// The command finds it at $STILLPOINT_SNAPSHOT_PATH. `prune` leaves it alone until the command,
    /// and all that it started, has ended. Needs permission to read the manifest only.
    Use(Deferred<r#use::Arguments>),

    /// Print a completion script for a shell
    ///
    /// For bash: stillpoint completions bash > /usr/share/bash-completion/completions/stillpoint
    Completions(Deferred<completions::Arguments>),
}

impl Verb {
    /// Whether this process becomes something else, or leaves it behind.
    fn outlives_us(&self) -> bool {
        match self {
            Verb::Freeze(_) => true,
            Verb::Run(Deferred(arguments)) => arguments.no_fork,
            _ => false,
        }
    }
}

const EXIT_STATUS: &str = "\
Exit status:
  the command's own, or 128 + n if signal n ended it
   64  usage, or an exclusive asked for inside a share
   65  dirty barrier and --on-dirty keep or fail, a damaged state or manifest, or snapshots at odds
   66  no such barrier, catalogue or snapshot
   69  not available here: file system, provider or privilege
   70  internal error
   71  a system call failed
   73  cannot create
   75  not quiet, or the gate closed, within the limit
   77  permission denied
  124  hold limit reached or pause revoked: do not trust the result
  126  the command cannot be run
  127  the command was not found";

fn main() -> ExitCode {
    inherited::settle();
    if stillpoint::is_untrusted() {
        forget_environment();
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            match error.use_stderr() && exit::is_journal() {
                true => exit::complain(&anyhow::Error::msg(usage::line(&error))),
                // A reader that went away is no reason to complain.
                false => drop(error.print()),
            }
            return match error.use_stderr() {
                true => Exit::USAGE.into(),
                false => Exit::SUCCESS.into(),
            };
        }
    };
    let exit = perform(cli.verb).unwrap_or_else(|error| {
        exit::complain(&error);
        exit::from_error(&error, Exit::CONFLICT)
    });
    signals::die_of_it(exit.code());
    exit.into()
}

fn perform(verb: Verb) -> anyhow::Result<Exit> {
    if !verb.outlives_us()
        && let Some(exit) = reaper::attend()?
    {
        return Ok(exit);
    }
    match verb {
        Verb::Create(Deferred(arguments)) => create::run(arguments),
        Verb::Retire(Deferred(arguments)) => retire::run(arguments),
        Verb::Run(Deferred(arguments)) => run::run(arguments),
        Verb::Snapshot(Deferred(arguments)) => snapshot::run(*arguments),
        Verb::Freeze(Deferred(arguments)) => freeze::run(arguments),
        Verb::Thaw(Deferred(arguments)) => thaw::run(arguments),
        Verb::Recover(Deferred(arguments)) => recover::run(arguments),
        Verb::Status(Deferred(arguments)) => status::run(arguments),
        Verb::List(Deferred(arguments)) => list::run(arguments),
        Verb::Latest(Deferred(arguments)) => latest::run(arguments),
        Verb::Prune(Deferred(arguments)) => prune::run(arguments),
        Verb::Use(Deferred(arguments)) => r#use::run(arguments),
        Verb::Completions(Deferred(arguments)) => completions::run(arguments),
    }
}

/// Started by somebody who may less than this process may: no variable says where barriers, tools and a
/// shell are, here or in what is started.
fn forget_environment() {
    let set: Vec<OsString> = std::env::vars_os().map(|(name, _)| name).collect();
    for name in set {
        // SAFETY: there is no other thread yet.
        unsafe { std::env::remove_var(name) };
    }
    // SAFETY: as above.
    unsafe { std::env::set_var("PATH", tool::STANDARD) };
}
