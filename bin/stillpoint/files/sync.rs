//! Writing out, so that it outlives a power cut.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

use nix::unistd::syncfs;

use super::open;

/// Makes the names in a folder durable.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    open::folder(folder)?.sync_all()
}

/// Writes out all dirty data of the file system that a path lies on.
pub fn sync_file_system(path: &Path) -> io::Result<()> {
    Ok(syncfs(open::anything(path, OpenOptions::new().read(true))?)?)
}
