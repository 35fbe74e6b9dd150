//! What programs are adopted to, as far as the tool has to do with it: `/etc/stillpoint/adopt.conf`.
//!
//! What it protects is not asked for by itself: a tool names what it reads. But programs that read this file do not wait
//! where it protects nothing, or at another barrier, and a pause there would be none.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use stillpoint::LockedFileSystems;

use crate::words::adoption::{Adoption, CONFIG, FILE};
use crate::words::exit::{Exit, Failure, reason};

/// The file, and what it says.
#[derive(Debug)]
pub struct Settings {
    file: PathBuf,
    said: Adoption,
}

impl Settings {
    /// What follows if there are none that could be read, for whoever says it.
    pub fn read() -> Result<Settings, String> {
        let file = stillpoint::variable(CONFIG).map_or_else(|| FILE.into(), PathBuf::from);
        match std::fs::read(&file) {
            // What it does not understand the library says, and `adopt check`.
            Ok(text) => Ok(Settings { said: Adoption::parse(&text, |_, _| {}), file }),
            Err(error) => {
                let (file, why) = (file.display(), reason(&error));
                Err(format!(
                    "--adopted: {file}: {why}; programs that are adopted by it do not wait"
                ))
            }
        }
    }

    /// Files whose locks say nothing.
    pub fn ignored(&self) -> &[PathBuf] {
        &self.said.ignored
    }

    /// Refuses paths on file systems where nobody waits.
    pub fn check(&self, paths: &[PathBuf]) -> Result<(), Failure> {
        let device = |path: &PathBuf| Some(LockedFileSystems::of([path]).ok()?.devices()[0]);
        let protected: Vec<u64> = self.said.protected.iter().filter_map(device).collect();
        let is_not = |path: &&PathBuf| device(path).is_some_and(|it| !protected.contains(&it));
        match paths.iter().find(is_not) {
            None => Ok(()),
            Some(path) => Err(self.refused(&format!(
                "does not protect the file system of {}: nobody waits there",
                path.display()
            ))),
        }
    }

    /// Refuses to close other barriers than that of the programs.
    pub fn check_barriers(&self, closed: &[&Path]) -> Result<(), Failure> {
        let identity = |path: &Path| std::fs::metadata(path).ok().map(|it| (it.dev(), it.ino()));
        let Some(barrier) = &self.said.barrier else {
            return Err(self.refused("names no barrier: nobody waits"));
        };
        let its = identity(barrier);
        let is_it = |path: &&Path| *path == barrier || its.is_some() && identity(path) == its;
        match closed.iter().any(is_it) {
            true => Ok(()),
            false => Err(self.refused(&format!(
                "adopts programs to {}, which is not closed: name that barrier, too",
                barrier.display()
            ))),
        }
    }

    fn refused(&self, why: &str) -> Failure {
        let message = format!("--adopted: {} {why}", self.file.display());
        Failure::new(Exit::UNAVAILABLE, message)
    }
}
