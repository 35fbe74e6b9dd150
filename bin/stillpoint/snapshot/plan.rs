//! What a snapshot will do, checked as far as it can be before the gate closes: a snapshot that
//! cannot succeed must not make writers wait.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::arguments::Arguments;
use super::foreign::ForeignLocks;
use super::place::mounts::Mounts;
use super::place::sources::{self, Sources};
use super::provider::Provider;
use super::provider::btrfs::{self, Btrfs};
use super::provider::command::UserCommand;
use super::provider::copy::Copy;
use super::provider::lvm::Lvm;
use super::provider::reflink::Reflink;
use super::provider::zfs::Zfs;
use crate::catalogue::entry::Entry;
use crate::catalogue::identity::Identity;
use crate::catalogue::manifest::{Manifest, Status, recordable};
use crate::catalogue::partial::token;
use crate::catalogue::{Catalogue, hold};
use crate::process::signals::Signals;
use crate::snapshot::place::folder::target_folder;
use crate::snapshot::place::target::{Target, place_taken};
use crate::stilling::cover::{Extent, Places};
use crate::words::exit::{Exit, Failure, reason};

/// Longest name: the file names made from it must fit in 255 bytes.
const LONGEST_NAME: usize = 200;

/// How many names to try.
const NAMES: u32 = 100;

/// The names that may still be tried: one that the user gave is the only one, but others that begin at
/// the same moment may have had the thought that we had.
pub struct Names(u32);

impl Names {
    pub fn new(arguments: &Arguments) -> Names {
        Names(if arguments.name.is_none() { NAMES } else { 0 })
    }

    pub fn may_be_another(&mut self, failure: &Failure) -> bool {
        let may_be = failure.is_taken && self.0 > 0;
        self.0 -= u32::from(may_be);
        may_be
    }
}

/// A snapshot that may be tried.
pub struct Plan {
    pub name: String,
    pub provider: Box<dyn Provider>,
    pub target: Option<Target>,
    pub catalogue: Catalogue,
    pub foreign: ForeignLocks,
    pub sources: Sources,
    mounts: Mounts,
}

impl Plan {
    /// Turns arguments into a plan; the barriers are opened already. Changes nothing.
    fn make(arguments: &Arguments, barriers: &[PathBuf]) -> Result<Plan, Failure> {
        let catalogue = Catalogue::locate(arguments.catalog.as_deref());
        let folder = arguments.to.as_deref().map(target_folder).transpose()?;
        let name = match &arguments.name {
            Some(name) => checked_name(name)?,
            None => free_name(Timestamp::now(), &catalogue, folder.as_deref()),
        };
        sources::touch(arguments.folders().chain(&arguments.require_mount));
        let mounts = Mounts::read()?;
        sources::require_mounts(&arguments.require_mount, &mounts)?;
        let token = token();
        let made_by_tool = (arguments.btrfs.len() == 1).then(|| token.clone());
        let target =
            folder.map(|folder| Target { folder, name: name.clone(), token: made_by_tool });
        let provider: Box<dyn Provider> = match arguments {
            Arguments { reflink: Some(source), .. } => Box::new(Reflink::new(source)?),
            Arguments { copy: Some(source), .. } => Box::new(Copy::new(source)?),
            Arguments { btrfs, .. } if !btrfs.is_empty() => Box::new(Btrfs::new(btrfs)?),
            Arguments { zfs, .. } if !zfs.is_empty() => {
                Box::new(Zfs::new(zfs, &name, &token, &mounts)?)
            }
            Arguments { lvm, size, .. } if !lvm.is_empty() => {
                Box::new(Lvm::new(lvm, *size, &name, &token, &mounts)?)
            }
            Arguments { command, sync, .. } => {
                Box::new(UserCommand::new(command, sync.as_deref(), &name, barriers)?)
            }
        };
        let foreign = ForeignLocks::find(
            arguments.cyrus.as_deref(),
            arguments.cyrus_unchecked,
            &arguments.also,
        )?;
        let folders = match provider.volumes() {
            [] => provider.sources(),
            // Datasets and logical volumes are named by themselves.
            _ => &[],
        };
        let sources = Sources::look_at(folders, provider.crosses_mounts(), &mounts)?;
        Ok(Plan { name, provider, target, catalogue, foreign, sources, mounts })
    }

    /// A plan that can succeed, as far as can be told.
    pub fn checked(
        arguments: &Arguments,
        barriers: &[PathBuf],
        signals: &Signals,
        names: &mut Names,
    ) -> anyhow::Result<Plan> {
        loop {
            let plan = Plan::make(arguments, barriers)?;
            let checked = plan.check();
            // A tool that the keyboard interrupted has nothing to say about the plan.
            signals.check()?;
            match checked {
                Err(failure) if names.may_be_another(&failure) => {}
                checked => return Ok(checked.map(|()| plan)?),
            }
        }
    }

    /// Where to look for those who write to what is read.
    pub fn places(&self, adopted: &[PathBuf]) -> Places {
        let extent = match (self.provider.volumes(), self.provider.name()) {
            ([], btrfs::NAME) => Extent::Folder,
            ([], _) => Extent::Mounts,
            _ => Extent::FileSystem,
        };
        let folders = match self.provider.file_systems() {
            // Nobody knows what a command reads; that is what it is about.
            none if none.is_empty() => adopted.to_vec(),
            folders => folders,
        };
        Places { folders, extent }
    }

    /// Puts what the name decides into the manifest.
    pub fn name(&self, manifest: &mut Manifest) {
        manifest.name = self.name.clone();
        manifest.volumes = self.provider.volumes().to_vec();
        manifest.path = self.target.as_ref().map(|target| target.path());
        manifest.partial = self.target.as_ref().map(|target| target.partial());
    }

    /// Writes the first manifest, and takes the temporary name where that can be done before the pause.
    /// With it comes a lock on that, if it can be locked.
    pub fn begin(&self, manifest: &mut Manifest) -> Result<(Entry, Option<File>), Failure> {
        let mut begun = manifest.clone();
        let entry = self.catalogue.begin(&mut begun);
        let mut entry = entry.map_err(|error| self.catalogue_failure(&error))?;
        let error = match self.prepare(&mut begun, &mut entry) {
            Ok(data) => {
                *manifest = begun;
                return Ok((entry, data));
            }
            Err(error) => error,
        };
        let failure = match (error.kind(), &self.target) {
            (io::ErrorKind::AlreadyExists, Some(target)) => {
                place_taken(&target.taken().unwrap_or_else(|| target.path()))
            }
            _ => {
                let message = format!("cannot prepare {}: {}", self.name, reason(&error));
                Failure::new(Exit::CANNOT_CREATE, message)
            }
        };
        // What stands there is not ours, and nobody shall think so.
        (begun.path, begun.partial, begun.identity) = (None, None, Vec::new());
        begun.end(Status::Failed, Some(failure.to_string()));
        let ended = entry.remove().or_else(|_| entry.write(&begun));
        ended.map_err(|error| self.catalogue_failure(&error))?;
        Err(failure)
    }

    /// Nothing is written into the folder before the manifest says, durably, which one it is.
    fn prepare(&self, begun: &mut Manifest, entry: &mut Entry) -> io::Result<Option<File>> {
        self.provider.prepare(self.target.as_ref())?;
        let Some(target) = self.target.as_ref().filter(|_| self.provider.takes_name_first()) else {
            return Ok(None);
        };
        let identified = Identity::of_whole(&target.partial()).and_then(|identity| {
            let data = hold::exclusive(&target.partial())?;
            begun.identity = identity;
            entry.write(begun).map(|()| data)
        });
        if identified.is_err() {
            let _ = fs::remove_dir(target.partial());
        }
        identified
    }

    /// Can it succeed?
    fn check(&self) -> Result<(), Failure> {
        recordable(self.catalogue.folder()).map_err(Failure::usage)?;
        self.catalogue.check().map_err(|error| self.catalogue_failure(&error))?;
        if self.catalogue.is_taken(&self.name) {
            return Err(self.catalogue_failure(&io::ErrorKind::AlreadyExists.into()));
        }
        self.provider.check(self.target.as_ref(), &self.mounts)
    }

    /// A catalogue that cannot be used, with the way out.
    pub fn catalogue_failure(&self, error: &io::Error) -> Failure {
        let folder = self.catalogue.folder().display();
        let (exit, what) = match error.kind() {
            io::ErrorKind::AlreadyExists => {
                let message = format!(
                    "{}: there is a snapshot of this name already; give another --name",
                    self.name
                );
                return Failure::taken(message);
            }
            io::ErrorKind::ResourceBusy => {
                let message = format!(
                    "{}: a snapshot of this name is being made; give another --name",
                    self.name
                );
                return Failure::taken(message);
            }
            io::ErrorKind::PermissionDenied => (Exit::DENIED, reason(error)),
            _ => (Exit::CANNOT_CREATE, reason(error)),
        };
        let message = format!(
            "{folder}: the catalogue cannot be written: {what}; name another folder with --catalog"
        );
        Failure::new(exit, message)
    }
}

/// Where to look for those who write to what a snapshot would read that somebody else takes.
pub fn places(arguments: &Arguments) -> Result<Places, Failure> {
    if !arguments.have_provider() {
        let folders = arguments.wanted.adopted.clone();
        return Ok(Places { folders, extent: Extent::Mounts });
    }
    let plan = Plan::make(arguments, &[])?;
    Ok(plan.places(&arguments.wanted.adopted))
}

/// The default name: the time in UTC, sortable, without the colons that some tools choke on.
fn free_name(now: Timestamp, catalogue: &Catalogue, folder: Option<&Path>) -> String {
    let stem = now.strftime("%Y-%m-%dT%H-%M-%S.%3fZ").to_string();
    let taken = |name: &String| {
        let place = folder.map(|folder| Target {
            folder: folder.to_owned(),
            name: name.clone(),
            token: None,
        });
        catalogue.is_taken(name) || place.is_some_and(|place| place.taken().is_some())
    };
    std::iter::once(stem.clone())
        // Where every name seems taken, the catalogue cannot be read, which its check will say.
        .chain((1..NAMES).map(|number| format!("{stem}-{number}")))
        .find(|name| !taken(name))
        .unwrap_or(stem)
}

/// A name becomes several file names.
fn checked_name(name: &str) -> Result<String, Failure> {
    let wrong = if name.is_empty() {
        "must not be empty"
    } else if name.starts_with(['.', '-']) {
        "must not begin with a dot or a dash"
    } else if name.contains('/') || name.chars().any(char::is_control) {
        "must not hold a slash or a control character"
    } else if name.len() > LONGEST_NAME {
        "must not be longer than 200 bytes"
    } else if name.ends_with(".failed") || name.ends_with(".revoked") {
        "must not look like that of a failed snapshot"
    } else {
        return Ok(name.to_owned());
    };
    Err(Failure::usage(format!("--name {name:?}: a snapshot's name {wrong}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_names_are_utc_and_never_taken_twice() {
        let folder = tempfile::tempdir().unwrap();
        let catalogue = Catalogue::locate(Some(folder.path()));
        let now: Timestamp = "2026-11-21T07:45:12.345678Z".parse().unwrap();
        assert_eq!(free_name(now, &catalogue, None), "2026-11-21T07-45-12.345Z");
        fs::write(folder.path().join("2026-11-21T07-45-12.345Z.json"), "").unwrap();
        assert_eq!(free_name(now, &catalogue, None), "2026-11-21T07-45-12.345Z-1");
        fs::create_dir(folder.path().join(".2026-11-21T07-45-12.345Z-1.partial")).unwrap();
        assert_eq!(free_name(now, &catalogue, Some(folder.path())), "2026-11-21T07-45-12.345Z-2");
    }

    #[test]
    fn names_that_would_be_other_files_are_refused() {
        for name in
            ["", ".", "..", ".x", "-x", "a/b", "a\nb", "x.failed", "x.revoked", &"x".repeat(201)]
        {
            assert!(checked_name(name).is_err(), "{name:?}");
        }
        for name in ["daily", "2026-11-21", "a b", "ä", &"x".repeat(200)] {
            assert!(checked_name(name).is_ok(), "{name:?}");
        }
    }
}
