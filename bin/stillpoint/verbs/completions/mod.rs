//! `stillpoint completions`: a completion script for a shell, on standard output.
//!
//! Verbs and options stand in the script. What barriers, snapshots, jobs and units are called, it asks for when a
//! word is to be completed, by `completions --names`: see [`names`].

mod names;
#[allow(dead_code, reason = "stillpoint-cluster uses the rest of it")]
mod place;
mod script;

use std::ffi::OsString;
use std::io::{Write, stdout};

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;
use crate::words::exit::Exit;

#[derive(clap::Args)]
#[command(override_usage = "stillpoint completions SHELL")]
pub struct Arguments {
    /// The shell to print it for
    #[arg(required_unless_present = "names")]
    shell: Option<Shell>,

    /// Print the names that the last word may become, for such a script
    #[arg(long, hide = true, num_args = 0.., value_name = "WORD", allow_hyphen_values = true)]
    names: Option<Vec<OsString>>,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    let mut cli = Cli::command();
    cli.build();
    let text = match arguments {
        Arguments { names: Some(words), .. } => names::of(&cli, &words),
        Arguments { shell: Some(shell), .. } => script::script(shell, "stillpoint", &mut cli)?,
        Arguments { .. } => String::new(),
    };
    stdout().write_all(text.as_bytes()).context("standard output")?;
    Ok(Exit::SUCCESS)
}
