//! The catalogue: a folder with one manifest for each snapshot.
//!
//! A manifest is never written in place: the new text goes to a file of its own, which is synced
//! and renamed over the old one, and then the folder is synced. A reader therefore sees the state
//! before or after, whole, also after a power cut.
//!
//! While a snapshot is under way its manifest is locked (`flock`, exclusive). The kernel drops
//! that lock when the process ends, however it ends, so *begun and not locked* means that nobody
//! works on it any more; no pid is asked. The lock belongs to the file, not to the name, so every
//! new file is locked before it takes the name over, and whoever was granted a lock looks again
//! whether the name still leads to the file that he locked. Readers of the data hold the same lock,
//! shared ([`pin`]).
//!
//! Whoever may read a file may lock it so, for whatever reason, and nothing is removed then. To be *under
//! way* takes more: a write lock of fcntl(2) beside it, which is granted only on what is open for writing.
//!
//! Uses `barrier` and below. Right about what is written down: what a manifest says is so, or nobody says it any
//! more.

pub mod age;
pub mod calendar;
pub mod clock;
pub mod cover;
pub mod directory;
pub mod entry;
pub mod file;
pub mod group;
pub mod hold;
pub mod identity;
pub mod lock;
pub mod manifest;
pub mod origin;
pub mod partial;
pub mod pin;
pub mod reading;
pub mod record;
pub mod retention;
pub mod series;
pub mod verdict;
pub mod volume;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::unistd::{AccessFlags, access};

use self::directory::Directory;
use self::entry::{BUSY, Entry, lock_aside, publish};
use self::file::{
    ASIDE, aside_name, manifest_name, manifest_path, open_record, open_to_work, text,
};
use self::lock::{mark_live, try_lock};
use self::manifest::{Manifest, Status};
use crate::files::folder;
use crate::files::names::leads_to;

/// Where manifests are kept unless something else is asked for.
pub const STANDARD: &str = "/var/lib/stillpoint/catalog";

/// A folder of manifests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Catalogue {
    folder: PathBuf,
}

/// What came of asking for a manifest's lock.
pub enum Claim {
    Ours(Entry, Box<Manifest>),
    /// Somebody makes, removes or reads that snapshot.
    Busy,
    /// It is not what it was any more.
    Changed,
}

/// The snapshots that nobody has finished.
#[derive(Default)]
pub struct Unfinished {
    /// Whose tool ended, locked by us now.
    pub abandoned: Vec<(Entry, Manifest)>,
    /// Which are locked by somebody who does not work on them.
    pub blocked: Vec<PathBuf>,
}

impl Catalogue {
    /// The folder that `--catalog`, `$STILLPOINT_CATALOG` or the standard choice names.
    pub fn locate(asked: Option<&Path>) -> Catalogue {
        let folder = asked
            .map(Path::to_owned)
            .or_else(|| {
                let folder = std::env::var_os("STILLPOINT_CATALOG")?;
                (!folder.is_empty()).then(|| PathBuf::from(folder))
            })
            .unwrap_or_else(|| PathBuf::from(STANDARD));
        Catalogue { folder: std::path::absolute(&folder).unwrap_or(folder) }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Can manifests be written here, or could the folder be made? Changes nothing.
    pub fn check(&self) -> io::Result<()> {
        let mut place = self.folder.as_path();
        while !place.try_exists()? {
            place = match place.parent() {
                Some(parent) => parent,
                None => break,
            };
        }
        if !place.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(access(place, AccessFlags::W_OK | AccessFlags::X_OK)?)
    }

    /// Makes the folder when it is missing.
    pub fn create(&self) -> io::Result<()> {
        folder::make(&self.folder)
    }

    /// Is the name given away? One that failed and left nothing may have its name used again.
    pub fn is_taken(&self, name: &str) -> bool {
        let text = open_record(&manifest_path(&self.folder, name)).and_then(|file| text(&file));
        match text.map(|text| Manifest::parse(&text)) {
            Ok(Ok(manifest)) => {
                !matches!(manifest.status, Status::Failed | Status::Revoked)
                    || manifest.kept.is_some()
            }
            Ok(Err(_)) => true,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// Writes the first manifest of a snapshot, and gives it its place in the order of all.
    /// `AlreadyExists` when the name is taken.
    pub fn begin(&self, manifest: &mut Manifest) -> io::Result<Entry> {
        let name = manifest.name.clone();
        let folder = Directory::open(&self.folder)?;
        let mut aside = lock_aside(&folder, &name)?;
        let begun = (|| {
            if self.is_taken(&name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let _turn = take_turn(&folder)?;
            manifest.sequence = self.read()?.next_sequence();
            manifest.catalog = folder.identity().ok();
            publish(&mut aside, &folder, &name, manifest)
        })();
        if let Err(error) = begun {
            let _ = folder.remove(&aside_name(&name));
            return Err(error);
        }
        Ok(Entry { folder, name, file: aside })
    }

    /// The snapshots whose tool ended without finishing them.
    pub fn unfinished(&self) -> io::Result<Unfinished> {
        let mut found = Unfinished::default();
        for manifest in self.read()?.manifests {
            let name = &manifest.name;
            if !manifest.is_unfinished() {
                continue;
            }
            match self.claim(name, Manifest::is_unfinished)? {
                Claim::Ours(entry, manifest) => found.abandoned.push((entry, *manifest)),
                Claim::Busy if self.is_live(name) == Some(false) => {
                    found.blocked.push(manifest_path(&self.folder, name));
                }
                Claim::Busy | Claim::Changed => {}
            }
        }
        Ok(found)
    }

    /// Locks a manifest that is still as it is wanted.
    pub fn claim(&self, name: &str, wanted: impl Fn(&Manifest) -> bool) -> io::Result<Claim> {
        let folder = Directory::open(&self.folder)?;
        let file = match open_to_work(&manifest_path(&self.folder, name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Claim::Changed),
            opened => opened?,
        };
        if !try_lock(&file)? {
            return Ok(Claim::Busy);
        }
        mark_live(&file);
        if !folder.leads_to(&manifest_name(name), &file)? {
            return Ok(Claim::Changed);
        }
        match Manifest::parse(&text(&file)?) {
            Ok(manifest) if manifest.name == name && wanted(&manifest) => {
                let entry = Entry { folder, name: name.to_owned(), file };
                Ok(Claim::Ours(entry, Box::new(manifest)))
            }
            _ => Ok(Claim::Changed),
        }
    }

    /// Removes texts that were written aside and never took a name over.
    pub fn remove_leftovers(&self) -> io::Result<()> {
        for item in fs::read_dir(&self.folder)? {
            let path = item?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !name.starts_with('.') || !name.ends_with(ASIDE) {
                continue;
            }
            match open_record(&path) {
                Ok(file) if try_lock(&file)? && leads_to(&path, &file)? => {
                    let _ = fs::remove_file(&path);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The right to give out the next sequence number. Whoever may read the folder could keep it for
/// ever, so it is not waited for without end: two that begin at one moment may then get one number.
fn take_turn(folder: &Directory) -> io::Result<File> {
    let turn = folder.reopen()?;
    let started = Instant::now();
    while !try_lock(&turn)? && started.elapsed() < BUSY {
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(turn)
}
