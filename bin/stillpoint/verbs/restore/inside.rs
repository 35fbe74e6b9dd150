//! Places inside a snapshot, as a user names them.
//!
//! Whoever owns a folder in a copy may put a link there at any moment. So each folder on the way is opened by its name
//! in the one before, and none that is a link: the way never leads out of the snapshot.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Component, Path, PathBuf};

use crate::catalogue::manifest::Manifest;
use crate::files::handle;
use crate::process::proc::Process;
use crate::snapshot::place::mounts::Mounts;
use crate::snapshot::place::showing::{self, Apart};
use crate::words::exit::{Exit, Failure, reason};

/// The folder of a snapshot, open.
pub struct Inside<'a> {
    pub manifest: &'a Manifest,
    pub root: File,
    pub place: PathBuf,
    /// Where what it was taken of is now; its name, if that is no folder and is mounted nowhere.
    pub sources: Vec<PathBuf>,
    _apart: Option<Apart>,
}

/// Something in it.
pub struct Found {
    /// Its path inside the snapshot.
    pub path: PathBuf,
    /// The folders on the way, and their names, from the top.
    pub way: Vec<(OsString, File)>,
    pub name: OsString,
}

impl<'a> Inside<'a> {
    pub fn open(manifest: &'a Manifest, mounts: &Mounts) -> Result<Inside<'a>, Failure> {
        let Some(place) = manifest.path.clone() else {
            let apart = Apart::mount(manifest)?;
            let cannot = |error| Failure::system(&manifest.name, error);
            let root = apart.root.try_clone().map_err(cannot)?;
            // By the number of this process, for tools that do not inherit it.
            let number = root.as_raw_fd();
            let place = Process::this().file(&format!("fd/{number}/."));
            let now = |source: &PathBuf| showing::place_of(&manifest.provider, source, mounts);
            let sources = manifest.sources.iter();
            let sources =
                sources.map(|source| now(source).unwrap_or_else(|| source.clone())).collect();
            return Ok(Inside { manifest, root, place, sources, _apart: Some(apart) });
        };
        let root =
            handle::itself(&place).map_err(|error| Failure::system(place.display(), error))?;
        Ok(Inside { manifest, root, place, sources: manifest.sources.clone(), _apart: None })
    }

    /// If it is of several sources: what each is called in it.
    pub fn parts(&self) -> Vec<PathBuf> {
        let names = self.manifest.sources.iter().filter_map(|source| source.file_name());
        names.map(PathBuf::from).collect()
    }

    /// Each of these paths, without those that lie in another one; nothing if it is all of the snapshot.
    pub fn find_all(&self, paths: &[PathBuf]) -> Result<Vec<Found>, Failure> {
        let inside: Result<Vec<PathBuf>, Failure> =
            paths.iter().map(|path| self.inside(path)).collect();
        let mut inside = inside?;
        if inside.iter().any(|path| path.as_os_str().is_empty()) {
            return Ok(Vec::new());
        }
        inside.sort();
        // What is in a folder comes behind it.
        inside.dedup_by(|later, earlier| later.starts_with(earlier));
        inside.iter().map(|path| self.find(path)).collect()
    }

    /// A path inside the snapshot: given as one, or as that of the same in the source, or where the snapshot is.
    fn inside(&self, path: &Path) -> Result<PathBuf, Failure> {
        let cannot = |why: &str| Failure::usage(format!("{}: {why}", path.display()));
        let mut inside = PathBuf::new();
        for part in self
            .relative(path)
            .ok_or_else(|| {
                let sources: Vec<_> =
                    self.sources.iter().map(|one| one.display().to_string()).collect();
                cannot(&format!(
                    "is not below {}; give a path inside the snapshot",
                    sources.join(" or ")
                ))
            })?
            .components()
        {
            match part {
                Component::Normal(name) => inside.push(name),
                Component::CurDir => {}
                _ => return Err(cannot("goes up; give a path inside the snapshot")),
            }
        }
        Ok(inside)
    }

    fn relative(&self, path: &Path) -> Option<PathBuf> {
        if !path.is_absolute() {
            return Some(path.to_owned());
        }
        if let Ok(below) = path.strip_prefix(&self.place) {
            return Some(below.to_owned());
        }
        let sources = &self.manifest.sources;
        let below = |(now, source): (&PathBuf, &PathBuf)| {
            path.strip_prefix(now).ok().map(|below| match sources.len() {
                1 => below.to_owned(),
                // Each has its name in the folder of the snapshot.
                _ => Path::new(source.file_name().unwrap_or_default()).join(below),
            })
        };
        let below = self.sources.iter().zip(sources).filter_map(below);
        below.min_by_key(|below| below.as_os_str().len())
    }

    fn find(&self, path: &Path) -> Result<Found, Failure> {
        let name = path.file_name().unwrap_or_default().to_owned();
        let mut found = Found { path: path.to_owned(), way: Vec::new(), name };
        let mut so_far = PathBuf::new();
        for part in path.parent().unwrap_or(Path::new("")) {
            so_far.push(part);
            let folder = handle::enter(found.folder(self), part);
            found
                .way
                .push((part.to_owned(), folder.map_err(|error| self.missing(&so_far, &error))?));
        }
        match handle::path(found.folder(self)).join(&found.name).symlink_metadata() {
            Ok(_) => Ok(found),
            Err(error) => Err(self.missing(path, &error)),
        }
    }

    fn missing(&self, path: &Path, error: &io::Error) -> Failure {
        let (name, path) = (&self.manifest.name, path.display());
        match error.kind() {
            io::ErrorKind::NotFound => {
                let parts: Vec<String> =
                    self.parts().iter().map(|part| part.display().to_string()).collect();
                let there = match parts.len() {
                    0 | 1 => String::new(),
                    // The path does not begin as in the source.
                    _ => format!("; at the top of it are {}", parts.join(", ")),
                };
                Failure::new(Exit::MISSING, format!("{path}: is not in the snapshot {name}{there}"))
            }
            io::ErrorKind::NotADirectory => {
                let message =
                    format!("{path}: is no folder in the snapshot {name}; a link is not followed");
                Failure::new(Exit::MISSING, message)
            }
            _ => Failure::system(
                format!("{path} in the snapshot {name}"),
                io::Error::other(reason(error)),
            ),
        }
    }
}

impl Found {
    /// The folder that it is in.
    pub fn folder<'a>(&'a self, inside: &'a Inside<'_>) -> &'a File {
        self.way.last().map_or(&inside.root, |(_, folder)| folder)
    }

    /// As an argument, from that folder: no name is an option.
    pub fn argument(&self) -> PathBuf {
        Path::new(OsStr::new(".")).join(&self.name)
    }
}
