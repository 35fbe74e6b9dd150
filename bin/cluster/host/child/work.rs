//! What a host's part is made by, and which barriers it closes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use super::{Child, failed};
use crate::record::report::Failed;
use crate::words::exit::Exit;

const PROGRAM: &str = "stillpoint";
/// To read a folder of manifests, on a disk that is busy.
const ANSWER: Duration = Duration::from_secs(20);

/// What the command is told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// The job of this name.
    Job(String),
    /// A snapshot, with the words behind `stillpoint snapshot`.
    Snapshot(Vec<String>),
}

impl Work {
    /// All words.
    pub(super) fn words(&self) -> Vec<String> {
        let (verb, words): (&[&str], &[String]) = match self {
            Work::Job(job) => (&["job", "run", "--coordinated", "--"], std::slice::from_ref(job)),
            Work::Snapshot(words) => (&["snapshot", "--coordinated"], words),
        };
        verb.iter().map(|word| (*word).to_owned()).chain(words.iter().cloned()).collect()
    }

    /// Where it has its snapshots, in words for other verbs.
    pub(super) fn catalogue(&self) -> Vec<String> {
        match self {
            Work::Job(job) => vec![format!("--job={job}")],
            Work::Snapshot(words) => {
                let options = words.iter().take_while(|word| *word != "--");
                let mut words = options.skip_while(|word| !word.starts_with("--catalog"));
                match (words.next(), words.next()) {
                    (Some(both), _) if both.starts_with("--catalog=") => vec![both.clone()],
                    (Some(_), Some(folder)) => vec![format!("--catalog={folder}")],
                    _ => Vec::new(),
                }
            }
        }
    }
}

impl Child {
    /// The names of its barriers.
    ///
    /// # Errors
    /// Its job is not there, or cannot be read.
    pub async fn barriers(&self) -> Result<Vec<String>, Failed> {
        match &self.0.work {
            Work::Snapshot(words) => {
                let named = words.iter().take_while(|word| !word.starts_with('-'));
                Ok(named.cloned().collect())
            }
            Work::Job(job) => {
                let known = self.job(job).await?;
                let names = known["barriers"].as_array().into_iter().flatten();
                Ok(names.filter_map(Value::as_str).map(str::to_owned).collect())
            }
        }
    }

    /// The manifests in its catalogue.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn manifests(&self) -> Result<Vec<Value>, Failed> {
        let catalogue = match &self.0.work {
            Work::Snapshot(_) => self.0.work.catalogue(),
            Work::Job(job) => {
                let known = self.job(job).await?;
                known["catalog"]
                    .as_str()
                    .map(|folder| format!("--catalog={folder}"))
                    .into_iter()
                    .collect()
            }
        };
        let words = ["list", "--json"].into_iter().chain(catalogue.iter().map(String::as_str));
        self.read(words).await
    }

    /// What is known of a job.
    async fn job(&self, job: &str) -> Result<Value, Failed> {
        let jobs = self.read(["job", "list", "--json"]).await?;
        let found = jobs.into_iter().find(|one| one["job"] == *job);
        let known =
            found.ok_or_else(|| failed(Exit::MISSING, format!("there is no job {job} here")))?;
        match known["wrong"].as_str() {
            // Without any, its file was not understood.
            Some(wrong) if known["barriers"].as_array().is_none_or(Vec::is_empty) => {
                Err(failed(Exit::USAGE, format!("the job {job}: {wrong}")))
            }
            _ => Ok(known),
        }
    }

    /// The array that it prints.
    async fn read<'a>(
        &self,
        words: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<Value>, Failed> {
        let mut program = self.program(words);
        let said = timeout(ANSWER, program.kill_on_drop(true).output()).await;
        let said = said.map_err(|_| failed(Exit::SYSTEM, format!("{PROGRAM} does not answer")))?;
        let said = said.map_err(|error| self.cannot_run(&error))?;
        serde_json::from_slice(&said.stdout).map_err(|error| {
            let complaint = String::from_utf8_lossy(&said.stderr);
            let why = complaint.lines().last().map_or_else(|| error.to_string(), str::to_owned);
            failed(Exit::SYSTEM, why)
        })
    }
}

/// The command that was installed with this one, or the one in PATH.
pub fn program() -> PathBuf {
    let own = std::env::current_exe().ok();
    let folder = own.as_deref().and_then(Path::parent);
    let near = folder.map(|folder| {
        [folder.join(PROGRAM), folder.join("../../bin").join(PROGRAM)]
            .into_iter()
            .find(|program| program.is_file())
    });
    near.flatten().unwrap_or_else(|| PROGRAM.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(words: &str) -> Work {
        Work::Snapshot(words.split(' ').map(str::to_owned).collect())
    }

    #[test]
    fn the_catalogue_is_found_among_the_words() {
        for (words, catalogue) in [
            ("mail --btrfs /a --to /b", None),
            ("mail --catalog /c --btrfs /a --to /b", Some("--catalog=/c")),
            ("mail --catalog=/c -- x", Some("--catalog=/c")),
            ("mail -- x --catalog /d", None),
        ] {
            assert_eq!(snapshot(words).catalogue().first().map(String::as_str), catalogue);
        }
        assert_eq!(Work::Job("a b".to_owned()).catalogue(), ["--job=a b"]);
    }
}
