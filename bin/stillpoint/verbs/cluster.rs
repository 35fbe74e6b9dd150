//! `stillpoint cluster`: becomes stillpoint-cluster, which is a package of its own.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use crate::process::tool::{self, Lookup, look_up};
use crate::process::{child, inherited};
use crate::words::exit::{Exit, Failure, STATUSES};

const PROGRAM: &str = "stillpoint-cluster";

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
    let Some(program) = find() else {
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

/// First of all the one that was installed with this program.
fn find() -> Option<PathBuf> {
    let own = std::env::current_exe().ok();
    let folder = own.as_deref().and_then(|own| own.parent());
    let beside = folder.map(|folder| folder.join(PROGRAM));
    let libexec = folder.map(|folder| folder.join("../libexec/stillpoint").join(PROGRAM));
    let near = beside.into_iter().chain(libexec);
    let is_there = |path: &PathBuf| matches!(look_up(path.as_os_str()), Lookup::Found);
    let mut near = near;
    near.find(is_there).or_else(|| tool::find(PROGRAM, &[]))
}
