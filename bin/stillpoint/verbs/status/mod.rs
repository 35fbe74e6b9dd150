//! `stillpoint status`: what goes on at a barrier. Reads only.

use anyhow::Context;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::time::Duration;

use stillpoint::{ErrorKind, Status};

use crate::barrier::folder;
use crate::catalogue::Catalogue;
use crate::catalogue::reading::Contents;
use crate::process::ending;
use crate::selection::filter::Filter;
use crate::words::exit::{Exit, Failure};
use crate::words::exposition::Exposition;
use crate::words::lines;

mod durable;
mod json;
pub mod prometheus;
mod sights;
mod text;
mod writers;

use sights::Sights;

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
    let mut sights = Sights::default();
    let mut said = Vec::new();
    loop {
        let report = report(&arguments, &mut sights)?;
        let mut out = stdout().lock();
        let redraws = arguments.watch && !arguments.json && out.is_terminal();
        if redraws {
            // Home, and clear.
            out.write_all(b"\x1b[H\x1b[J").context("standard output")?;
        } else if arguments.watch && !arguments.json && !report.text.is_empty() {
            out.write_all(b"\n").context("standard output")?;
        }
        out.write_all(report.text.as_bytes())
            .and_then(|()| out.flush())
            .context("standard output")?;
        // Once is enough, unless it was wiped away.
        let wiped = redraws && stderr().is_terminal();
        for line in report.lines.iter().filter(|line| wiped || !said.contains(*line)) {
            line.write();
        }
        if !arguments.watch || (said.is_empty() && report.text.is_empty() && report.is_failed()) {
            return Ok(report.exit);
        }
        said = report.lines;
        std::thread::sleep(INTERVAL);
    }
}

/// What there is to say at one moment.
struct Report {
    text: String,
    /// For standard error.
    lines: Vec<Line>,
    /// Of the first barrier or catalogue that could not be read: the others are shown.
    exit: Exit,
}

#[derive(PartialEq, Eq)]
enum Line {
    Note(String),
    Complaint(String),
}

impl Line {
    fn write(&self) {
        match self {
            Line::Note(text) => lines::say(text),
            Line::Complaint(text) => lines::complain(&anyhow::Error::msg(text.clone())),
        }
    }
}

impl Report {
    fn is_failed(&self) -> bool {
        self.exit != Exit::SUCCESS
    }

    fn complain(&mut self, error: &anyhow::Error) {
        if !self.is_failed() {
            self.exit = ending::from_error(error, Exit::CONFLICT);
        }
        self.lines.push(Line::Complaint(lines::line(error)));
    }
}

fn report(arguments: &Arguments, sights: &mut Sights) -> anyhow::Result<Report> {
    let mut report = Report { text: String::new(), lines: Vec::new(), exit: Exit::SUCCESS };
    let named = !arguments.barrier.is_empty();
    let paths: Vec<PathBuf> = match arguments.barrier.as_slice() {
        [] => folder::all(arguments.user)?,
        names => names
            .iter()
            .map(|name| stillpoint::barrier_path(name, arguments.user))
            .collect::<Result<_, _>>()?,
    };
    if paths.is_empty() {
        let folder = stillpoint::barrier_folder(arguments.user)?;
        let folder = folder.display();
        report.lines.push(Line::Note(format!("there are no barriers in {folder}")));
    }
    let mut exposition = Exposition::default();
    let mut snapshots = match arguments.prometheus {
        true => snapshots(arguments.catalog.as_deref()).unwrap_or_else(|failure| {
            report.complain(&failure.into());
            Contents::default()
        }),
        false => Contents::default(),
    };
    snapshots.manifests.retain(|manifest| arguments.filter.takes(manifest));
    // One sample twice would make a scraper refuse all of them.
    let mut exposed = Vec::new();
    for path in &paths {
        let mut status = match Status::read(path) {
            Ok(status) => status,
            // It was there a moment ago.
            Err(error) if !named && error.kind() == ErrorKind::Missing => continue,
            Err(error) => {
                report.complain(&with_users(error, path));
                continue;
            }
        };
        match durable::add(&mut status, arguments.user) {
            Ok(note) => report.lines.extend(note.map(Line::Note)),
            Err(error) => report.complain(&error),
        }
        writers::keep(&mut status);
        sights.add_to(&mut status);
        if arguments.prometheus {
            if !exposed.contains(&status.barrier) {
                let snapshots = snapshots.clone().under(&status.barrier);
                prometheus::add(&mut exposition, &status, &snapshots);
                exposed.push(status.barrier);
            }
        } else if arguments.json {
            json::write(&mut report.text, &status)?;
        } else {
            if !report.text.is_empty() {
                report.text.push('\n');
            }
            text::write(&mut report.text, &status)?;
        }
    }
    report.text.push_str(&exposition.text());
    Ok(report)
}

/// Who hinders that there is a barrier: users of what stands in its place, or of the file that did.
fn with_users(error: stillpoint::Error, path: &Path) -> anyhow::Error {
    let (what, helps) = match error.kind() {
        ErrorKind::Missing => ("the file that stood here before", ", whom root brings over so"),
        ErrorKind::NotABarrier => ("it", ""),
        _ => return error.into(),
    };
    let users: Vec<String> =
        Status::users_without_barrier(path).iter().map(ToString::to_string).collect();
    if users.is_empty() {
        return error.into();
    }
    let message = format!("{error}; {what} is in use by {}{helps}", users.join(", "));
    Failure::new(Exit::MISSING, message).into()
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
