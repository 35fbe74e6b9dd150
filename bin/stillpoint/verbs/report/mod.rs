//! `stillpoint report`: a page about the snapshots of a catalogue, for a browser.
//!
//! One file that needs nothing else, neither a server nor the network nor scripts. What manifests say of themselves is
//! text there and nothing more, whatever it contains: everything goes through [`html::escape`]. Reads the catalogue only.

mod chart;
mod html;
mod page;
mod series;

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::catalogue::series::series as series_of;
use crate::files::aside::Aside;
use crate::files::names::folder_of;
use crate::selection::options::Selection;
use crate::words::exit::{Exit, Failure, STATUSES, reason};

#[derive(clap::Args)]
#[command(after_help = STATUSES)]
pub struct Arguments {
    /// The file to write, in place of one that is there
    #[arg(long, value_name = "FILE")]
    html: PathBuf,

    #[command(flatten)]
    selection: Selection,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    let contents = arguments.selection.read()?;
    let all: Vec<_> =
        series_of(&contents.manifests).iter().map(|one| series::Series::of(one)).collect();
    let place = arguments.selection.describe();
    let text = page::page(&place, &all, contents.damaged.len(), Timestamp::now());
    write(&arguments.html, &text)?;
    Ok(match contents.damaged.is_empty() {
        true => Exit::SUCCESS,
        false => Exit::DATA,
    })
}

/// Aside, then in its place: whoever opens it meanwhile sees all of the old page or all of the new one.
fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let written = (|| {
        if file.symlink_metadata().is_ok_and(|found| !found.is_file()) {
            return Err(std::io::Error::other("is no file; name one, or a new one"));
        }
        // Whoever serves it is another user, as for a file that was made by any program.
        Aside::write(folder_of(file), 0o644, text.as_bytes())?.replace(file)
    })();
    written.map_err(|error: std::io::Error| {
        Failure::new(Exit::CANNOT_CREATE, format!("{}: {}", file.display(), reason(&error)))
    })
}
