//! `stillpoint status`: what goes on at a barrier. Reads only.

use anyhow::Context;
use std::ffi::OsString;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::time::Duration;

use stillpoint::{ErrorKind, Status};

use crate::barrier::folder;
use crate::metrics::textfile::{self, Writer};
use crate::process::ending;
use crate::selection::filter::Filter;
use crate::words::exit::{Exit, Failure};
use crate::words::lines;
use crate::words::output::is_dumb;
use crate::words::terminal::Terminal;

mod durable;
mod jobs;
mod json;
mod prometheus;
mod sights;
mod text;
mod watch;
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
    #[arg(long, group = "metrics", conflicts_with_all = ["json", "watch"])]
    prometheus: bool,

    /// Write them to this file, for Prometheus's textfile collector
    #[arg(long, value_name = "FILE", group = "metrics", conflicts_with_all = ["json", "watch"])]
    metrics_textfile: Option<PathBuf>,

    /// With --prometheus: the catalogue to look for snapshots in; given again, that too [default: $STILLPOINT_CATALOG, else /var/lib/stillpoint/catalog, and those of the jobs]
    #[arg(long, value_name = "DIR", requires = "metrics")]
    catalog: Vec<PathBuf>,

    #[command(flatten)]
    filter: Filter,

    /// All numbers of each writer and all who were lost, also on a terminal, where some are left out
    #[arg(long, conflicts_with_all = ["json", "prometheus", "metrics_textfile"])]
    wide: bool,

    /// Report every second until interrupted; on a terminal in one place
    #[arg(long)]
    watch: bool,

    /// Look in $XDG_RUNTIME_DIR/stillpoint
    #[arg(long)]
    user: bool,

    /// Names or paths of barriers [default: all]
    barrier: Vec<OsString>,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    let is_for_metrics = arguments.prometheus || arguments.metrics_textfile.is_some();
    if !is_for_metrics && !arguments.filter.is_empty() {
        let message =
            "--source, --provider and --label are about snapshots; use them with --prometheus";
        return Err(Failure::usage(message).into());
    }
    if is_for_metrics {
        return write_metrics(&arguments);
    }
    let mut sights = Sights::default();
    if let (true, false, Some(_)) =
        (arguments.watch && !is_dumb(), arguments.json, Terminal::of_output())
    {
        return watch::watch(|| report(&arguments, &mut sights));
    }
    let mut said = Vec::new();
    loop {
        let report = report(&arguments, &mut sights)?;
        let mut out = stdout().lock();
        if arguments.watch && !arguments.json && !report.text.is_empty() {
            out.write_all(b"\n").context("standard output")?;
        }
        out.write_all(report.text.as_bytes())
            .and_then(|()| out.flush())
            .context("standard output")?;
        // Once is enough.
        for line in report.lines.iter().filter(|line| !said.contains(*line)) {
            line.write();
        }
        if !arguments.watch || (said.is_empty() && report.is_nothing()) {
            return Ok(report.exit);
        }
        said = report.lines;
        std::thread::sleep(INTERVAL);
    }
}

fn write_metrics(arguments: &Arguments) -> anyhow::Result<Exit> {
    let file = arguments.metrics_textfile.as_deref();
    file.map_or(Ok(()), |file| textfile::check(file, Writer::Report))?;
    let report = prometheus::report(arguments)?;
    match file {
        Some(file) => textfile::write(file, &report.text)?,
        None => stdout().lock().write_all(report.text.as_bytes()).context("standard output")?,
    }
    report.lines.iter().for_each(Line::write);
    Ok(report.exit)
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
    fn text(&self) -> &str {
        match self {
            Line::Note(text) | Line::Complaint(text) => text,
        }
    }

    fn write(&self) {
        match self {
            Line::Note(text) => lines::say(text),
            Line::Complaint(text) => lines::complain(&anyhow::Error::msg(text.clone())),
        }
    }
}

impl Report {
    fn new() -> Report {
        Report { text: String::new(), lines: Vec::new(), exit: Exit::SUCCESS }
    }

    fn is_failed(&self) -> bool {
        self.exit != Exit::SUCCESS
    }

    /// There is nothing that could be watched.
    fn is_nothing(&self) -> bool {
        self.text.is_empty() && self.is_failed()
    }

    fn complain(&mut self, error: &anyhow::Error) {
        if !self.is_failed() {
            self.exit = ending::from_error(error, Exit::CONFLICT);
        }
        self.lines.push(Line::Complaint(lines::line(error)));
    }
}

fn report(arguments: &Arguments, sights: &mut Sights) -> anyhow::Result<Report> {
    let mut report = Report::new();
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
    let terminal = Terminal::of_output().filter(|_| !arguments.wide);
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
        if arguments.json {
            json::write(&mut report.text, &status)?;
        } else {
            if !report.text.is_empty() {
                report.text.push('\n');
            }
            writers::name_commands(&mut status);
            text::write(&mut report.text, &status, terminal)?;
        }
    }
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

/// How many writers have ended inside that nobody has counted yet: the dirty epoch knows of them with the next pause, and
/// no snapshot that it is for is clean.
fn uncounted(status: &Status) -> usize {
    status.writers.iter().filter(|one| one.inside && !one.alive && one.is_watched).count()
}
