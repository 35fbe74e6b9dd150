//! The snapshot of a job, and its place in that of a group.
//!
//! It is there, for the steps behind it, once its manifest says so: of one that was told to wait for the verdict of its
//! group, when that has come.

use std::io::{self, Write};

use super::Run;
use crate::catalogue::manifest::Manifest;
use crate::process::ending::from_error;
use crate::selection::shown;
use crate::snapshot::{self, coordinated};
use crate::words::exit::{Exit, Failure};

impl Run<'_> {
    pub(super) fn snapshot(&mut self) -> anyhow::Result<Exit> {
        let arguments = &self.job.snapshot;
        let mut record = None;
        let outcome = snapshot::take(arguments, &mut record, &mut self.signals, self.told.as_ref());
        let exit = match &outcome {
            Err(error) => from_error(error, Exit::CONFLICT),
            Ok(_) => arguments.exit_of(record.as_ref()),
        };
        self.tried = Some((record.clone(), exit));
        self.part = outcome.map_err(coordinated::explain)?;
        match self.part {
            Some(_) => Ok(Exit::SUCCESS),
            None => self.is_there(record, exit),
        }
    }

    /// Waits for the verdict of the group.
    pub(super) fn verdict(&mut self) -> anyhow::Result<Exit> {
        let (Some(told), Some(part), Some((Some(mut manifest), _))) =
            (&self.told, self.part.take(), self.tried.take())
        else {
            return Ok(Exit::SUCCESS);
        };
        let arguments = &self.job.snapshot;
        let outcome = snapshot::settle(part, told, &mut manifest, &mut self.signals);
        let exit = match &outcome {
            Err(error) => from_error(error, Exit::CONFLICT),
            Ok(()) => arguments.exit_of(Some(&manifest)),
        };
        self.tried = Some((Some(manifest.clone()), exit));
        outcome?;
        self.is_there(Some(manifest), exit)
    }

    fn is_there(&mut self, record: Option<Manifest>, exit: Exit) -> anyhow::Result<Exit> {
        if let Some(manifest) = &record {
            self.record.snapshot = Some(manifest.name.clone());
            let mut output = io::stdout().lock();
            // That nobody reads it is no reason not to verify and prune.
            let _ = writeln!(output, "{}", shown::line(manifest)).and_then(|()| output.flush());
        }
        let reason = record.as_ref().and_then(|manifest| manifest.reason.clone());
        self.taken = record;
        match reason {
            Some(reason) if exit != Exit::SUCCESS => Err(Failure::new(exit, reason).into()),
            _ => Ok(exit),
        }
    }
}
