//! `stillpoint report`: a page about the snapshots of this machine, for a browser.
//!
//! One file that needs nothing else, neither a server nor the network nor scripts. What manifests say of themselves is
//! text there and nothing more, whatever it contains: everything goes through [`html::escape`]. Reads catalogues only.

mod asked;
mod chart;
mod html;
mod page;
mod series;

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use self::asked::Asked;
use self::series::Series;
use crate::catalogue::series::series as series_of;
use crate::files::aside::Aside;
use crate::files::names::folder_of;
use crate::words::exit::{Exit, Failure, STATUSES, reason};

#[derive(clap::Args)]
#[command(after_help = STATUSES)]
pub struct Arguments {
    /// The file to write, in place of one that is there
    #[arg(long, value_name = "FILE")]
    html: PathBuf,

    #[command(flatten)]
    asked: Asked,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    let found = arguments.asked.read()?;
    // What two catalogues call the same replaces each other in neither.
    let each = found.catalogues.iter().flat_map(|contents| series_of(&contents.manifests));
    let all: Vec<_> = each.map(|one| Series::of(&one)).collect();
    let damaged = found.catalogues.iter().map(|contents| contents.damaged.len()).sum();
    write(&arguments.html, &page::page(&found.place, &all, damaged, Timestamp::now()))?;
    Ok(match damaged == 0 && found.is_all {
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
