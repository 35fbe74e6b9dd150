//! Writing out, so that it outlives a power cut.

use std::fs::File;
use std::io;
use std::path::Path;

use nix::unistd::syncfs;

/// Makes the names in a folder durable.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Writes out all dirty data of the file system that a path lies on.
pub fn sync_file_system(path: &Path) -> io::Result<()> {
    Ok(syncfs(File::open(path)?)?)
}
