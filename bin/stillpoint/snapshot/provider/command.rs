//! `-- COMMAND`: whatever makes the snapshot, run while no writer is inside.
//!
//! It may be a tool for which there is no provider here. What it makes is its own affair: nothing
//! is renamed and nothing removed; the exit status and the manifest say whether to trust it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Freezes, Provider};
use crate::process::inherited;
use crate::process::tool::{self, Lookup};
use crate::snapshot::place::folder::known_place;
use crate::snapshot::place::mounts::Mounts;
use crate::snapshot::place::target::Target;
use crate::words::exit::{Exit, Failure};

pub const NAME: &str = "command";

/// The command of one snapshot.
pub struct UserCommand {
    words: Vec<OsString>,
    sync: Vec<PathBuf>,
    name: String,
    barriers: OsString,
}

impl UserCommand {
    pub fn new(
        words: &[OsString],
        sync: Option<&Path>,
        name: &str,
        barriers: &[PathBuf],
    ) -> Result<UserCommand, Failure> {
        let barriers: Vec<&OsStr> = barriers.iter().map(|path| path.as_os_str()).collect();
        Ok(UserCommand {
            words: words.to_owned(),
            sync: sync.map(known_place).transpose()?.into_iter().collect(),
            name: name.to_owned(),
            barriers: barriers.join(OsStr::new(":")),
        })
    }
}

impl Provider for UserCommand {
    fn name(&self) -> &'static str {
        NAME
    }

    fn sources(&self) -> &[PathBuf] {
        &self.sync
    }

    fn freezes(&self) -> Freezes {
        Freezes::Anything
    }

    fn check(&self, _target: Option<&Target>, _mounts: &Mounts) -> Result<(), Failure> {
        let (exit, what) = match tool::look_up(&self.words[0]) {
            Lookup::Found => return Ok(()),
            Lookup::NotExecutable => (Exit::CANNOT_EXECUTE, "not an executable file"),
            Lookup::Missing => (Exit::NOT_FOUND, "command not found"),
        };
        Err(Failure::new(exit, format!("{}: {what}", self.words[0].to_string_lossy())))
    }

    fn commands(&self, _target: Option<&Target>) -> Vec<Command> {
        let mut command = Command::new(&self.words[0]);
        command
            .args(&self.words[1..])
            .env("STILLPOINT_SNAPSHOT_NAME", &self.name)
            .env("STILLPOINT_BARRIERS", &self.barriers)
            // Those of another one, if we run under `use`.
            .env_remove("STILLPOINT_SNAPSHOT_PATH")
            .env_remove("STILLPOINT_SNAPSHOT_SOURCE");
        inherited::hand_on(&mut command);
        vec![command]
    }
}
