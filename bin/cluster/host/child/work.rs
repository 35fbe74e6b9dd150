//! What a host's part is made by, and which barriers it closes.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::time::timeout;

use super::{Child, MOMENT};

const PROGRAM: &str = "stillpoint";

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
    /// The names of its barriers, as far as they can be told.
    pub(super) async fn barriers(&self) -> Vec<String> {
        let job = match &self.0.work {
            Work::Snapshot(words) => {
                let named = words.iter().take_while(|word| !word.starts_with('-'));
                return named.cloned().collect();
            }
            Work::Job(job) => job,
        };
        let mut program = self.program(["job", "list", "--json"]);
        program.stderr(std::process::Stdio::null()).kill_on_drop(true);
        let Ok(Ok(said)) = timeout(MOMENT, program.output()).await else { return Vec::new() };
        let jobs: Vec<Value> = serde_json::from_slice(&said.stdout).unwrap_or_default();
        let found = jobs.iter().find(|one| one["job"] == **job);
        let barriers = found.and_then(|one| one["barriers"].as_array());
        let names = barriers.into_iter().flatten().filter_map(Value::as_str);
        names.map(str::to_owned).collect()
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
