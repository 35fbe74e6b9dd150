//! `stillpoint status`: what goes on at a barrier. Reads only.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal, Write, stdout};
use std::path::{Path, PathBuf};
use std::time::Duration;

use stillpoint::Status;

use crate::catalogue::Catalogue;
use crate::catalogue::reading::Contents;
use crate::exit::{self, Exit, Failure};
use crate::exposition::Exposition;
use crate::filter::Filter;

mod json;
pub mod prometheus;
mod text;

/// Between two reports of --watch.
const INTERVAL: Duration = Duration::from_secs(1);

#[derive(clap::Args)]
pub struct Arguments {
    /// Print one JSON object per barrier, each on a line of its own
    #[arg(long)]
    json: bool,

    /// Print metrics for Prometheus
    #[arg(long, conflicts_with_all = ["json", "watch"])]
    prometheus: bool,

    /// With --prometheus: the catalogue to look for the newest clean snapshot in [default: $STILLPOINT_CATALOG, else /var/lib/stillpoint/catalog]
    #[arg(long, value_name = "DIR", requires = "prometheus")]
    catalog: Option<PathBuf>,

    #[command(flatten)]
    filter: Filter,

    /// Report every second until interrupted
    #[arg(long)]
    watch: bool,

    /// Look in $XDG_RUNTIME_DIR/stillpoint
    #[arg(long)]
    user: bool,

    /// Names or paths of barriers [default: all]
    barrier: Vec<OsString>,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    if !arguments.prometheus && !arguments.filter.is_empty() {
        let message =
            "--source, --provider and --label are about snapshots; use them with --prometheus";
        return Err(Failure::usage(message).into());
    }
    loop {
        let (report, exit) = report(&arguments)?;
        let mut out = stdout().lock();
        if arguments.watch && !arguments.json {
            // Home and clear on a terminal, a blank line elsewhere.
            let separator = match out.is_terminal() {
                true => "\x1b[H\x1b[J",
                false => "\n",
            };
            out.write_all(separator.as_bytes())?;
        }
        out.write_all(report.as_bytes())?;
        out.flush()?;
        if !arguments.watch {
            return Ok(exit);
        }
        std::thread::sleep(INTERVAL);
    }
}

/// One report, and the status of the first barrier or catalogue that could not be read: the others are
/// shown.
fn report(arguments: &Arguments) -> anyhow::Result<(String, Exit)> {
    let paths = match arguments.barrier.as_slice() {
        [] => all(arguments.user)?,
        names => names
            .iter()
            .map(|name| stillpoint::barrier_path(name, arguments.user))
            .collect::<Result<_, _>>()?,
    };
    let mut report = String::new();
    let mut exit = Exit::SUCCESS;
    let mut complain = |error: anyhow::Error| {
        exit::complain(&error);
        if exit == Exit::SUCCESS {
            exit = exit::from_error(&error, Exit::CONFLICT);
        }
    };
    let mut exposition = Exposition::default();
    let mut snapshots = match arguments.prometheus {
        true => snapshots(arguments.catalog.as_deref()).unwrap_or_else(|failure| {
            complain(failure.into());
            Contents::default()
        }),
        false => Contents::default(),
    };
    snapshots.manifests.retain(|manifest| arguments.filter.takes(manifest));
    // One sample twice would make a scraper refuse all of them.
    let mut exposed = Vec::new();
    for path in &paths {
        match Status::read(path) {
            Ok(status) if arguments.prometheus => {
                if !exposed.contains(&status.barrier) {
                    let snapshots = snapshots.clone().under(&status.barrier);
                    prometheus::add(&mut exposition, &status, &snapshots);
                    exposed.push(status.barrier);
                }
            }
            Ok(status) if arguments.json => json::write(&mut report, &status)?,
            Ok(status) => {
                if !report.is_empty() {
                    report.push('\n');
                }
                text::write(&mut report, &status)?;
            }
            Err(error) => complain(error.into()),
        }
    }
    report.push_str(&exposition.text());
    Ok((report, exit))
}

/// What the catalogue has. That there is none says that there are no snapshots.
fn snapshots(folder: Option<&Path>) -> Result<Contents, Failure> {
    let catalogue = Catalogue::locate(folder);
    match catalogue.read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Contents::default()),
        Err(error) => Err(Failure::system(catalogue.folder().display(), error)),
        Ok(contents) => Ok(contents),
    }
}

/// All barriers in the folder of names, in their order.
fn all(user: bool) -> anyhow::Result<Vec<PathBuf>> {
    let folder = stillpoint::barrier_folder(user)?;
    let entries = match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            let what = format!("cannot read the folder {}", folder.display());
            return Err(Failure::system(what, error).into());
        }
        Ok(entries) => entries,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new("barrier")) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}
