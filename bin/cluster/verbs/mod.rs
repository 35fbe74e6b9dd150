//! What `stillpoint-cluster VERB` does.
//!
//! Uses all rooms below. Right about each verb ending with a documented exit status and one line that says why.

mod agent;
mod completions;
mod configuration;
mod context;
#[path = "../../stillpoint/process/faults.rs"]
mod faults;
mod history;
#[path = "../../stillpoint/process/ignored.rs"]
mod ignored;
mod members;
mod metrics;
mod recover;
mod shown;
mod signals;
mod snapshot;
mod status;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::words::exit::{Exit, STATUSES};
use crate::words::failure::Failure;
use crate::words::lines::{PROGRAM, complain};
use context::{Common, Context};

/// One consistent pause across the hosts of a group.
///
/// Every host closes its own barrier, takes its snapshot and opens it again, and the result is complete if each has
/// proof that nobody wrote meanwhile. The hosts agree by way of etcd.
#[derive(Debug, Parser)]
#[command(
    name = "stillpoint-cluster",
    version,
    max_term_width = 100,
    propagate_version = false,
    disable_help_subcommand = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(flatten)]
    common: Common,

    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Take part: the service of a host
    ///
    /// Waits for epochs and has the configured job or command make this host's part of them, step by step. Its end
    /// opens the gate at once. It may be started before the host has joined.
    Agent(agent::Arguments),

    /// Make this host a member of the group
    ///
    /// From then on no snapshot of the group is complete without it. Waits while an epoch is under way.
    Join(members::Join),

    /// Take this host out of the group
    ///
    /// Refuses while a writer has one of the barriers of its snapshots open. Waits while an epoch is under way.
    Leave(members::Leave),

    /// Put a dead host out of the group
    ///
    /// A host whose agent is silent is still a member: its writers may live. Only who knows that they do not may put
    /// it out.
    Evict(members::Evict),

    /// Take a snapshot of all hosts
    ///
    /// Prints its name, and nothing else, on standard output. It is complete, or it is none: what any host has made of
    /// one that was aborted is removed there.
    Snapshot(snapshot::Arguments),

    /// Show the hosts, the epoch under way and the last ones
    Status(status::Arguments),

    /// Give an epoch whose coordinator died its verdict
    ///
    /// It is aborted. Anybody may do that at any time, and twice; the next snapshot does it as well.
    Recover(recover::Arguments),

    /// List the epochs and their verdicts, the oldest first
    List(history::List),

    /// Print the name of the newest complete one
    Latest(history::Latest),

    /// Print a completion script for a shell
    ///
    /// Names of hosts are asked for when they are to be completed. `stillpoint completions` has the script for
    /// `stillpoint cluster`.
    Completions(completions::Arguments),
}

/// What was asked for, of the command line.
///
/// # Errors
/// It makes no sense, or asks for help.
pub fn parse() -> Result<Cli, clap::Error> {
    Cli::from_arg_matches(&command().try_get_matches()?)
}

/// Each verb says how it ends, and where more is said.
fn command() -> clap::Command {
    let help = format!("{STATUSES}\n\nManual: {PROGRAM}(8)");
    let of_verbs = help.clone();
    Cli::command().after_help(help).mut_subcommands(move |verb| verb.after_help(of_verbs.clone()))
}

/// Does what was asked for.
pub fn perform(cli: Cli) -> Exit {
    signals::settle();
    faults::survive();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(format!("no runtime: {error}"));
            return Exit::SYSTEM;
        }
    };
    let exit = runtime.block_on(verb(cli)).unwrap_or_else(|failure| {
        complain(&failure);
        failure.exit
    });
    // A thread that still waits for a server that does not answer is no reason to.
    runtime.shutdown_background();
    signals::die_of_it(exit);
    exit
}

async fn verb(cli: Cli) -> Result<Exit, Failure> {
    let common = &cli.common;
    let context = || Context::new(common);
    match &cli.verb {
        Verb::Agent(arguments) => agent::run(&context()?, arguments).await,
        Verb::Join(arguments) => members::join(&context()?, arguments).await,
        Verb::Leave(arguments) => members::leave(&context()?, arguments).await,
        Verb::Evict(arguments) => members::evict(&context()?, arguments).await,
        Verb::Snapshot(arguments) => snapshot::run(&context()?, arguments).await,
        Verb::Status(arguments) => status::run(&context()?, arguments).await,
        Verb::Recover(arguments) => recover::run(&context()?, arguments).await,
        Verb::List(arguments) => history::list(&context()?, arguments).await,
        Verb::Latest(arguments) => history::latest(&context()?, arguments).await,
        Verb::Completions(arguments) => completions::run(common, arguments).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_options_fits_together() {
        command().debug_assert();
    }
}
