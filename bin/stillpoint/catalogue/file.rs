//! The file of a manifest: what it is called, how it is opened, and what is in it.
//!
//! Whoever may write to the folder may put anything there, or a link to elsewhere, or a pipe that keeps a reader
//! waiting. Only regular files of a bounded size are opened, without waiting and without following links.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::manifest::Manifest;
use crate::files::open;

/// The longest text that is read. Records of all the writers that a barrier has room for fit in.
const LONGEST: u64 = 8 << 20;

/// How the name of a text ends that was written aside, and has not taken its name over.
pub const ASIDE: &str = ".json.new";

pub fn manifest_name(name: &str) -> String {
    format!("{name}.json")
}

pub fn manifest_path(folder: &Path, name: &str) -> PathBuf {
    folder.join(manifest_name(name))
}

pub fn aside_name(name: &str) -> String {
    format!(".{name}{ASIDE}")
}

/// Opens a file of the catalogue for reading.
pub fn open_record(path: &Path) -> io::Result<File> {
    open::file_itself(path, OpenOptions::new().read(true))
}

/// The same for whoever works on it, who may write to it or not.
pub fn open_to_work(path: &Path) -> io::Result<File> {
    match open::file_itself(path, OpenOptions::new().read(true).write(true)) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            open_record(path)
        }
        opened => opened,
    }
}

/// The text of a file that was opened just now.
pub fn text(file: &File) -> io::Result<String> {
    // Room for one of the usual length, so that it is read at once.
    let mut text = String::with_capacity(4096);
    if file.take(LONGEST + 1).read_to_string(&mut text)? as u64 > LONGEST {
        return Err(io::Error::other("it is too long for a manifest"));
    }
    Ok(text)
}

/// The manifest of that name, or why what has the name is none.
pub fn read(path: &Path, name: &str) -> io::Result<Result<Manifest, String>> {
    let manifest = Manifest::parse(&text(&open_record(path)?)?);
    Ok(manifest.and_then(|manifest| match manifest.name == name {
        true => Ok(manifest),
        false => Err(format!("it is the manifest of another snapshot, {:?}", manifest.name)),
    }))
}
