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
//! whether the name still leads to the file that he locked.

pub mod manifest;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::unistd::{AccessFlags, access};

use self::manifest::{Manifest, Status};

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

/// One manifest, locked by this process.
#[derive(Debug)]
pub struct Entry {
    folder: PathBuf,
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
        fs::create_dir_all(&self.folder)
    }

    /// Is the name given away? One that failed and left nothing may have its name used again.
    pub fn is_taken(&self, name: &str) -> bool {
        let text = fs::read_to_string(manifest_path(&self.folder, name));
        match text.map(|text| Manifest::parse(&text)) {
            Ok(Ok(manifest)) => {
                !matches!(manifest.status, Status::Failed | Status::Revoked)
                    || manifest.kept.is_some()
            }
            Ok(Err(_)) => true,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// Writes the first manifest of a snapshot. `AlreadyExists` when the name is taken.
    pub fn begin(&self, manifest: &Manifest) -> io::Result<Entry> {
        let name = manifest.name.clone();
        let mut aside = lock_aside(&self.folder, &name)?;
        if self.is_taken(&name) {
            let _ = fs::remove_file(aside_path(&self.folder, &name));
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        publish(&mut aside, &self.folder, &name, manifest)?;
        Ok(Entry { folder: self.folder.clone(), name, file: aside })
    }

    /// Every manifest that can be read, with its path, and what is wrong with the others.
    pub fn manifests(&self) -> io::Result<Vec<(PathBuf, Result<Manifest, String>)>> {
        let mut found = Vec::new();
        for item in fs::read_dir(&self.folder)? {
            let path = item?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            if let Some(name) = name
                && name.ends_with(".json")
                && !name.starts_with('.')
            {
                let manifest = fs::read_to_string(&path)
                    .map_err(|error| error.to_string())
                    .and_then(|text| Manifest::parse(&text));
                found.push((path, manifest));
            }
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    /// The snapshots whose tool ended without finishing them, locked by us now.
    pub fn abandoned(&self) -> io::Result<Vec<(Entry, Manifest)>> {
        let mut abandoned = Vec::new();
        for (path, manifest) in self.manifests()? {
            if let Ok(manifest) = manifest
                && is_unfinished(&manifest)
                && let Some(entry) = self.claim(&path)?
            {
                abandoned.push(entry);
            }
        }
        Ok(abandoned)
    }

    /// Locks the manifest of an unfinished snapshot; `None` when somebody works on it, or when it
    /// was finished in the meantime.
    fn claim(&self, path: &Path) -> io::Result<Option<(Entry, Manifest)>> {
        let mut file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        if !try_lock(&file)? || !leads_to(path, &file)? {
            return Ok(None);
        }
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        match Manifest::parse(&text) {
            Ok(manifest) if is_unfinished(&manifest) => {
                let name = manifest.name.clone();
                let right = manifest_path(&self.folder, &name) == path;
                let entry = Entry { folder: self.folder.clone(), name, file };
                Ok(right.then_some((entry, manifest)))
            }
            _ => Ok(None),
        }
    }

    /// Removes texts that were written aside and never took a name over.
    pub fn remove_leftovers(&self) -> io::Result<()> {
        for item in fs::read_dir(&self.folder)? {
            let path = item?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with('.')
                && name.ends_with(ASIDE)
                && let Ok(file) = File::open(&path)
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

    /// What holds the lock; a child that inherits it keeps the manifest locked.
    pub fn lock(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    pub fn path(&self) -> PathBuf {
        manifest_path(&self.folder, &self.name)
    }
}

const ASIDE: &str = ".json.new";

fn manifest_path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.json"))
}

fn aside_path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!(".{name}{ASIDE}"))
}

fn is_unfinished(manifest: &Manifest) -> bool {
    matches!(manifest.status, Status::Begun | Status::Certified)
}

/// Opens the file that the next text of this name is written to, and locks it.
fn lock_aside(folder: &Path, name: &str) -> io::Result<File> {
    let path = aside_path(folder, name);
    let started = Instant::now();
    loop {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .custom_flags(nix::libc::O_NOFOLLOW)
            .open(&path)?;
        if try_lock(&file)? && leads_to(&path, &file)? {
            return Ok(file);
        }
        if started.elapsed() > BUSY {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Writes the text to the locked file and gives it the name.
fn publish(aside: &mut File, folder: &Path, name: &str, manifest: &Manifest) -> io::Result<()> {
    let path = aside_path(folder, name);
    let written = (|| {
        aside.set_len(0)?;
        aside.write_all(manifest.to_json().as_bytes())?;
        aside.sync_all()?;
        fs::rename(&path, manifest_path(folder, name))
    })();
    if let Err(error) = written {
        let _ = fs::remove_file(&path);
        return Err(error);
    }
    sync_folder(folder)
}

fn try_lock(file: &File) -> io::Result<bool> {
    match fs2::FileExt::try_lock_exclusive(file) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// Does the name still lead to this file?
pub fn leads_to(path: &Path, file: &File) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes the names in a folder durable.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Renames, but never over something: `AlreadyExists` then.
pub fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        // File systems without this flag (NFS, for one): look first.
        Err(nix::Error::EINVAL) if fs::symlink_metadata(to).is_ok() => {
            Err(io::ErrorKind::AlreadyExists.into())
        }
        Err(nix::Error::EINVAL) => fs::rename(from, to),
        done => Ok(done?),
    }
}
