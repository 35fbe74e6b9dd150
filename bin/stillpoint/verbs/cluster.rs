//! `stillpoint cluster`: becomes stillpoint-cluster, which is a package of its own.

use std::ffi::OsString;
use std::process::Command;

use crate::process::cluster::{self, PROGRAM};
use crate::process::{child, inherited};
use crate::words::exit::{Exit, Failure, STATUSES};

#[derive(clap::Args)]
#[command(after_help = STATUSES)]
pub struct Arguments {
    /// What stillpoint-cluster is to do, as its own help says
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "WORD",
        required = true
    )]
    words: Vec<OsString>,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    let Some(program) = cluster::find() else {
        let message = format!(
            "{PROGRAM} is not installed: neither beside this program nor in PATH; it is a package of its own"
        );
        return Err(Failure::new(Exit::UNAVAILABLE, message).into());
    };
    let mut command = Command::new(program);
    command.args(arguments.words);
    inherited::hand_on(&mut command);
    Err(child::exec(&mut command).into())
}
