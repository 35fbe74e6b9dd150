//! One manifest, while it is ours.
//!
//! The new text goes to a file of its own, which is locked before it takes the name over: so the name always leads
//! to a file that is whole, and locked by us.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;

use super::directory::Directory;
use super::file::{aside_name, manifest_name, manifest_path, read};
use super::lock::{mark_live, try_lock};
use super::manifest::Manifest;
use crate::files::open::require_regular;

/// How long the file of one name may be busy with another run before that is an error. Only the
/// short stretch of writing a manifest is waited for.
pub(super) const BUSY: Duration = Duration::from_secs(1);

/// One manifest, locked by this process.
#[derive(Debug)]
pub struct Entry {
    pub(super) folder: Directory,
    pub(super) name: String,
    /// Keeps the lock.
    pub(super) file: File,
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

    /// The manifest of another snapshot in the same folder, if there is one.
    pub fn beside(&self, name: &str) -> Option<Manifest> {
        read(&manifest_path(self.folder.path(), name), name).ok()?.ok()
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

/// Opens the file that the next text of this name is written to, and locks it.
pub(super) fn lock_aside(folder: &Directory, name: &str) -> io::Result<File> {
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
pub(super) fn publish(
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
