//! The data that a manifest speaks of: where it is, by what it is known, and that it can be its own.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::{Manifest, Status};
use crate::catalogue::identity::{Identity, Presence};
use crate::catalogue::partial::{is_partial, is_unique};
use crate::catalogue::volume::{System, Volume, is_lost};

impl Manifest {
    /// Is its data there, all of it? Not known either if the data is not ours.
    pub fn presence(&self) -> Presence {
        let system = System::of_provider(&self.provider);
        let volume = |volume: &Volume| match system.and_then(|system| volume.device(system)) {
            Some(device) if is_lost(&device) => Presence::Gone,
            Some(device) => Presence::of(&device, &[]),
            None => Presence::Unknown,
        };
        let folder = self.path.iter().map(|path| Presence::of(path, &self.identity));
        folder.chain(self.volumes.iter().map(volume)).max().unwrap_or(Presence::Unknown)
    }

    /// `None` if that cannot be told.
    pub fn is_present(&self) -> Option<bool> {
        self.presence().is_there()
    }

    /// The folder that its data is in, if that is not there: its file system may not be mounted.
    pub fn missing_folder(&self) -> Option<&Path> {
        let folder = self.path.as_deref()?.parent()?;
        let is_there = self.folder.as_ref()?.is_at(folder).is_there();
        (is_there == Some(false)).then_some(folder)
    }

    /// Is it the folder of this snapshot, whole or not, that stands there?
    pub fn is_at(&self, place: &Path) -> Presence {
        Presence::of(place, self.identity.get(..1).unwrap_or_default())
    }

    /// The same for what is open.
    pub fn is_of(&self, folder: &File) -> io::Result<bool> {
        self.identity.first().map_or(Ok(true), |identity| identity.is_of(folder))
    }

    /// Is what stands at a place inside its folder a part of it, as far as it knows its parts?
    pub fn has_part(&self, place: &Path) -> bool {
        let name = place.file_name();
        let known = |identity: &&Identity| Some(identity.part.as_os_str()) == name;
        let is_source = |source: &PathBuf| source.file_name() == name;
        self.identity.is_empty()
            // Only the folder was known when the run ended.
            || self.identity.len() == 1 && self.sources.iter().any(is_source)
            || self
                .identity
                .iter()
                .find(known)
                .is_some_and(|part| part.is_at(place) == Presence::There)
    }

    /// Has the temporary name of its data a part that nobody else could know?
    pub fn has_unique_partial(&self) -> bool {
        let name = self.partial.as_deref().and_then(Path::file_name).and_then(OsStr::to_str);
        name.is_some_and(|name| is_unique(name, &format!(".{}", self.name)))
    }

    /// Where what there is of a failed one was kept.
    pub fn kept_at(&self) -> Vec<String> {
        let folder = self.kept.iter().map(|kept| kept.display().to_string());
        folder.chain(self.volumes.iter().filter_map(|volume| volume.kept.clone())).collect()
    }

    /// Has it data of its own, which is removed with it?
    pub fn has_data(&self) -> bool {
        self.path.is_some() || !self.volumes.is_empty()
    }

    /// Where its data stands for good, if any is left on purpose.
    pub fn stands_at(&self) -> Option<&Path> {
        match self.status {
            Status::Failed | Status::Revoked => self.kept.as_deref(),
            _ => self.kept.as_deref().or(self.path.as_deref()),
        }
    }

    /// Its data has lost its name already: it was being removed where no mark could be written.
    pub(super) fn is_half_removed(&self) -> bool {
        let is_at = |place| self.is_at(place).is_there();
        self.stands_at().and_then(is_at) == Some(false)
            && self.partial.as_deref().and_then(is_at) == Some(true)
    }

    /// Data is removed on the word of a manifest: only what can have been made for this one.
    pub(super) fn names_its_own_data(&self) -> bool {
        // An empty name, or a way to another folder, would make every path end with it.
        let is_plain = Path::new(&self.name).file_name() == Some(self.name.as_ref());
        let hidden = format!(".{}", self.name);
        let is_partial = |path: &Path| {
            path.file_name().and_then(OsStr::to_str).is_some_and(|name| is_partial(name, &hidden))
        };
        let is_kept = |path: &Path| {
            let names = ["failed", "revoked"]
                .map(|how| path.with_file_name(format!("{}.{how}", self.name)));
            self.kept.as_ref().is_none_or(|kept| names.contains(kept))
        };
        if !self.volumes.is_empty() {
            let system = System::of_provider(&self.provider);
            let ours = |system| {
                self.volumes.iter().all(|volume: &Volume| volume.belongs_to(system, &self.name))
            };
            return self.path.is_none() && self.partial.is_none() && system.is_some_and(ours);
        }
        match (&self.path, &self.partial) {
            (None, None) => self.kept.is_none(),
            (Some(path), Some(partial)) => {
                is_plain
                    && path.is_absolute()
                    && path.ends_with(&self.name)
                    && is_partial(partial)
                    && path.parent() == partial.parent()
                    && is_kept(path)
            }
            _ => false,
        }
    }
}
