//! `stillpoint adopt`: programs that know nothing of a barrier take part in it.

mod check;
mod enable;
mod run;
mod unit_files;

use clap::Subcommand;

use crate::verbs::deferred::Deferred;
use crate::words::exit::Exit;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run a command whose write locks wait for the barrier
    ///
    /// Puts libstillpoint_adopt.so into LD_PRELOAD, before what stands there, and becomes the command. What it
    /// is adopted to stands in /etc/stillpoint/adopt.conf; options only take away from that.
    Run(Deferred<run::Arguments>),

    /// Say who writes below a folder, how each is covered, and what to change
    ///
    /// Looks at every process that has files open for writing there, at locks that are held for longer than a
    /// pause can wait, and at the configuration. The status is 0 if all is well, and 1 if not.
    Check(Deferred<check::Arguments>),

    /// Let systemd start a unit with the library
    ///
    /// Writes /etc/systemd/system/UNIT.d/stillpoint-adopt.conf, and says what to restart, and what the programs of
    /// the unit have to be told besides.
    Enable(Deferred<enable::Arguments>),

    /// Take that back
    ///
    /// Removes the file that `adopt enable` has written, and no other.
    Disable(Deferred<enable::Disabling>),
}

impl Arguments {
    /// Whether this process becomes another program.
    pub fn outlives_us(&self) -> bool {
        matches!(self.verb, Verb::Run(_))
    }
}

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    match arguments.verb {
        Verb::Run(Deferred(arguments)) => run::run(arguments),
        Verb::Check(Deferred(arguments)) => check::run(arguments),
        Verb::Enable(Deferred(arguments)) => enable::run(arguments),
        Verb::Disable(Deferred(arguments)) => enable::disable(&arguments),
    }
}
