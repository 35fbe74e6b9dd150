//! The commands that a job names: what each is told, and how long it may take.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::child::ended::Ended;
use crate::process::child::{self, Bounds, Terms};
use crate::process::inherited;
use crate::process::signals::{Signals, received};
use crate::words::exit::{Exit, Failure};
use crate::words::seconds::display;

/// What is known when one is run.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    pub job: &'a str,
    /// Of the first step that went wrong: its status, its name, and why.
    pub exit: Exit,
    pub failed: Option<&'a str>,
    pub reason: Option<&'a str>,
}

/// A command that is told this.
pub fn command(words: &[String], known: Known<'_>) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::null());
    inherited::hand_on(&mut command);
    command.env("STILLPOINT_JOB", known.job);
    command.env("STILLPOINT_JOB_STATUS", known.exit.code().to_string());
    command.env("STILLPOINT_JOB_FAILED", known.failed.unwrap_or_default());
    command.env("STILLPOINT_JOB_REASON", known.reason.unwrap_or_default());
    command
}

/// Runs one to its end.
pub fn run(
    command: &mut Command,
    timeout: Option<Duration>,
    signals: &mut Signals,
) -> anyhow::Result<Exit> {
    if received().is_some() {
        // It was meant for the step before, and need not have reached anybody there.
        let cannot = |error| Failure::system("looking for signals", error);
        signals.wait(Some(Duration::ZERO)).map_err(cannot)?;
    }
    let bounds = bounds(timeout);
    let terms = Terms { bounds, inherited: &[], prints_errors_only: true, told: None };
    match child::run(command, terms, signals)? {
        Ended::AtLimit => Err(too_long(timeout).into()),
        ended => Ok(ended.exit()),
    }
}

pub fn bounds(timeout: Option<Duration>) -> Bounds {
    timeout.map_or(Bounds::None, |timeout| Bounds::Until(Instant::now() + timeout))
}

pub fn too_long(timeout: Option<Duration>) -> Failure {
    let timeout = timeout.map(display).unwrap_or_default();
    Failure::new(Exit::LIMIT, format!("was ended, as it took longer than {timeout}"))
}
