//! `stillpoint check`: is everything as it should be? Looks, says what to do, and changes nothing.
//!
//! A plug-in of Nagios and of whatever speaks its language: the exit status is 0, 1, 2 or 3, the first line says the worst,
//! and what follows is a line for each thing that was looked at. What cannot be seen is said, and is no fault: who may see
//! more is told more.

mod barrier;
mod finding;
mod hooks;
mod library;
mod report;
mod schedule;
mod series;
mod writers;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::finding::{Findings, Level};
use crate::barrier::folder;
use crate::catalogue::Catalogue;
use crate::catalogue::reading::Contents;
use crate::words::exit::{Exit, reason};
use crate::words::lines;
use crate::words::span;

/// Nothing is known: what a plug-in says of itself.
pub const UNKNOWN: Exit = Exit::new(3);

#[derive(clap::Args)]
pub struct Arguments {
    /// Print a JSON object
    #[arg(long)]
    json: bool,

    /// A newest clean snapshot older than this is a warning, as 26h
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    warn_age: Option<Duration>,

    /// A newest clean snapshot older than this is critical, as 50h
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    critical_age: Option<Duration>,

    /// The folder of the manifests [default: $STILLPOINT_CATALOG, else /var/lib/stillpoint/catalog]
    #[arg(long, value_name = "DIR")]
    catalog: Option<PathBuf>,

    /// Look in $XDG_RUNTIME_DIR/stillpoint
    #[arg(long)]
    user: bool,

    /// Names or paths of barriers [default: all]
    barrier: Vec<OsString>,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    let mut findings = Findings::default();
    // Whatever keeps us from looking is said where a plug-in's reader finds it.
    if let Err(error) = look(&arguments, &mut findings) {
        findings.add(Level::Unknown, "check", "", lines::line(&error));
    }
    match arguments.json {
        true => report::json(&findings)?,
        false => report::text(&findings)?,
    }
    Ok(findings.worst().exit())
}

fn look(arguments: &Arguments, findings: &mut Findings) -> anyhow::Result<()> {
    let paths: BTreeSet<PathBuf> = match arguments.barrier.as_slice() {
        [] => folder::expected(arguments.user)?,
        names => names
            .iter()
            .map(|name| stillpoint::barrier_path(name, arguments.user))
            .collect::<Result<_, _>>()?,
    };
    if paths.is_empty() {
        let folder = stillpoint::barrier_folder(arguments.user)?;
        findings.add(
            Level::Unknown,
            "barrier",
            "",
            format!(
                "there are no barriers in {}; make one: stillpoint create NAME",
                folder.display()
            ),
        );
    }
    let catalogue = Catalogue::locate(arguments.catalog.as_deref());
    let snapshots = read(&catalogue, findings);
    let mut barriers = BTreeSet::new();
    for path in &paths {
        let barrier = barrier::check(path, arguments.user, findings);
        let of_barrier = snapshots.clone().under(&barrier);
        series::check(&barrier, &of_barrier, arguments, findings);
        writers::check(&barrier, &of_barrier, findings);
        schedule::check(&barrier, arguments.user, findings);
        barriers.insert(barrier);
    }
    library::check(&barriers, findings);
    hooks::check(Path::new("/"), findings);
    Ok(())
}

fn read(catalogue: &Catalogue, findings: &mut Findings) -> Contents {
    let folder = catalogue.folder().display().to_string();
    match catalogue.read() {
        Ok(contents) => {
            for (path, what) in &contents.damaged {
                let what = format!("is no manifest: {what}; move it out of the catalogue");
                findings.add(Level::Warning, "catalogue", &path.display().to_string(), what);
            }
            contents
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let what = "is not there: no snapshot was taken yet".to_owned();
            findings.add(Level::Ok, "catalogue", &folder, what);
            Contents::default()
        }
        Err(error) => {
            let what = format!("cannot be read: {}", reason(&error));
            findings.add(Level::Unknown, "catalogue", &folder, what);
            Contents::default()
        }
    }
}
