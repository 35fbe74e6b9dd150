//! The folder of a catalogue, by its descriptor.
//!
//! A path may come to lead somewhere else while a run is under way: who renames the folder, or makes another
//! one in its place, would split the records of one snapshot over two catalogues, and neither would know
//! its data. What is open stays the same folder, wherever it is.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{Mode, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::identity::Identity;
use crate::files::open;

/// An open folder.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
    file: Arc<File>,
}

impl Directory {
    pub fn open(path: &Path) -> io::Result<Directory> {
        Ok(Directory { path: path.to_owned(), file: Arc::new(open::folder(path)?) })
    }

    /// Where it was when it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Another descriptor of the same folder, with locks of its own.
    pub fn reopen(&self) -> io::Result<File> {
        self.file(".", OFlag::O_RDONLY | OFlag::O_DIRECTORY)
    }

    /// Opens a file in it, which becomes nobody's but the owner's if it is made.
    pub fn file(&self, name: &str, flags: OFlag) -> io::Result<File> {
        let flags = flags | OFlag::O_CLOEXEC;
        Ok(openat(self.file.as_fd(), name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?.into())
    }

    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(renameat(self.file.as_fd(), from, self.file.as_fd(), to)?)
    }

    pub fn remove(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(self.file.as_fd(), name, UnlinkatFlags::NoRemoveDir)?)
    }

    /// Makes the names in it durable.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Does the name still lead to this file?
    pub fn leads_to(&self, name: &str, file: &File) -> io::Result<bool> {
        let ours = file.metadata()?;
        match fstatat(self.file.as_fd(), name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(found) => Ok((found.st_dev, found.st_ino) == (ours.dev(), ours.ino())),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// What it is known by.
    pub fn identity(&self) -> io::Result<Identity> {
        Identity::of_open(&self.file)
    }

    /// Is it the one that is known by this?
    pub fn is(&self, identity: &Identity) -> io::Result<bool> {
        identity.is_of(&self.file)
    }

    /// Where it is by now, if that is not where it was; `None` within, if it is nowhere.
    pub fn moved_to(&self) -> Option<Option<PathBuf>> {
        let ours = self.file.metadata().ok()?;
        let found = std::fs::metadata(&self.path);
        if found.is_ok_and(|found| (found.dev(), found.ino()) == (ours.dev(), ours.ino())) {
            return None;
        }
        if ours.nlink() == 0 {
            return Some(None);
        }
        let link = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        Some(Some(std::fs::read_link(link).unwrap_or_else(|_| "another place".into())))
    }
}
