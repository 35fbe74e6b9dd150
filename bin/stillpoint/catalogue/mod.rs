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

pub mod age;
pub mod clock;
pub mod directory;
pub mod hold;
pub mod identity;
pub mod manifest;
pub mod metrics;
pub mod origin;
pub mod partial;
pub mod pin;
pub mod reading;
pub mod record;
pub mod retention;
pub mod series;
pub mod volume;

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc::{F_RDLCK, F_UNLCK, F_WRLCK, SEEK_SET, flock};
use nix::unistd::{AccessFlags, access};

use self::directory::Directory;
use self::manifest::{Manifest, Status};
use self::reading::{open_record, open_to_work, require_regular, text};
use crate::files::folder;
use crate::files::names::leads_to;

/// Where manifests are kept unless something else is asked for.
pub const STANDARD: &str = "/var/lib/stillpoint/catalog";

/// How long the file of one name may be busy with another run before that is an error. Only the
/// short stretch of writing a manifest is waited for.
const BUSY: Duration = Duration::from_secs(1);

/// A folder of manifests.
#[derive(Clone, Debug)]
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

/// One manifest, locked by this process.
#[derive(Debug)]
pub struct Entry {
    folder: Directory,
    name: String,
    /// Keeps the lock.
    file: File,
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
            if name.starts_with('.')
                && name.ends_with(ASIDE)
                && let Ok(file) = open_record(&path)
                && try_lock(&file)?
                && leads_to(&path, &file)?
            {
                let _ = fs::remove_file(&path);
            }
        }
        Ok(())
    }
}

impl Entry {
    /// Replaces the manifest; the new one is durable when this returns.
    pub fn write(&mut self, manifest: &Manifest) -> io::Result<()> {
        let mut aside = lock_aside(&self.folder, &self.name)?;
        publish(&mut aside, &self.folder, &self.name, manifest)?;
        self.file = aside;
        Ok(())
    }

    /// Takes the manifest out of the catalogue, for good when this returns.
    pub fn remove(&self) -> io::Result<()> {
        self.folder.remove(&manifest_name(&self.name))?;
        self.folder.sync()
    }

    /// What holds the lock; a child that inherits it keeps the manifest locked.
    pub fn lock(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    pub fn path(&self) -> PathBuf {
        manifest_path(self.folder.path(), &self.name)
    }

    /// Is it in the folder that it was begun in, and no copy? Nobody can tell what a run does whose lock is
    /// on another file.
    pub fn is_in_its_place(&self, manifest: &Manifest) -> io::Result<bool> {
        manifest.catalog.as_ref().map_or(Ok(true), |begun_in| self.folder.is(begun_in))
    }

    /// Where the catalogue is by now, if it was moved; `None` within, if it was removed.
    pub fn moved_to(&self) -> Option<Option<PathBuf>> {
        self.folder.moved_to()
    }
}

const ASIDE: &str = ".json.new";

fn manifest_name(name: &str) -> String {
    format!("{name}.json")
}

fn manifest_path(folder: &Path, name: &str) -> PathBuf {
    folder.join(manifest_name(name))
}

fn aside_name(name: &str) -> String {
    format!(".{name}{ASIDE}")
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

/// Opens the file that the next text of this name is written to, and locks it.
fn lock_aside(folder: &Directory, name: &str) -> io::Result<File> {
    let name = aside_name(name);
    let started = Instant::now();
    loop {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let file = folder.file(&name, flags)?;
        require_regular(&file)?;
        if try_lock(&file)? && folder.leads_to(&name, &file)? {
            mark_live(&file);
            // For everybody to read, whatever the umask. Some file systems have no modes.
            let _ = file.set_permissions(Permissions::from_mode(0o644));
            return Ok(file);
        }
        if started.elapsed() > BUSY {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Writes the text to the locked file and gives it the name.
fn publish(
    aside: &mut File,
    folder: &Directory,
    name: &str,
    manifest: &Manifest,
) -> io::Result<()> {
    let written = (|| {
        aside.set_len(0)?;
        aside.write_all(manifest.to_json().as_bytes())?;
        aside.sync_all()?;
        folder.rename(&aside_name(name), &manifest_name(name))
    })();
    if let Err(error) = written {
        let _ = folder.remove(&aside_name(name));
        return Err(error);
    }
    folder.sync()
}

fn try_lock(file: &File) -> io::Result<bool> {
    match fs2::FileExt::try_lock_exclusive(file) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// Says that we work on the manifest. That it cannot be said where there are no such locks, or by whom the
/// file cannot be written, is no error: it is what the other lock keeps away that counts.
fn mark_live(file: &File) {
    let _ = fcntl(file, FcntlArg::F_OFD_SETLK(&whole_file(F_WRLCK)));
}

/// Does somebody work on it, as [`mark_live`] says?
fn is_marked_live(file: &File) -> io::Result<bool> {
    let mut found = whole_file(F_RDLCK);
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut found))?;
    Ok(i32::from(found.l_type) != F_UNLCK)
}

fn whole_file(kind: i32) -> flock {
    flock { l_type: kind as i16, l_whence: SEEK_SET as i16, l_start: 0, l_len: 0, l_pid: 0 }
}
