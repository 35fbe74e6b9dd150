//! What this program is adopted to: what the file says, less what the environment takes away.
//!
//! The file, its variables and its parser are in `adoption`, which the command reads it by as well.

use crate::adoption::{Adoption, CONFIG, FILE, NARROWED};
use crate::log::{About, say};
use barrier::variable;
use std::ffi::OsStr;
use std::path::PathBuf;

/// What is so for this program.
#[derive(Debug)]
pub struct Settings {
    pub barrier: PathBuf,
    pub protected: Vec<PathBuf>,
    pub ignored: Vec<PathBuf>,
    /// Without the barrier no write lock is given.
    pub fails_without: bool,
}

impl Settings {
    /// Reads them. `None`: this program is not adopted.
    pub fn read() -> Option<Settings> {
        let narrowed = variable(NARROWED);
        if narrowed.as_deref() == Some(OsStr::new("off")) {
            return None;
        }
        let file = variable(CONFIG).map_or_else(|| FILE.into(), PathBuf::from);
        let name = file.display();
        let text = match std::fs::read(&file) {
            Ok(text) => text,
            Err(error) => {
                say(About::Settings, &format!("{name}: {error}: write locks do not wait"));
                return None;
            }
        };
        let mut said = Adoption::parse(&text, |number, line| {
            say(About::Settings, &format!("{name}:{number}: not understood: {line}"));
        });
        let is_adopted = match narrowed {
            Some(narrowed) => said.narrow(&narrowed),
            None => !said.protected.is_empty(),
        };
        let Adoption { barrier, protected, ignored, fails_without } = said;
        let Some(barrier) = barrier else {
            say(About::Settings, &format!("{name}: names no barrier: write locks do not wait"));
            return None;
        };
        is_adopted.then_some(Settings { barrier, protected, ignored, fails_without })
    }
}
