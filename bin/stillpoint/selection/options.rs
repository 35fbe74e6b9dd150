//! What `list`, `latest`, `prune` and `use` have in common: the catalogue, and which of its snapshots they are
//! about.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use super::filter::Filter;
use crate::catalogue::Catalogue;
use crate::catalogue::reading::Contents;
use crate::files::names::without_links;
use crate::words::exit::{Exit, Failure, reason};
use crate::words::lines;

/// The catalogue, and of whose snapshots it shall be.
#[derive(clap::Args)]
pub struct Selection {
    #[command(flatten)]
    pub place: Place,

    #[command(flatten)]
    pub filter: Filter,

    /// Only snapshots taken under this barrier, by name or path [default: all]
    barrier: Option<OsString>,
}

/// Where the manifests are.
#[derive(clap::Args)]
pub struct Place {
    /// The folder of the manifests [default: $STILLPOINT_CATALOG, else /var/lib/stillpoint/catalog]
    #[arg(long, value_name = "DIR")]
    pub catalog: Option<PathBuf>,

    /// Look for the barrier's name in $XDG_RUNTIME_DIR/stillpoint
    #[arg(long)]
    pub user: bool,
}

impl Selection {
    pub fn read(&self) -> anyhow::Result<Contents> {
        self.place.read(self.barrier.as_deref(), &self.filter)
    }

    /// For messages: where was looked, and for what.
    pub fn describe(&self) -> String {
        self.place.describe(self.barrier.as_deref(), &self.filter)
    }

    /// Says that there is nothing of what was asked for.
    pub fn say_none(&self) {
        lines::say(&format!("{}: there are no snapshots", self.describe()));
    }
}

impl Place {
    /// What is there of this barrier, or of all, that the filter takes. What is damaged is reported.
    pub fn read(&self, barrier: Option<&OsStr>, filter: &Filter) -> anyhow::Result<Contents> {
        let catalogue = self.catalogue();
        let mut contents =
            catalogue.read().map_err(|error| unreadable(catalogue.folder(), &error))?;
        for (path, what) in &contents.damaged {
            lines::say(&format!("{}: {what}; left alone and not counted", path.display()));
        }
        if let Some(barrier) = barrier {
            let barrier = without_links(&stillpoint::barrier_path(barrier, self.user)?);
            if !contents.manifests.iter().any(|manifest| manifest.concerns(&barrier)) {
                return Err(unknown(catalogue.folder(), &barrier, &contents).into());
            }
            contents = contents.under(&barrier);
        }
        contents.manifests.retain(|manifest| filter.takes(manifest));
        Ok(contents)
    }

    pub fn catalogue(&self) -> Catalogue {
        Catalogue::locate(self.catalog.as_deref())
    }

    pub fn describe(&self, barrier: Option<&OsStr>, filter: &Filter) -> String {
        described(&self.catalogue().folder().display().to_string(), barrier, filter)
    }
}

/// For messages: where was looked, and for what.
pub fn described(place: &str, barrier: Option<&OsStr>, filter: &Filter) -> String {
    let barrier = barrier.map(|barrier| format!(" of {}", barrier.to_string_lossy()));
    match barrier.unwrap_or_default() + &filter.describe() {
        what if what.is_empty() => place.to_owned(),
        what => format!("{place}:{what}"),
    }
}

/// A barrier that no manifest names: more likely a slip than one that waits for its first snapshot.
fn unknown(folder: &Path, barrier: &Path, contents: &Contents) -> Failure {
    let barriers: BTreeSet<String> = contents
        .manifests
        .iter()
        .flat_map(|manifest| &manifest.barriers)
        .map(|record| record.barrier.display().to_string())
        .collect();
    let found = match barriers.len() {
        0 => "nor under any other barrier".to_owned(),
        _ => format!("only under {}", Vec::from_iter(barriers).join(", ")),
    };
    let message = format!(
        "{}: no snapshot was ever taken under {}, {found}",
        folder.display(),
        barrier.display()
    );
    Failure::new(Exit::MISSING, message)
}

fn unreadable(folder: &Path, error: &io::Error) -> Failure {
    let exit = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Exit::MISSING,
        io::ErrorKind::PermissionDenied => Exit::DENIED,
        _ => Exit::SYSTEM,
    };
    let (folder, reason) = (folder.display(), reason(error));
    let message = match error.kind() {
        io::ErrorKind::NotFound => format!(
            "{folder}: there is no catalogue; the first snapshot makes one, or name another folder with --catalog"
        ),
        _ => format!(
            "{folder}: the catalogue cannot be read: {reason}; name another folder with --catalog"
        ),
    };
    Failure::new(exit, message)
}
