//! What makes the data of a snapshot.
//!
//! A provider checks before the gate closes whether it can succeed, and then is only a list of
//! commands: the pause runs them, watches the limits and stops them. It makes its data under a
//! temporary name; the name that readers look for is given after the certificate. Taking the data
//! away again needs nothing but the manifest, so that a later run can do it for one that died.
//!
//! Uses `place`, and what lies below the snapshot. Right about what can succeed, said before any writer waits.

pub mod btrfs;
pub mod command;
pub mod copy;
pub mod lvm;
pub mod reflink;
pub mod tree;
pub mod zfs;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::place::mounts::Mounts;
use crate::catalogue::identity::Identity;
use crate::catalogue::record::SizeRecord;
use crate::catalogue::volume::Volume;
use crate::snapshot::place::target::Target;
use crate::words::exit::Failure;
use crate::words::progress::Progress;

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

    /// What is said of how far it is, if a pause may take as long as somebody waits for it.
    fn progress(&self) -> Option<Progress> {
        None
    }

    /// After the gate has opened: makes the data durable.
    fn settle(&self, _target: Option<&Target>) -> io::Result<()> {
        Ok(())
    }

    /// How large what was made is, if that can be known for little; the gate is open.
    fn size(&self, _target: Option<&Target>) -> Option<SizeRecord> {
        None
    }

    /// What the data in this folder will be known by.
    fn identify(&self, place: &Path) -> io::Result<Vec<Identity>> {
        Identity::of_whole(place)
    }
}
