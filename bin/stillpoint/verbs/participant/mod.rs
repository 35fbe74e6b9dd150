//! `stillpoint participant`: for those who write one.

mod check;
mod rules;

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
    /// Try whether a participant keeps to what is agreed
    ///
    /// Speaks with it as a snapshot does, in every order that can occur, and so freezes and thaws its store several
    /// times, for a second at most. No barrier is needed. Whether the store stands still meanwhile is not seen from here.
    Check(Deferred<check::Arguments>),
}

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    match arguments.verb {
        Verb::Check(Deferred(arguments)) => check::run(&arguments),
    }
}
