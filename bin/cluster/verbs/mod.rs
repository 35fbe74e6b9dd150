//! What `stillpoint-cluster VERB` does.
//!
//! Uses all rooms below. Right about each verb ending with a documented exit status and one line that says why.

use clap::{Parser, Subcommand};

use crate::words::exit::Exit;

/// One consistent pause across the hosts of a group.
#[derive(Debug, Parser)]
#[command(name = "stillpoint-cluster", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

/// The verbs.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum Verb {}

/// Does what was asked for.
pub fn perform(cli: Cli) -> Exit {
    match cli.verb {
        None => Exit::USAGE,
        Some(verb) => match verb {},
    }
}
