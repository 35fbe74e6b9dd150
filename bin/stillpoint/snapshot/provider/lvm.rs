//! `--lvm`: snapshots of logical volumes, by lvcreate(8).
//!
//! The device mapper freezes the file system on the volume for the moment of the snapshot, so nothing
//! has to be frozen before. It also means that a barrier on that very file system could not be opened
//! again before the tool is done, and the tool would wait for its writers: such a one is refused.
//!
//! A volume in a thin pool takes what it needs from the pool. Others get `--size` for what will change
//! while the snapshot lives; one that runs full is lost, so a backup should not take its time.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::geteuid;
use serde::Deserialize;

use super::{Freezes, Provider};
use crate::catalogue::record::SizeRecord;
use crate::catalogue::volume::{System, Volume, is_logical_volume, is_word};
use crate::process::tool;
use crate::snapshot::place::folder::named_twice;
use crate::snapshot::place::mounts::Mounts;
use crate::snapshot::place::target::Target;
use crate::snapshot::place::volume;
use crate::words::exit::{Exit, Failure};

pub const NAME: &str = "lvm";

/// LVM takes no longer name of a volume.
const LONGEST: usize = 127;

/// The logical volumes of one snapshot.
pub struct Lvm {
    origins: Vec<PathBuf>,
    made: Vec<Volume>,
    found: Vec<Found>,
    /// Bytes for each that is in no thin pool.
    size: Option<u64>,
    mounted: Vec<PathBuf>,
}

/// What lvs(8) says of an origin; numbers are text in its JSON.
#[derive(Clone, Debug, Deserialize)]
struct Found {
    vg_name: String,
    lv_attr: String,
    pool_lv: String,
    vg_free: String,
    #[serde(default)]
    lv_size: String,
    lv_path: PathBuf,
}

impl Found {
    fn is_thin(&self) -> bool {
        !self.pool_lv.is_empty()
    }

    fn free(&self) -> u64 {
        self.vg_free.parse().unwrap_or(0)
    }
}

impl Lvm {
    pub fn new(
        origins: &[String],
        size: Option<u64>,
        snapshot: &str,
        token: &str,
        mounts: &Mounts,
    ) -> Result<Lvm, Failure> {
        for program in ["lvs", "lvcreate", "lvchange", "lvrename", "lvremove"] {
            tool::require(program)?;
        }
        if !geteuid().is_root() {
            let message = "--lvm: takes root; run it as root";
            return Err(Failure::new(Exit::UNAVAILABLE, message));
        }
        let mut lvm = Lvm {
            origins: Vec::new(),
            made: Vec::new(),
            found: Vec::new(),
            size,
            mounted: Vec::new(),
        };
        for named in origins {
            let origin = named.strip_prefix("/dev/").unwrap_or(named);
            if !is_logical_volume(origin) {
                let message = format!("--lvm {origin:?}: no logical volume, as VG/LV");
                return Err(Failure::usage(message));
            }
            if lvm.origins.contains(&PathBuf::from(origin)) {
                return Err(named_twice("--lvm", origin.as_ref(), named.as_ref()));
            }
            let volume = System::Lvm.volume(origin, snapshot, token);
            let its_name = volume.partial.split('/').next_back().unwrap_or_default();
            if !is_word(snapshot) || its_name.len() > LONGEST {
                let message = format!(
                    "--name {snapshot:?}: LVM takes letters, digits and _.+-, 127 with the volume's name; give another one"
                );
                return Err(Failure::usage(message));
            }
            let found = look_up(origin)?;
            lvm.mounted.extend(mounted(&found.lv_path, mounts));
            lvm.origins.push(origin.into());
            lvm.made.push(volume);
            lvm.found.push(found);
        }
        Ok(lvm)
    }

    /// Room for all that are in no thin pool, group by group.
    fn check_size(&self) -> Result<(), Failure> {
        let thick: Vec<&Found> = self.found.iter().filter(|found| !found.is_thin()).collect();
        let size = match (self.size, thick.first()) {
            (None, None) => return Ok(()),
            (Some(_), None) => {
                let message =
                    "--size: all these volumes are in thin pools, which have no use for it";
                return Err(Failure::usage(message));
            }
            (None, Some(found)) => {
                let message = format!(
                    "{}: is in no thin pool; say with --size how much may change while the snapshot lives",
                    found.lv_path.display()
                );
                return Err(Failure::usage(message));
            }
            (Some(size), Some(_)) => size,
        };
        for found in &thick {
            let count = thick.iter().filter(|other| other.vg_name == found.vg_name).count() as u64;
            if found.free() < size.saturating_mul(count) {
                let message = format!(
                    "{}: {} bytes free, {} are needed; give less with --size, or extend the group",
                    found.vg_name,
                    found.free(),
                    size.saturating_mul(count)
                );
                return Err(Failure::new(Exit::CANNOT_CREATE, message));
            }
        }
        Ok(())
    }
}

impl Provider for Lvm {
    fn name(&self) -> &'static str {
        NAME
    }

    fn sources(&self) -> &[PathBuf] {
        &self.origins
    }

    fn volumes(&self) -> &[Volume] {
        &self.made
    }

    fn file_systems(&self) -> Vec<PathBuf> {
        self.mounted.clone()
    }

    fn freezes(&self) -> Freezes {
        Freezes::Sources
    }

    fn check(&self, _target: Option<&Target>, _mounts: &Mounts) -> Result<(), Failure> {
        self.check_size()?;
        for (found, volume) in self.found.iter().zip(&self.made) {
            let refused = match found.lv_attr.as_bytes() {
                [b'-' | b'o' | b'V' | b'O' | b'w', _, _, _, b'a', ..] => None,
                [b's' | b'S', ..] => Some("is a snapshot itself; name its origin"),
                [_, _, _, _, b'a', ..] => Some("is no volume that can have snapshots"),
                _ => Some("is not active; activate it with `lvchange -ay`"),
            };
            if let Some(why) = refused {
                let message = format!("{}: {why}", found.lv_path.display());
                return Err(Failure::new(Exit::UNAVAILABLE, message));
            }
            volume::check_free(System::Lvm, volume)?;
        }
        // It knows names that are reserved, and limits of its own.
        for command in &mut self.snapshots(true) {
            tool::run(command)
                .map_err(|failure| Failure::new(Exit::CANNOT_CREATE, failure.to_string()))?;
        }
        Ok(())
    }

    /// A thin one takes what will be written; another one has its room for that from the beginning.
    fn size(&self, _target: Option<&Target>) -> Option<SizeRecord> {
        let size = |found: &Found| SizeRecord {
            bytes: found.lv_size.parse().ok(),
            files: None,
            own_bytes: self.size.filter(|_| !found.is_thin()),
        };
        self.found.iter().map(size).reduce(SizeRecord::and)
    }

    fn commands(&self, _target: Option<&Target>) -> Vec<Command> {
        let sync = self.mounted.iter().map(|path| tool::sync(path));
        sync.chain(self.snapshots(false)).collect()
    }
}

impl Lvm {
    /// What takes the snapshots, or tries whether it could.
    fn snapshots(&self, only_try: bool) -> Vec<Command> {
        let volumes = self.found.iter().zip(&self.made).zip(&self.origins);
        let snapshot = |((found, volume), origin): ((&Found, &Volume), &PathBuf)| {
            let name = volume.partial.split('/').next_back().unwrap_or_default();
            let mut command = tool::command("lvcreate");
            if only_try {
                command.arg("--test");
            }
            command.args(["-y", "-s", "-pr", "-n", name]);
            match self.size.filter(|_| !found.is_thin()) {
                Some(size) => command.arg("-L").arg(format!("{size}b")),
                // Otherwise it could not be read without being activated by hand.
                None => command.arg("-kn"),
            };
            command.arg(origin);
            command
        };
        volumes.map(snapshot).collect()
    }
}

/// A number of bytes, or with a unit, as lvcreate(8) has them: `512M`, `20G`.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let units = [('k', 10), ('m', 20), ('g', 30), ('t', 40)];
    let lower = text.to_ascii_lowercase();
    let found = units.iter().find_map(|(unit, shift)| Some((lower.strip_suffix(*unit)?, *shift)));
    let (number, shift) = found.unwrap_or((&lower, 0));
    let size = number.parse::<u64>().ok().filter(|size| *size > 0);
    size.and_then(|size| size.checked_mul(1 << shift))
        .ok_or_else(|| "expected a number of bytes, or one with K, M, G or T".to_string())
}

fn look_up(origin: &str) -> Result<Found, Failure> {
    #[derive(Deserialize)]
    struct Answer {
        report: Vec<Report>,
    }
    #[derive(Deserialize)]
    struct Report {
        lv: Vec<Found>,
    }
    let fields = ["--reportformat", "json", "--units", "b", "--nosuffix"];
    let wanted = ["-o", "vg_name,lv_attr,pool_lv,vg_free,lv_size,lv_path", origin];
    let text = tool::ask("lvs", &[&fields[..], &wanted].concat()).map_err(|failure| {
        let unknown = ["Failed to find logical volume", "not found"];
        let exit = match unknown.iter().any(|said| failure.to_string().contains(said)) {
            true => Exit::MISSING,
            false => Exit::UNAVAILABLE,
        };
        Failure::new(exit, format!("{failure}; `lvs` shows what there is"))
    })?;
    let answer: Result<Answer, _> = serde_json::from_str(&text);
    let found = answer.ok().and_then(|answer| answer.report.into_iter().next()?.lv.pop());
    found.ok_or_else(|| {
        Failure::new(Exit::UNAVAILABLE, format!("lvs: cannot read its answer about {origin}"))
    })
}

/// Where a volume is mounted.
fn mounted(device: &Path, mounts: &Mounts) -> Vec<PathBuf> {
    match device.metadata() {
        Ok(metadata) => mounts.of_device(metadata.rdev()),
        Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("4096"), Ok(4096));
        assert_eq!(parse_size("512M"), Ok(512 << 20));
        assert_eq!(parse_size("20g"), Ok(20 << 30));
        for garbage in ["", "0", "G", "1.5G", "-1", "1GB", "99999999999T"] {
            assert!(parse_size(garbage).is_err(), "{garbage}");
        }
    }
}
