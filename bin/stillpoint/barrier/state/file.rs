//! The file of a state: read, written aside and renamed, removed.
//!
//! A reader finds the old one or the new one, whole, also after a power cut. A link to where it shall be kept is
//! followed, and stays.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use super::place::FOLDER;
use super::{SCHEMA, State};
use crate::files::aside::Aside;
use crate::files::names::{behind_links, folder_of};
use crate::files::sync::sync_folder;
use crate::files::{folder, open};
use crate::words::exit::{Exit, Failure, reason};

/// How long who makes a barrier waits for others who do.
const PLANNING: Duration = Duration::from_secs(5);
/// No state is anywhere near as long.
const LONGEST: u64 = 1 << 16;

impl State {
    /// Reads the state; `None` when there is none.
    pub fn load(path: &Path) -> Result<Option<State>, Failure> {
        let shown = path.display();
        let mut text = String::new();
        let opened = open::file(path, OpenOptions::new().read(true));
        match opened.and_then(|file| file.take(LONGEST).read_to_string(&mut text)) {
            Ok(_) => {}
            Err(error) if open::is_irregular(&error) => {
                let what =
                    format!("the state {shown} is no regular file: give another with --state");
                return Err(Failure::new(Exit::DATA, what));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(damaged(path)),
            Err(error) => {
                return Err(Failure::system(format_args!("cannot read the state {shown}"), error));
            }
        }
        let state: State = serde_json::from_str(&text).map_err(|_| damaged(path))?;
        match state.schema {
            SCHEMA if is_hexadecimal(&state.uuid) && is_hexadecimal(&state.boot_id) => {
                Ok(Some(state))
            }
            SCHEMA => Err(damaged(path)),
            other => Err(Failure::new(
                Exit::UNAVAILABLE,
                format!(
                    "the state {shown} has schema {other}, this stillpoint knows {SCHEMA}: use a newer one"
                ),
            )),
        }
    }

    /// The same for a barrier that is there. A state that was named must be there too: who looks for it elsewhere than
    /// `create` has put it would find nothing for ever, and say that all is well.
    pub fn find(path: &Path, is_named: bool) -> Result<Option<State>, Failure> {
        match State::load(path)? {
            None if is_named => {
                let path = path.display();
                let message =
                    format!("there is no state {path}: give the --state that `create` got");
                Err(Failure::new(Exit::MISSING, message))
            }
            found => Ok(found),
        }
    }

    /// Writes the state, durably.
    pub fn store(&self, path: &Path) -> Result<(), Failure> {
        self.write(path).map_err(|error| {
            let (exit, advice) = match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    (Exit::DENIED, "do it as root, or keep it elsewhere with --state")
                }
                io::ErrorKind::NotFound => {
                    (Exit::CANNOT_CREATE, "make its folder, or keep it elsewhere with --state")
                }
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    (Exit::CANNOT_CREATE, "free space there, or keep it elsewhere with --state")
                }
                _ => (
                    Exit::CANNOT_CREATE,
                    "keep it elsewhere with --state, or nowhere: --state none",
                ),
            };
            let (path, reason) = (path.display(), reason(&error));
            Failure::new(exit, format!("cannot write the state {path}: {reason}; {advice}"))
        })
    }

    /// Keeps others from planning a state beside this one, as long as what is returned is kept: two that make
    /// one barrier would each find what the other has planned, and take it for a crash. Who may not lock the
    /// folder, or waits for long, goes on: the barrier starts dirty at worst.
    pub fn plan(path: &Path) -> Option<File> {
        let path = behind_links(path).ok()?;
        let folder = folder_of(&path);
        if folder == Path::new(FOLDER) {
            folder::make(folder).ok()?;
        }
        let folder = open::folder(folder).ok()?;
        let started = Instant::now();
        while fs2::FileExt::try_lock_exclusive(&folder).is_err() && started.elapsed() < PLANNING {
            std::thread::sleep(Duration::from_millis(1));
        }
        Some(folder)
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let path = behind_links(path)?;
        let folder = folder_of(&path);
        if folder == Path::new(FOLDER) {
            folder::make(folder)?;
        }
        let mut text = serde_json::to_vec(self)?;
        text.push(b'\n');
        // Every tool reads it, of whatever user.
        Aside::write(folder, 0o644, &text)?.replace_durably(&path)
    }

    /// Removes the state, durably.
    pub fn remove(path: &Path) -> io::Result<()> {
        let path = behind_links(path)?;
        fs::remove_file(&path)?;
        sync_folder(folder_of(&path))
    }
}

fn damaged(path: &Path) -> Failure {
    Failure::new(
        Exit::DATA,
        format!(
            "the state {} is damaged, or is none: give the right --state, or check the store, then remove the file and create again",
            path.display()
        ),
    )
}

fn is_hexadecimal(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}
