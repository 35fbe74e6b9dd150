//! Which snapshots the page shall show: those of the catalogues that are named, else of all that this machine has.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::catalogue::reading::Contents;
use crate::job::catalogues::of_machine;
use crate::selection::filter::Filter;
use crate::selection::options::{Place, described};
use crate::words::exit::{Exit, Failure};
use crate::words::lines;

#[derive(clap::Args)]
pub struct Asked {
    /// The folder of the manifests; given again, that too [default: $STILLPOINT_CATALOG, else /var/lib/stillpoint/catalog, and those of the jobs]
    #[arg(long, value_name = "DIR")]
    catalog: Vec<PathBuf>,

    /// Look for the barrier's name in $XDG_RUNTIME_DIR/stillpoint
    #[arg(long)]
    user: bool,

    #[command(flatten)]
    filter: Filter,

    /// Only snapshots taken under this barrier, by name or path [default: all]
    barrier: Option<OsString>,
}

/// What each catalogue has of it.
pub struct Found {
    /// Where was looked, and for what.
    pub place: String,
    pub catalogues: Vec<Contents>,
    /// There may be more, of jobs that could not be read.
    pub is_all: bool,
}

impl Asked {
    /// A catalogue that nobody has named may be missing, and not each has to know the barrier, if one does.
    pub fn read(&self) -> anyhow::Result<Found> {
        let barrier = self.barrier.as_deref();
        let (mut folders, mut catalogues, mut missing) = (Vec::new(), Vec::new(), None);
        let mut is_all = true;
        let unread = |error| {
            lines::say(&format!("{error}; what is only in its catalogue is not shown"));
            is_all = false;
        };
        for catalogue in of_machine(&self.catalog, self.user, unread) {
            let folder = catalogue.folder();
            let may_be_missing = folder.exists() || self.catalog.is_empty();
            let place = Place { catalog: Some(folder.to_owned()), user: self.user };
            match place.read(barrier, &self.filter) {
                Ok(contents) => {
                    folders.push(folder.display().to_string());
                    catalogues.push(contents);
                }
                Err(error) if may_be_missing && is_missing(&error) => {
                    missing.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        match missing {
            Some(error) if catalogues.is_empty() => Err(error),
            _ => {
                let place = described(&folders.join(", "), barrier, &self.filter);
                Ok(Found { place, catalogues, is_all })
            }
        }
    }
}

fn is_missing(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Failure>().is_some_and(|failure| failure.exit == Exit::MISSING)
}
