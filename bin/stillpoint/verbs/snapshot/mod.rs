//! `stillpoint snapshot`: takes a snapshot, prints where it is, and writes down how it went.

mod report;

use crate::catalogue::manifest::Manifest;
use crate::metrics::textfile::Writer;
use crate::metrics::{self, textfile};
use crate::process::ending::from_error;
use crate::process::signals::Signals;
use crate::snapshot;
use crate::snapshot::arguments::Arguments;
use crate::snapshot::coordinated::{self, Coordinated};
use crate::words::exit::Exit;
use crate::words::lines::warn;

/// Takes a snapshot and prints where it is.
pub fn run(mut arguments: Arguments) -> anyhow::Result<Exit> {
    if arguments.barriers.is_empty() {
        return Err(arguments.without_barrier().into());
    }
    if arguments.coordinated {
        coordinated::take_line()?;
    }
    let mut record = None;
    let metrics = arguments.metrics_textfile.clone();
    let writable = metrics.as_deref().map_or(Ok(()), |file| textfile::check(file, Writer::Run));
    let metrics = metrics.filter(|_| writable.is_ok() && !arguments.dry_run);
    let outcome = writable.map_err(Into::into).and_then(|()| take(&mut arguments, &mut record));
    let error = outcome.as_ref().err();
    let exit = match error {
        Some(error) => from_error(error, Exit::CONFLICT),
        None => arguments.exit_of(record.as_ref()),
    };
    if let (Some(manifest), false) = (&record, arguments.dry_run) {
        report::log(manifest, error);
    }
    if let Some(file) = &metrics {
        metrics::run::write(file, &arguments, record.as_ref(), exit)
            .unwrap_or_else(|failure| warn(&failure.to_string()));
    }
    if !arguments.coordinated {
        report::print(&arguments, record.as_ref(), error)?;
    }
    outcome.map(|()| exit)
}

fn take(arguments: &mut Arguments, record: &mut Option<Manifest>) -> anyhow::Result<()> {
    let mut signals = Signals::watch()?;
    if !arguments.coordinated {
        return snapshot::take(arguments, record, &mut signals, None).map(drop);
    }
    coordinated::check(arguments).map_err(coordinated::unfit)?;
    let taken = Coordinated::begin(&mut signals).and_then(|told| {
        told.restrict(arguments);
        let part = snapshot::take(arguments, record, &mut signals, Some(&told))?;
        Ok((told, part))
    });
    let (told, part) = taken.map_err(coordinated::failed)?;
    match (part, record) {
        (Some(part), Some(manifest)) => snapshot::settle(part, &told, manifest, &mut signals),
        _ => Ok(()),
    }
}
