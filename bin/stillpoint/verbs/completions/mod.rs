//! `stillpoint completions`: a completion script for a shell, on standard output.
//!
//! Verbs and options stand in the script. What barriers, snapshots, jobs and units are called, it asks for when a
//! word is to be completed, by `completions --names`: see [`names`].

mod names;

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
        Arguments { shell: Some(shell), .. } => script(shell, &mut cli)?,
        Arguments { .. } => String::new(),
    };
    stdout().write_all(text.as_bytes()).context("standard output")?;
    Ok(Exit::SUCCESS)
}

fn script(shell: Shell, cli: &mut clap::Command) -> anyhow::Result<String> {
    // Into memory first: the generators panic when the reader has gone.
    let mut script = Vec::new();
    clap_complete::generate(shell, cli, "stillpoint", &mut script);
    let script = String::from_utf8(script)?;
    Ok(match shell {
        Shell::Bash => script + include_str!("names.bash"),
        // What it ends with calls the function, which is to ask for names first.
        Shell::Zsh => {
            let (functions, ending) = script.split_at(script.rfind("\nif ").unwrap_or(0));
            let functions = functions.replace("\n_stillpoint() {", "\n_stillpoint_words() {");
            functions + "\n" + include_str!("names.zsh") + ending
        }
        Shell::Fish => script + include_str!("names.fish") + &names::of_options(cli),
        _ => script,
    })
}
