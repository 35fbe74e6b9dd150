//! `stillpoint completions`: a completion script for a shell, on standard output.

use anyhow::Context;
use std::io::{Write, stdout};

use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;
use crate::words::exit::Exit;

#[derive(clap::Args)]
pub struct Arguments {
    /// The shell to print it for
    shell: Shell,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    // Into memory first: the generators panic when the reader has gone.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "stillpoint", &mut script);
    stdout().write_all(&script).context("standard output")?;
    Ok(Exit::SUCCESS)
}
