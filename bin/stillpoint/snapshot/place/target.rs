//! Where the data of a snapshot goes: a folder that can be written, and two names in it that are free.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access, geteuid};

use super::sources::SourceChanged;
use crate::catalogue::manifest::Manifest;
use crate::catalogue::partial::partial;
use crate::catalogue::reading::Contents;
use crate::words::exit::{Exit, Failure};
use crate::words::lines::warn;

/// Who may do what with a folder for data, as long as it is empty.
const OURS: u32 = 0o700;

/// Where the data of a snapshot goes.
#[derive(Clone, Debug)]
pub struct Target {
    /// The folder of `--to`, absolute and without symbolic links.
    pub folder: PathBuf,
    pub name: String,
    /// The part of its temporary name that is its own, where the tool makes what has that name.
    pub token: Option<String>,
}

impl Target {
    /// Where it stands once complete.
    pub fn path(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// Where it stands until then.
    pub fn partial(&self) -> PathBuf {
        self.folder.join(partial(&format!(".{}", self.name), self.token.as_deref()))
    }

    /// One of these names that somebody else has.
    pub fn taken(&self) -> Option<PathBuf> {
        [self.path(), self.partial()].into_iter().find(|place| place.symlink_metadata().is_ok())
    }

    /// Takes both names by making the folder of the temporary one. Who has that gives the final one, too,
    /// so it is looked for again then: somebody may have given it since we looked.
    pub fn take(&self) -> io::Result<()> {
        DirBuilder::new().mode(OURS).create(self.partial())?;
        match self.path().symlink_metadata() {
            Ok(_) => {
                fs::remove_dir(self.partial())?;
                Err(io::ErrorKind::AlreadyExists.into())
            }
            Err(_) => Ok(()),
        }
    }
}

/// Removes a folder that was made for data, and that nothing was written into as the manifest did not say yet
/// which one it is. Is it gone? Another one may well have the name.
pub fn remove_empty(place: &Path) -> io::Result<bool> {
    let found = match place.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        found => found?,
    };
    let is_ours = found.mode() & 0o7777 == OURS && found.uid() == geteuid().as_raw();
    if !found.is_dir() || !is_ours {
        return Ok(false);
    }
    match fs::remove_dir(place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::ResourceBusy
            ) =>
        {
            Ok(false)
        }
        removed => removed.map(|()| true),
    }
}

/// The target's folder can be written, and its names are free.
pub fn check_target(target: &Target) -> Result<(), Failure> {
    if let Some(place) = target.taken() {
        return Err(place_taken(&place));
    }
    access(&target.folder, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|error| {
        let exit = match error {
            nix::Error::EACCES | nix::Error::EPERM => Exit::DENIED,
            _ => Exit::CANNOT_CREATE,
        };
        let message = format!(
            "{}: cannot be written: {}; use another --to",
            target.folder.display(),
            error.desc()
        );
        Failure::new(exit, message)
    })
}

/// The folder is the one that the newest snapshot of the series is in. Another one that has its path is most likely what the
/// right one is mounted on.
pub fn compare(
    manifest: &Manifest,
    earlier: &Contents,
    action: SourceChanged,
) -> Result<(), Failure> {
    let before = earlier.precursor(manifest);
    let Some((before, folder)) = before.and_then(|one| Some((one, one.missing_folder()?))) else {
        return Ok(());
    };
    let what = format!(
        "--to {} is another folder than {} was put in; is it mounted?",
        folder.display(),
        before.name
    );
    let accept = "if it is meant, say --source-changed accept once";
    match action {
        SourceChanged::Accept => {}
        SourceChanged::Warn => warn(&format!("{what} The snapshot is put there; {accept}")),
        SourceChanged::Fail => {
            let message = format!("{what} There is no snapshot; {accept}");
            return Err(Failure::new(Exit::UNAVAILABLE, message));
        }
    }
    Ok(())
}

/// The error for a place that somebody else has.
pub fn place_taken(place: &Path) -> Failure {
    let message = format!("{}: exists already; give another --name or --to", place.display());
    Failure::taken(message)
}
