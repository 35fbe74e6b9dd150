//! `stillpoint job`: what is done again and again, as its file says.

mod check;
mod init;
mod list;
mod run;
mod units;

use clap::Subcommand;

use super::deferred::Deferred;
use crate::words::exit::Exit;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run a job: take its snapshot, verify it, and remove what need not be kept
    ///
    /// Prints the path of the snapshot, as `stillpoint snapshot` does. The status is that of the first step that went
    /// wrong; old snapshots are removed all the same. A job that is running already is not started again: 75.
    Run(Deferred<run::Arguments>),

    /// Check whether a job could be run, and do nothing
    ///
    /// Reads its file, and looks for all that it names: barriers, sources, target, participants, units, programs.
    Check(Deferred<check::Arguments>),

    /// List the jobs: when each was run last, how that went, and its newest clean snapshot
    ///
    /// And when it is run next, if systemd knows, and what is wrong. Reads only.
    List(Deferred<list::Arguments>),

    /// Write the file of a new job
    ///
    /// With what is found on this machine, and with comments. Never writes over a file.
    Init(Deferred<init::Arguments>),

    /// Tell systemd when jobs are run, and after which barriers
    ///
    /// For the generator that comes with the units; `systemctl daemon-reload` runs it.
    Units(Deferred<units::Arguments>),
}

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    match arguments.verb {
        Verb::Run(Deferred(arguments)) => run::run(&arguments),
        Verb::Check(Deferred(arguments)) => check::run(&arguments),
        Verb::List(Deferred(arguments)) => list::run(&arguments),
        Verb::Init(Deferred(arguments)) => init::run(&arguments),
        Verb::Units(Deferred(arguments)) => units::run(&arguments),
    }
}
