//! `stillpoint snapshot`: takes a snapshot, prints where it is, and writes down how it went.

mod report;

use crate::metrics::{self, textfile};
use crate::process::ending::from_error;
use crate::process::signals::Signals;
use crate::snapshot;
use crate::snapshot::arguments::Arguments;
use crate::words::exit::Exit;
use crate::words::lines::warn;

/// Takes a snapshot and prints where it is.
pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    if arguments.barriers.is_empty() {
        return Err(arguments.without_barrier().into());
    }
    let mut record = None;
    let metrics = arguments.metrics_textfile.as_deref();
    let writable = metrics.map_or(Ok(()), textfile::check);
    let metrics = metrics.filter(|_| writable.is_ok() && !arguments.dry_run);
    let outcome = writable
        .map_err(Into::into)
        .and_then(|()| snapshot::take(&arguments, &mut record, &mut Signals::watch()?));
    let error = outcome.as_ref().err();
    let exit = match error {
        Some(error) => from_error(error, Exit::CONFLICT),
        None => arguments.exit_of(record.as_ref()),
    };
    if let (Some(manifest), false) = (&record, arguments.dry_run) {
        report::log(manifest, error);
    }
    if let Some(file) = metrics {
        metrics::run::write(file, &arguments, record.as_ref(), exit)
            .unwrap_or_else(|failure| warn(&failure.to_string()));
    }
    report::print(&arguments, record.as_ref(), error)?;
    outcome.map(|()| exit)
}
