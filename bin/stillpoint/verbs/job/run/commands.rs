//! The commands that a job names, told of its snapshot.

use std::process::Command;

use super::Run;
use crate::job::commands::{self, Known};
use crate::words::exit::Exit;

impl Run<'_> {
    pub(super) fn hook(&mut self, words: Option<&[String]>) -> anyhow::Result<Exit> {
        let Some(words) = words else { return Ok(Exit::SUCCESS) };
        let mut command = self.command(words);
        commands::run(&mut command, self.job.hooks.timeout, &mut self.signals)
    }

    /// A command that is told what is known by now.
    pub(super) fn command(&self, words: &[String]) -> Command {
        let known = Known {
            job: &self.job.name,
            exit: self.exit,
            failed: self.record.failed.as_deref(),
            reason: self.record.reason.as_deref(),
        };
        let mut command = commands::command(words, known);
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
