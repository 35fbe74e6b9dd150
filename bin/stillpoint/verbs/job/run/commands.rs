//! The commands that a job names: what each is told, and how long it may take.

use std::process::Command;
use std::time::{Duration, Instant};

use super::Run;
use crate::process::child::ended::Ended;
use crate::process::child::{self, Bounds, Terms};
use crate::process::inherited;
use crate::process::signals::received;
use crate::words::exit::{Exit, Failure};
use crate::words::seconds::display;

impl Run<'_> {
    pub(super) fn hook(&mut self, words: Option<&[String]>) -> anyhow::Result<Exit> {
        let Some(words) = words else { return Ok(Exit::SUCCESS) };
        if received().is_some() {
            // It was meant for the step before, and need not have reached anybody there.
            let cannot = |error| Failure::system("looking for signals", error);
            self.signals.wait(Some(Duration::ZERO)).map_err(cannot)?;
        }
        let mut command = self.command(words);
        let timeout = self.job.hooks.timeout;
        let terms =
            Terms { bounds: bounds(timeout), inherited: &[], prints_errors_only: true, told: None };
        match child::run(&mut command, terms, &mut self.signals)? {
            Ended::AtLimit => Err(too_long(timeout).into()),
            ended => Ok(ended.exit()),
        }
    }

    /// A command that is told what is known by now.
    pub(super) fn command(&self, words: &[String]) -> Command {
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(std::process::Stdio::null());
        inherited::hand_on(&mut command);
        command.env("STILLPOINT_JOB", &self.job.name);
        command.env("STILLPOINT_JOB_STATUS", self.exit.code().to_string());
        command.env("STILLPOINT_JOB_FAILED", self.record.failed.as_deref().unwrap_or_default());
        command.env("STILLPOINT_JOB_REASON", self.record.reason.as_deref().unwrap_or_default());
        let taken = self.taken.as_ref();
        command.env("STILLPOINT_SNAPSHOT_NAME", taken.map_or("", |taken| &taken.name));
        let places = taken.map(|taken| taken.places().join(" ")).unwrap_or_default();
        command.env("STILLPOINT_SNAPSHOT_PATH", places);
        let sources = taken.map(|taken| &taken.sources[..]).unwrap_or_default();
        let sources: Vec<String> =
            sources.iter().map(|source| source.display().to_string()).collect();
        command.env("STILLPOINT_SNAPSHOT_SOURCE", sources.join(" "));
        command
    }
}

pub fn bounds(timeout: Option<Duration>) -> Bounds {
    timeout.map_or(Bounds::None, |timeout| Bounds::Until(Instant::now() + timeout))
}

pub fn too_long(timeout: Option<Duration>) -> Failure {
    let timeout = timeout.map(display).unwrap_or_default();
    Failure::new(Exit::LIMIT, format!("was ended, as it took longer than {timeout}"))
}
