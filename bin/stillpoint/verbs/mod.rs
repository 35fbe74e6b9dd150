//! One file or folder for each verb: its arguments, and what it does.
//!
//! Uses every other room, and no verb another one. Right about what is asked for: what a verb says of itself for
//! `--help` stands here, where the verbs are listed, and what an option does where it is.

mod adopt;
mod check;
mod cluster;
mod completions;
mod create;
mod deferred;
mod freeze;
mod job;
mod latest;
mod list;
mod mount;
mod participant;
mod prune;
mod recover;
mod report;
mod restore;
mod retire;
mod run;
mod settle;
mod snapshot;
mod status;
mod thaw;
mod unmount;
mod r#use;

use std::ffi::OsStr;

use clap::error::{ContextKind, ContextValue};
use clap::{Args, Command, FromArgMatches, Parser, Subcommand};

use self::deferred::Deferred;
use crate::process::reaper;
use crate::snapshot::arguments::Arguments as SnapshotArguments;
use crate::words::exit::{self, Exit};

/// A consistency barrier: writers share it, a snapshot tool quiesces them for milliseconds.
///
/// Every process that changes a store takes the shared side of the barrier around each set of
/// writes that belong together. A snapshot tool takes the exclusive side: granted when no set of
/// writes is under way, and while it is held none begins.
#[derive(Parser)]
#[command(
    name = "stillpoint",
    version,
    after_help = exit::STATUSES,
    max_term_width = 100,
    propagate_version = false,
    disable_help_subcommand = true
)]
pub struct Cli {
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
    Snapshot(Deferred<Box<SnapshotArguments>>),

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

    /// Is everything as it should be? For people and for Nagios
    ///
    /// Looks at barriers, their states and members, at snapshots and their room, at who writes and does not
    /// take part, at timers and hooks, and says what to do. Changes nothing. The exit status is that of a
    /// plug-in of Nagios: 0 OK, 1 warning, 2 critical, 3 unknown, also for wrong usage.
    Check(Deferred<check::Arguments>),

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

    /// Write a page about the snapshots of this machine, for a browser
    ///
    /// One file that needs nothing else: neither a server nor the network nor scripts. For each series
    /// it shows when which snapshots were taken and what they are good for, how long writers were kept
    /// waiting, and for whom the tool had to wait.
    Report(Deferred<report::Arguments>),

    /// Remove snapshots that need not be kept
    ///
    /// Goes by series: same sources, provider, folder, barriers and label. Never removes the newest
    /// clean one of a series, nor one that `use` reads or that is mounted, nor one under way. What failed or is not clean
    /// never counts against what is clean. With both rules, removes only what neither keeps.
    Prune(Deferred<prune::Arguments>),

    /// Run a command that reads a snapshot, and keep it meanwhile
    ///
    /// The command finds it at $STILLPOINT_SNAPSHOT_PATH. `prune` leaves it alone until the command,
    /// and all that it started, has ended. Needs permission to read the manifest only.
    Use(Deferred<r#use::Arguments>),

    /// Mount a snapshot read-only, for everybody to read
    ///
    /// `prune` leaves it alone until it is unmounted. Prints the name of the snapshot. Takes root.
    Mount(Deferred<mount::Arguments>),

    /// Unmount what `mount` has mounted
    ///
    /// Nothing else is unmounted. If somebody is in there, says who.
    Unmount(Deferred<unmount::Arguments>),

    /// Restore a snapshot, or some of it
    ///
    /// Into a new place, with owners, modes, times, attributes, links and holes. With --replace in the
    /// place of the source, which is kept beside it: the two are exchanged while no writer is inside.
    Restore(Deferred<Box<restore::Arguments>>),

    /// Do again and again what a file says: snapshot, verify, remove what is old
    ///
    /// The files are described in stillpoint-job(5).
    Job(Deferred<job::Arguments>),

    /// Say to a part of a group's snapshot what became of the whole
    ///
    /// For one whose run has ended before it was told. A verdict is written once: the same one again changes
    /// nothing, and another one is refused.
    Settle(Deferred<settle::Arguments>),

    /// Take one snapshot of many hosts: stillpoint-cluster
    ///
    /// That is a package of its own; all words behind `cluster` are for it.
    Cluster(Deferred<cluster::Arguments>),

    /// Adopt programs that know nothing of a barrier
    ///
    /// Their write locks wait for it then: see stillpoint-adopt(8).
    Adopt(Deferred<adopt::Arguments>),

    /// Try a participant: a command that stills a store with a quiesce of its own
    ///
    /// How to write one is in stillpoint-participants(7).
    Participant(Deferred<participant::Arguments>),

    /// Print a completion script for a shell
    ///
    /// For bash: stillpoint completions bash > /usr/share/bash-completion/completions/stillpoint
    Completions(Deferred<completions::Arguments>),
}

impl Verb {
    /// Whether this process becomes something else, or leaves it behind.
    fn outlives_us(&self) -> bool {
        match self {
            Verb::Freeze(_) | Verb::Mount(_) | Verb::Cluster(_) => true,
            Verb::Run(Deferred(arguments)) => arguments.no_fork,
            Verb::Adopt(Deferred(arguments)) => arguments.outlives_us(),
            _ => false,
        }
    }
}

/// What is asked for. `run` stands around each step of a script: its words are read without a look at what the other
/// verbs could be. Where that fails, be it for help, all of them say why.
pub fn read() -> Result<Cli, clap::Error> {
    let mut words = std::env::args_os().skip(1).peekable();
    if words.peek().is_some_and(|verb| verb == "run") {
        if let Some(arguments) = run::Arguments::plain(std::env::args_os().skip(2)) {
            return Ok(Cli { verb: Verb::Run(Deferred(arguments)) });
        }
        let alone = run::Arguments::augment_args(Command::new("run"));
        let arguments = alone.try_get_matches_from(words);
        let arguments = arguments.and_then(|found| run::Arguments::from_arg_matches(&found));
        if let Ok(arguments) = arguments {
            return Ok(Cli { verb: Verb::Run(Deferred(arguments)) });
        }
    }
    Cli::try_parse()
}

/// The exit status for wrong usage: whoever calls a plug-in knows four.
pub fn usage_exit(verb: Option<&OsStr>) -> Exit {
    match verb.is_some_and(|verb| verb == "check") {
        true => check::UNKNOWN,
        false => Exit::USAGE,
    }
}

/// Who writes the name of a job or of a barrier where a verb stands is told which verb goes before it.
pub fn advise(error: &mut clap::Error) {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else {
        return;
    };
    let is_barrier =
        || stillpoint::barrier_path(word.as_ref(), false).is_ok_and(|path| path.exists());
    let advice = match crate::job::file::names() {
        Ok(names) if names.contains(word) => {
            format!("{word} is a job: `stillpoint job run {word}` runs it")
        }
        _ if is_barrier() => format!("{word} is a barrier: `stillpoint status {word}` shows it"),
        _ => return,
    };
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![advice.into()]));
}

/// Does what was asked for, in this process or in one that stands in for it.
pub fn perform(Cli { verb }: Cli) -> anyhow::Result<Exit> {
    let ended = if verb.outlives_us() { None } else { reaper::attend()? };
    if let Some(exit) = ended {
        return Ok(exit);
    }
    match verb {
        Verb::Create(Deferred(arguments)) => create::run(arguments),
        Verb::Retire(Deferred(arguments)) => retire::run(arguments),
        Verb::Run(Deferred(arguments)) => run::run(arguments),
        Verb::Snapshot(Deferred(arguments)) => snapshot::run(*arguments),
        Verb::Freeze(Deferred(arguments)) => freeze::run(arguments),
        Verb::Thaw(Deferred(arguments)) => thaw::run(arguments),
        Verb::Report(Deferred(arguments)) => report::run(arguments),
        Verb::Recover(Deferred(arguments)) => recover::run(arguments),
        Verb::Status(Deferred(arguments)) => status::run(arguments),
        Verb::Check(Deferred(arguments)) => check::run(arguments),
        Verb::List(Deferred(arguments)) => list::run(arguments),
        Verb::Latest(Deferred(arguments)) => latest::run(arguments),
        Verb::Prune(Deferred(arguments)) => prune::run(arguments),
        Verb::Use(Deferred(arguments)) => r#use::run(arguments),
        Verb::Mount(Deferred(arguments)) => mount::run(arguments),
        Verb::Unmount(Deferred(arguments)) => unmount::run(arguments),
        Verb::Restore(Deferred(arguments)) => restore::run(*arguments),
        Verb::Job(Deferred(arguments)) => job::run(arguments),
        Verb::Settle(Deferred(arguments)) => settle::run(arguments),
        Verb::Cluster(Deferred(arguments)) => cluster::run(arguments),
        Verb::Adopt(Deferred(arguments)) => adopt::run(arguments),
        Verb::Participant(Deferred(arguments)) => participant::run(arguments),
        Verb::Completions(Deferred(arguments)) => completions::run(arguments),
    }
}
