//! What a name leads to, and giving another one.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::unistd::geteuid;

/// A path as manifests have it: absolute, with no symbolic link before its last part. What it leads to
/// need not be there any more.
pub fn without_links(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    match (folder, path.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => path,
    }
}

/// As many links in a row as the kernel follows.
const LINKS: u32 = 40;

/// The name that whoever follows a link comes to, also if nothing is there yet: what is written aside and renamed
/// takes that one over, and the link stays. Not a link of somebody who is neither root nor this user: he could turn
/// it to any file.
pub fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match fs::symlink_metadata(&path) {
            Ok(found) if !found.is_symlink() => return Ok(path),
            Ok(link) if ![0, geteuid().as_raw()].contains(&link.uid()) => {
                let message = format!("{} is a link of another user", path.display());
                return Err(io::Error::other(message));
            }
            Ok(_) => path = folder_of(&path).join(fs::read_link(&path)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(path),
            Err(error) => return Err(error),
        }
    }
    Err(Errno::ELOOP.into())
}

/// The folder that a name is in.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
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
