//! Whether what makes a host's part can do so, asked by an agent before anybody counts on it.
//!
//! It is started as for a part and told nothing: whose words fit waits for the first word, before which nothing is done,
//! and ends as its input does. What cannot be said so, whether a barrier is there and a folder is mounted, may be so
//! later; it is tried as far as that goes without closing a gate.

use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use nix::libc;
use tokio::time::timeout;

use super::{Child, Work, failed, refused, status};
use crate::record::report::Failed;
use crate::words::exit::Exit;

/// Anything that is started at all says something by then, on a disk that is busy.
const ANSWER: Duration = Duration::from_secs(30);
/// As many lines are shown.
const SHOWN: usize = 5;

impl Child {
    /// Words that are none, and a job that is not there or not understood.
    ///
    /// # Errors
    /// What is wrong, on one line, with the status that the command documents for it.
    pub async fn check(&self) -> Result<(), Failed> {
        let words = self.0.work.words();
        let said = self.said(&words).await?;
        let is_waiting = |ended: ExitStatus| status(ended) == Some(128 + libc::SIGTERM as u8);
        if is_waiting(said.status) {
            return Ok(());
        }
        let answer = String::from_utf8_lossy(&said.stdout);
        if let Some(failed) = answer.lines().find_map(|line| line.strip_prefix("failed ")) {
            return Err(refused(failed));
        }
        let wrong = complaints(&said).into_iter().next();
        let exit = status(said.status).filter(|exit| *exit != 0);
        Err(Failed {
            text: format!(
                "`{} {}` makes no part of a snapshot: {}",
                self.0.program.display(),
                words.join(" "),
                wrong.as_deref().unwrap_or("it ends at once, and is told nothing")
            ),
            exit: exit.unwrap_or(Exit::USAGE.code()),
        })
    }

    /// What keeps a part from being made as things are now.
    pub async fn doubts(&self) -> Vec<String> {
        let words = match &self.0.work {
            Work::Job(job) => ["job", "check", "--", job].map(str::to_owned).to_vec(),
            Work::Snapshot(words) => {
                let verb = ["snapshot", "--dry-run"].map(str::to_owned);
                verb.into_iter().chain(words.iter().cloned()).collect()
            }
        };
        match self.said(&words).await {
            Ok(said) if said.status.success() => Vec::new(),
            Ok(said) => complaints(&said).into_iter().take(SHOWN).collect(),
            Err(failed) => vec![failed.text],
        }
    }

    async fn said(&self, words: &[String]) -> Result<Output, Failed> {
        let mut program = self.program(words.iter().map(String::as_str));
        program.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let said = timeout(ANSWER, program.output()).await;
        let said = said.map_err(|_| {
            failed(Exit::SYSTEM, format!("{} does not answer", self.0.program.display()))
        })?;
        said.map_err(|error| self.cannot_run(&error))
    }
}

/// What stands on standard error, without who says it. What is indented belongs to the line above it.
fn complaints(said: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&said.stderr);
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        match lines.last_mut() {
            Some(last) if line.starts_with(' ') => *last += &format!(" {}", line.trim()),
            _ => {
                let line = line.strip_prefix("stillpoint: ").unwrap_or(line);
                lines.push(line.strip_prefix("error: ").unwrap_or(line).trim().to_owned());
            }
        }
    }
    lines
}
