//! The command `stillpoint-cluster`: the library's verbs.

use std::process::ExitCode;

use stillpoint_cluster::verbs;
use stillpoint_cluster::words::exit::Exit;
use stillpoint_cluster::words::lines::{PROGRAM, complain};
use stillpoint_cluster::words::output::is_journal;
use stillpoint_cluster::words::usage;

fn main() -> ExitCode {
    let cli = match verbs::parse() {
        Ok(cli) => cli,
        Err(error) => {
            match error.use_stderr() && is_journal() {
                true => complain(usage::line(PROGRAM, &error)),
                // A reader that went away is no reason to complain.
                false => drop(error.print()),
            }
            return match error.use_stderr() {
                true => Exit::USAGE.into(),
                false => Exit::SUCCESS.into(),
            };
        }
    };
    verbs::perform(cli).into()
}
