//! Reading a catalogue.
//!
//! It may be read by anybody who may read the folder, and it may hold anything: a text cut short by a
//! full disk, another program's file, a FIFO that would keep a reader waiting. Only regular files of
//! a bounded size are opened, without waiting and without following links. What is no manifest of its
//! own name is reported, never believed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::libc::{ELOOP, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK};

use super::Catalogue;
use super::manifest::{Manifest, Status};
use super::series::line;

/// The longest text that is read. Records of all the writers that a barrier has room for fit in.
const LONGEST: u64 = 8 << 20;

/// What a catalogue holds.
#[derive(Clone, Default)]
pub struct Contents {
    /// In the order in which they were begun.
    pub manifests: Vec<Manifest>,
    /// What else is called `.json`, and what is wrong with it.
    pub damaged: Vec<(PathBuf, String)>,
}

impl Catalogue {
    /// Every manifest that can be read, with its path, and what is wrong with the others.
    pub fn manifests(&self) -> io::Result<Vec<(PathBuf, Result<Manifest, String>)>> {
        let mut found = Vec::new();
        for item in fs::read_dir(self.folder())? {
            let path = item?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let Some(name) = name.strip_suffix(".json").filter(|name| !name.starts_with('.'))
            else {
                continue;
            };
            match read(&path, name) {
                // Removed since the folder was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => found.push((path, Err(crate::words::exit::reason(&error)))),
                Ok(manifest) => found.push((path, manifest)),
            }
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    /// The same, sorted out.
    pub fn read(&self) -> io::Result<Contents> {
        let mut contents = Contents { manifests: Vec::new(), damaged: Vec::new() };
        for (path, manifest) in self.manifests()? {
            match manifest {
                Ok(manifest) => contents.manifests.push(manifest),
                Err(what) => contents.damaged.push((path, what)),
            }
        }
        contents.manifests.sort_by(|a, b| a.place().cmp(&b.place()));
        Ok(contents)
    }
}

impl Contents {
    /// Only the snapshots taken under this barrier.
    pub fn under(mut self, barrier: &Path) -> Contents {
        self.manifests.retain(|manifest| manifest.concerns(barrier));
        self
    }

    /// The newest of the complete snapshots that are wanted and whose data is not gone.
    pub fn newest(&self, wanted: impl Fn(&Manifest) -> bool) -> Option<&Manifest> {
        let mut newest_first = self.manifests.iter().rev();
        newest_first.find(|manifest| manifest.is_usable() && wanted(manifest))
    }

    /// If the source of a snapshot was another one than before: the newest of those before. Its data may be
    /// gone, as what is not mounted seems to be.
    pub fn rival(&self, newest: &Manifest) -> Option<&Manifest> {
        self.precursor(newest).filter(|_| newest.source_changed)
    }

    /// The newest snapshot that this one would take the place of, had its source not changed: it need not be
    /// clean to tell where the source was, and the data may be gone.
    pub fn precursor(&self, manifest: &Manifest) -> Option<&Manifest> {
        self.manifests.iter().rev().find(|earlier| {
            let counts = earlier.status == Status::Complete && !earlier.source_changed;
            counts && line(earlier) == line(manifest)
        })
    }

    /// The number of a snapshot that is begun now.
    pub fn next_sequence(&self) -> u64 {
        self.manifests.last().map_or(1, |newest| newest.sequence.saturating_add(1))
    }
}

fn read(path: &Path, name: &str) -> io::Result<Result<Manifest, String>> {
    let manifest = Manifest::parse(&text(&open_record(path)?)?);
    Ok(manifest.and_then(|manifest| match manifest.name == name {
        true => Ok(manifest),
        false => Err(format!("it is the manifest of another snapshot, {:?}", manifest.name)),
    }))
}

/// Opens a file of the catalogue for reading.
pub fn open_record(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().read(true))
}

/// The same for whoever works on it, who may write to it or not.
pub fn open_to_work(path: &Path) -> io::Result<File> {
    match open(path, OpenOptions::new().read(true).write(true)) {
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

fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options.custom_flags(O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    let file = options.open(path).map_err(|error| match error.raw_os_error() {
        Some(ELOOP) => irregular(),
        _ => error,
    })?;
    require_regular(&file)?;
    Ok(file)
}

/// A device, a pipe or a folder is no manifest and cannot become one.
pub fn require_regular(file: &File) -> io::Result<()> {
    match file.metadata()?.is_file() {
        true => Ok(()),
        false => Err(irregular()),
    }
}

fn irregular() -> io::Error {
    io::Error::other("it is no regular file")
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
