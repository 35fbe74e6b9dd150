//! A snapshot that is no folder: of a ZFS dataset, or of an LVM volume.
//!
//! It has the names that its tool knows it by, and like a folder it has another one until it is
//! certified: nobody who lists the tool's snapshots shall take half of one for a whole.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::stat::{major, minor};
use serde::{Deserialize, Serialize};

use super::partial::{is_partial, is_unique, partial};
use crate::process::tool;

/// The tool that knows the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    Zfs,
    Lvm,
}

/// One dataset's or volume's snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// What it is called once complete: `tank/mail@NAME`, `VG/LV-NAME`.
    pub name: String,
    /// What it is called until then.
    pub partial: String,
    /// What it is called if it failed and was to be kept.
    pub kept: Option<String>,
    /// What its tool knows it by, whatever it is called: `guid` of ZFS, `lv_uuid` of LVM.
    #[serde(default)]
    pub identity: Option<String>,
}

impl System {
    /// As a provider is named in manifests.
    pub fn of_provider(provider: &str) -> Option<System> {
        match provider {
            "zfs" => Some(System::Zfs),
            "lvm" => Some(System::Lvm),
            _ => None,
        }
    }

    /// The volume that a snapshot of this name will be.
    pub fn volume(self, origin: &str, snapshot: &str, token: &str) -> Volume {
        let name = match self {
            System::Zfs => format!("{origin}@{snapshot}"),
            System::Lvm => format!("{origin}-{snapshot}"),
        };
        Volume { partial: partial(&name, Some(token)), name, kept: None, identity: None }
    }
}

impl Volume {
    /// Where a program finds it: below /dev, or by the name alone.
    pub fn shown(&self, system: System) -> String {
        match system {
            System::Zfs => self.name.clone(),
            System::Lvm => format!("/dev/{}", self.name),
        }
    }

    /// Its device; ZFS has none for a dataset.
    pub fn device(&self, system: System) -> Option<PathBuf> {
        (system == System::Lvm).then(|| PathBuf::from(self.shown(system)))
    }

    /// Its name for when it failed, which nobody takes for a snapshot's.
    pub fn failed(&self, how: &str) -> String {
        format!("{}.{how}", self.name)
    }

    /// Is what has the temporary name what the run made that the manifest is of?
    pub fn is_told(&self) -> bool {
        self.identity.is_some() || is_unique(&self.partial, &self.name)
    }

    /// Can it have been made for the snapshot of this name? Data is destroyed on the word of a
    /// manifest.
    pub fn belongs_to(&self, system: System, snapshot: &str) -> bool {
        let separator = match system {
            System::Zfs => '@',
            System::Lvm => '-',
        };
        let origin =
            self.name.strip_suffix(snapshot).and_then(|origin| origin.strip_suffix(separator));
        let is_origin = |origin: &str| match system {
            System::Zfs => is_dataset(origin),
            System::Lvm => is_logical_volume(origin),
        };
        origin.is_some_and(is_origin)
            && is_word(snapshot)
            && is_partial(&self.partial, &self.name)
            && self.kept.as_ref().is_none_or(|kept| {
                ["failed", "revoked"].iter().any(|how| *kept == self.failed(how))
            })
    }
}

/// Has LVM given this snapshot up, as more has changed than there was room for? Its device stays, and cannot be read. The
/// device mapper is asked, as a read would wait for a device that is suspended; only root may ask it.
pub fn is_lost(device: &Path) -> bool {
    let Ok(found) = device.metadata() else { return false };
    let (major, minor) = (major(found.rdev()).to_string(), minor(found.rdev()).to_string());
    let status = tool::ask("dmsetup", &["status", "--noflush", "-j", &major, "-m", &minor]);
    status.is_ok_and(|text| {
        let mut fields = text.split_whitespace().skip(2);
        fields.next() == Some("snapshot") && matches!(fields.next(), Some("Invalid" | "Overflow"))
    })
}

/// What both tools take in a name, and no option of theirs.
pub fn is_word(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.+-".contains(c);
    !name.is_empty() && !name.starts_with(['-', '.']) && name.chars().all(allowed)
}

/// `pool/a/b`, as zfs(8) has it.
pub fn is_dataset(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
    !name.starts_with('-')
        && name.split('/').all(|part| !part.is_empty() && part.chars().all(allowed))
}

/// `VG/LV`, as lvm(8) has it.
pub fn is_logical_volume(name: &str) -> bool {
    name.split_once('/').is_some_and(|(group, volume)| is_word(group) && is_word(volume))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::partial::token;

    #[test]
    fn a_volume_is_believed_only_about_its_own_snapshot() {
        for (system, origin) in [(System::Zfs, "tank/mail"), (System::Lvm, "vg/mail")] {
            let volume = system.volume(origin, "daily", &token());
            assert!(volume.belongs_to(system, "daily"));
            assert!(!volume.belongs_to(system, "weekly") && !volume.belongs_to(system, ""));
            for name in [
                "-r",
                "tank/mail",
                "vg/mail",
                "a@daily b@daily",
                "@daily",
                "vg/-daily",
                "vg/x/y-daily",
            ] {
                let partial = format!("{name}.partial");
                let other = Volume { name: name.into(), partial, ..volume.clone() };
                assert!(!other.belongs_to(system, "daily"), "{name}");
            }
            let other = Volume { partial: volume.name.clone(), ..volume.clone() };
            assert!(!other.belongs_to(system, "daily"));
            let other = Volume { kept: Some("tank/mail@other".into()), ..volume.clone() };
            assert!(!other.belongs_to(system, "daily"));
            let kept = Volume { kept: Some(volume.failed("revoked")), ..volume };
            assert!(kept.belongs_to(system, "daily"));
        }
    }
}
