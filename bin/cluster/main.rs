//! The command `stillpoint-cluster`: the library's verbs.

use std::process::ExitCode;

use clap::Parser;

use stillpoint_cluster::verbs::{self, Cli};
use stillpoint_cluster::words::exit::Exit;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A reader that went away is no reason to complain.
            drop(error.print());
            return match error.use_stderr() {
                true => Exit::USAGE.into(),
                false => Exit::SUCCESS.into(),
            };
        }
    };
    verbs::perform(cli).into()
}
