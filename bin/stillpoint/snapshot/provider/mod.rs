//! What makes the data of a snapshot.
//!
//! A provider checks before the gate closes whether it can succeed, and then is only a list of
//! commands: the pause runs them, watches the limits and stops them. It makes its data under a
//! temporary name; the name that readers look for is given after the certificate. Taking the data
//! away again needs nothing but the manifest, so that a later run can do it for one that died.

pub mod btrfs;
pub mod command;
pub mod copy;
pub mod lvm;
pub mod reflink;
mod tree;
pub mod zfs;

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::geteuid;

use super::data::unlinking;
use super::place::mounts::Mounts;
use crate::catalogue::identity::{Identity, Presence};
use crate::catalogue::manifest::Manifest;
use crate::catalogue::partial::partial;
use crate::catalogue::volume::Volume;
use crate::words::exit::Failure;

/// What a provider freezes while the gate is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freezes {
    Nothing,
    /// The file systems that it reads.
    Sources,
    /// Any, or none: nobody can know.
    Anything,
}

/// A way to make a snapshot.
pub trait Provider {
    /// The name in the manifest, which is that of the option.
    fn name(&self) -> &'static str;

    /// What is read, as absolute paths.
    fn sources(&self) -> &[PathBuf];

    /// Paths on the file systems that are read: they are synced before the gate closes.
    fn file_systems(&self) -> Vec<PathBuf> {
        self.sources().to_vec()
    }

    /// What is made that is no folder.
    fn volumes(&self) -> &[Volume] {
        &[]
    }

    /// Is what is mounted inside the sources read too?
    fn crosses_mounts(&self) -> bool {
        false
    }

    /// Are those file systems frozen for a moment, so that nobody can write to them?
    fn freezes(&self) -> Freezes {
        Freezes::Nothing
    }

    /// Can it succeed? Called before the gate closes; leaves nothing behind.
    fn check(&self, target: Option<&Target>, mounts: &Mounts) -> Result<(), Failure>;

    /// Takes the temporary name, before the gate closes. `AlreadyExists` if somebody else has it.
    fn prepare(&self, _target: Option<&Target>) -> io::Result<()> {
        Ok(())
    }

    /// Has it taken that name then? Some tools make what has the name themselves, in the pause.
    fn takes_name_first(&self) -> bool {
        false
    }

    /// The commands of the pause, one after another.
    fn commands(&self, target: Option<&Target>) -> Vec<Command>;

    /// After the gate has opened: makes the data durable.
    fn settle(&self, _target: Option<&Target>) -> io::Result<()> {
        Ok(())
    }

    /// What the data in this folder will be known by.
    fn identify(&self, place: &Path) -> io::Result<Vec<Identity>> {
        Identity::of_whole(place)
    }
}

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

/// Removes what a provider made in this folder. Nothing there is no error, and something else is left.
pub fn discard(manifest: &Manifest, place: &Path) -> io::Result<()> {
    if manifest.is_at(place) == Presence::Gone {
        return Ok(());
    }
    // First of all: what covers it looks like something else.
    refuse_mounts(place)?;
    if manifest.is_at(place) == Presence::Replaced {
        return Ok(());
    }
    match manifest.provider.as_str() {
        btrfs::NAME => btrfs::discard(manifest, place),
        _ => unlinking::remove(place, |folder| manifest.is_of(folder)),
    }
}

/// What is mounted at a place, or in it, is no part of a snapshot, and nobody can remove it or see what it
/// covers: nothing there is touched then.
pub fn refuse_mounts(place: &Path) -> io::Result<()> {
    let mounts = Mounts::read().map_err(|failure| io::Error::other(failure.to_string()))?;
    // As the table has it, whatever has become of the way there.
    let place = match (place.parent(), place.file_name()) {
        (Some(parent), Some(name)) => match parent.canonicalize() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            parent => parent?.join(name),
        },
        _ => place.to_owned(),
    };
    match mounts.at_or_below(&place) {
        None => Ok(()),
        Some(mount) => {
            let message = format!(
                "nothing of it is removed, as something is mounted at {}; unmount it",
                mount.display()
            );
            Err(io::Error::new(io::ErrorKind::ResourceBusy, message))
        }
    }
}
