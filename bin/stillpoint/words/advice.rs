//! What a message tells its reader to type: complete, so that it can be taken as it stands.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// A barrier as its user named it.
pub struct Named {
    barrier: OsString,
    user: bool,
    state: Option<PathBuf>,
}

impl Named {
    pub fn new(barrier: &OsStr, user: bool, state: Option<&Path>) -> Named {
        Named { barrier: barrier.to_owned(), user, state: state.map(Path::to_owned) }
    }

    /// Did its user name the place of its state, too?
    pub fn has_state(&self) -> bool {
        self.state.is_some()
    }

    /// `verb`, maybe with options of its own, for this barrier.
    pub fn command(&self, verb: &str) -> String {
        let user = if self.user { " --user" } else { "" };
        let state = self.state.iter().map(|state| format!(" --state {}", state.display()));
        let state: String = state.collect();
        format!("`stillpoint {verb}{user}{state} {}`", self.barrier.to_string_lossy())
    }

    /// The way out, when it is dirty.
    pub fn recovery(&self) -> String {
        format!("check the store, then run {}", self.command("recover --acknowledge"))
    }
}
