//! `stillpoint latest`: the newest snapshot that may be trusted. Reads only.
//!
//! The newest is the one that was begun last, by the sequence numbers of the manifests. It is named
//! only if its data is there: what a command made has none that could be named, and a script that was
//! handed a word instead of a path would go on with that.

use anyhow::Context;
use std::io::{Write, stdout};

use crate::catalogue::manifest::Manifest;
use crate::selection::newest::{self, Wanted};
use crate::selection::options::Selection;
use crate::selection::shown::{Now, line};
use crate::snapshot::place::mounts::Mounts;
use crate::words::exit::{Exit, STATUSES};

#[derive(clap::Args)]
#[command(after_help = STATUSES)]
pub struct Arguments {
    #[command(flatten)]
    wanted: Wanted,

    /// Print its manifest as JSON instead of its path
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    selection: Selection,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    let contents = arguments.selection.read()?;
    let named = arguments.selection.filter.is_for_commands();
    let is_wanted =
        |manifest: &Manifest| arguments.wanted.takes(manifest) && (named || manifest.has_data());
    let Some(newest) = newest::choose(&contents, is_wanted)? else {
        return Err(
            newest::none(&contents, arguments.wanted, &arguments.selection.describe()).into()
        );
    };
    let catalogue = arguments.selection.place.catalogue();
    let text = match arguments.json {
        true => {
            let mounted = Mounts::read().is_ok_and(|mounts| mounts.show(newest));
            let now = Now::of(&catalogue, newest, mounted);
            serde_json::to_string_pretty(&now.json(newest))?
        }
        false => line(newest),
    };
    let mut out = stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).context("standard output")?;
    Ok(Exit::SUCCESS)
}
