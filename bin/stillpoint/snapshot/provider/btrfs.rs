//! `--btrfs`: read-only snapshots of one or more subvolumes, by btrfs-progs.
//!
//! The snapshot ioctl writes the dirty data of the subvolume and commits the transaction, so the
//! snapshot holds every write that had returned, and is durable when the tool ends. Each subvolume
//! takes an ioctl of its own; it is the barrier that makes several of them one moment. FIFREEZE has
//! no part in this: a snapshot of a frozen btrfs hangs, beyond the reach of SIGKILL.
//!
//! One subvolume becomes the snapshot itself, several become the entries of a folder, each under
//! the last part of its path.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Provider;
use crate::catalogue::identity::{Identity, is_subvolume};
use crate::catalogue::manifest::Manifest;
use crate::catalogue::record::SizeRecord;
use crate::process::tool;
use crate::snapshot::place::folder::{are_one, enough_space, known_folder, named_twice};
use crate::snapshot::place::mounts::Mounts;
use crate::snapshot::place::target::{Target, check_target};
use crate::words::exit::{Exit, Failure};
use crate::words::lines::warn;

pub const NAME: &str = "btrfs";

/// Room that is asked for: a snapshot writes a few metadata blocks.
const ROOM: u64 = 1 << 20;

/// The subvolumes of one snapshot.
pub struct Btrfs {
    subvolumes: Vec<PathBuf>,
}

impl Btrfs {
    pub fn new(subvolumes: &[PathBuf]) -> Result<Btrfs, Failure> {
        let mut known: Vec<PathBuf> = Vec::new();
        for subvolume in subvolumes {
            let named = subvolume;
            let subvolume = known_folder(named)?;
            if let Some(other) = known.iter().find(|other| are_one(other, &subvolume)) {
                return Err(named_twice("--btrfs", other, named));
            }
            if let Some(other) =
                known.iter().find(|other| other.file_name() == subvolume.file_name())
            {
                let message = format!(
                    "--btrfs: {} and {} would get the same name in the snapshot; take two snapshots",
                    other.display(),
                    subvolume.display()
                );
                return Err(Failure::new(Exit::USAGE, message));
            }
            known.push(subvolume);
        }
        Ok(Btrfs { subvolumes: known })
    }

    /// Each subvolume with the place of its snapshot.
    fn places(&self, target: &Target) -> Vec<(&Path, PathBuf)> {
        match self.subvolumes.as_slice() {
            [only] => vec![(only.as_path(), target.partial())],
            several => several
                .iter()
                .map(|subvolume| {
                    let name = subvolume.file_name().unwrap_or(OsStr::new("root"));
                    (subvolume.as_path(), target.partial().join(name))
                })
                .collect(),
        }
    }

    /// The nested subvolumes that nobody asked for. Earlier snapshots may well be kept inside the
    /// subvolume: the target folder and what it holds are not missed.
    fn missing(&self, subvolume: &Path, target: &Path) -> Result<Vec<String>, Failure> {
        let kept_inside = |path: &Path| target.starts_with(subvolume) && path.starts_with(target);
        let missing = nested(subvolume)?
            .into_iter()
            .filter(|path| !self.subvolumes.contains(path) && !kept_inside(path));
        Ok(missing.map(|path| path.display().to_string()).collect())
    }

    /// What is mounted inside the subvolume is not in its snapshot. That is no error, as it is so with the
    /// root of most machines, but who takes it for the store shall know.
    fn warn_of_mounts(&self, subvolume: &Path, target: &Path, mounts: &Mounts) {
        let missed = |place: &&Path| {
            !self.subvolumes.iter().any(|named| named == place) && !target.starts_with(place)
        };
        let missed: Vec<String> = mounts
            .disks_below(subvolume)
            .filter(missed)
            .map(|place| place.display().to_string())
            .collect();
        if !missed.is_empty() {
            warn(&format!(
                "{}: what is mounted inside it is not in its snapshot: {}; name a subvolume with --btrfs \
                 too, or use --copy",
                subvolume.display(),
                missed.join(", ")
            ));
        }
    }
}

impl Provider for Btrfs {
    fn name(&self) -> &'static str {
        NAME
    }

    fn sources(&self) -> &[PathBuf] {
        &self.subvolumes
    }

    fn check(&self, target: Option<&Target>, mounts: &Mounts) -> Result<(), Failure> {
        let target = target.expect("--btrfs requires --to");
        tool::require("btrfs")?;
        for subvolume in &self.subvolumes {
            if !is_subvolume(subvolume) {
                let message = format!(
                    "{}: not a btrfs subvolume; name the subvolume itself, or use --reflink or --copy",
                    subvolume.display()
                );
                return Err(Failure::new(Exit::UNAVAILABLE, message));
            }
            if !mounts.same_file_system(subvolume, &target.folder) {
                let message = format!(
                    "{}: not on the file system of {}; a snapshot cannot leave its file system",
                    target.folder.display(),
                    subvolume.display()
                );
                return Err(Failure::new(Exit::CANNOT_CREATE, message));
            }
            if target.folder == *subvolume {
                let message = format!(
                    "--to {}: is the subvolume itself; make a folder in it, or name one elsewhere",
                    subvolume.display()
                );
                return Err(Failure::new(Exit::CANNOT_CREATE, message));
            }
            self.warn_of_mounts(subvolume, &target.folder, mounts);
            let missing = self.missing(subvolume, &target.folder)?;
            if !missing.is_empty() {
                let message = format!(
                    "{}: the subvolumes nested in it would be missing from its snapshot: {}; \
                     name them with --btrfs too",
                    subvolume.display(),
                    missing.join(", ")
                );
                return Err(Failure::new(Exit::UNAVAILABLE, message));
            }
        }
        check_target(target)?;
        enough_space(&target.folder, ROOM)
    }

    fn prepare(&self, target: Option<&Target>) -> io::Result<()> {
        match target {
            Some(target) if self.takes_name_first() => {
                target.take()?;
                // What is in it has permissions of its own.
                fs::set_permissions(target.partial(), Permissions::from_mode(0o755))
            }
            _ => Ok(()),
        }
    }

    fn takes_name_first(&self) -> bool {
        self.subvolumes.len() > 1
    }

    fn size(&self, target: Option<&Target>) -> Option<SizeRecord> {
        let sizes: Option<Vec<SizeRecord>> =
            self.places(target?).iter().map(|(_, place)| quota(place)).collect();
        sizes?.into_iter().reduce(SizeRecord::and)
    }

    fn identify(&self, place: &Path) -> io::Result<Vec<Identity>> {
        Identity::of_subvolumes(place)
    }

    fn commands(&self, target: Option<&Target>) -> Vec<Command> {
        let places = target.map(|target| self.places(target)).unwrap_or_default();
        let snapshot = |(subvolume, place): (&Path, PathBuf)| {
            let mut command = tool::command("btrfs");
            command.args(["subvolume", "snapshot", "-r", "--"]).arg(subvolume).arg(place);
            command
        };
        places.into_iter().map(snapshot).collect()
    }
}

/// How large a subvolume is by its quota group, where quotas are on: to count is expensive without.
pub fn quota(subvolume: &Path) -> Option<SizeRecord> {
    let mut show = tool::command("btrfs");
    show.args(["qgroup", "show", "--raw", "-f", "--"]).arg(subvolume);
    let answer = tool::run(&mut show).ok()?;
    // After the head: its number, what it refers to, what it has alone.
    let line = answer.lines().find(|line| line.starts_with("0/"))?;
    let mut numbers = line.split_whitespace().skip(1).map(|number| number.parse().ok());
    let (bytes, own_bytes) = (numbers.next()?, numbers.next()?);
    Some(SizeRecord { bytes, files: None, own_bytes })
}

/// Removes a snapshot, or a folder of them. Subvolumes that others have put there are left.
pub fn discard(manifest: &Manifest, place: &Path) -> io::Result<()> {
    if is_subvolume(place) {
        return delete(place);
    }
    for item in fs::read_dir(place)? {
        let path = item?.path();
        if is_subvolume(&path) && manifest.has_part(&path) {
            delete(&path)?;
        }
    }
    fs::remove_dir(place)
}

/// Waits for the commit: without it the subvolume may be back after a power cut.
pub fn delete(subvolume: &Path) -> io::Result<()> {
    let mut command = tool::command("btrfs");
    command.args(["subvolume", "delete", "--commit-after", "--"]).arg(subvolume);
    tool::run(&mut command).map(drop).map_err(|failure| io::Error::other(failure.to_string()))
}

/// The subvolumes directly inside this one.
fn nested(subvolume: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut list = tool::command("btrfs");
    list.args(["subvolume", "list", "-o", "--"]).arg(subvolume);
    let list = tool::run(&mut list).map_err(|failure| {
        let message = format!(
            "{}: cannot look for nested subvolumes, which takes root ({failure})",
            subvolume.display()
        );
        Failure::new(Exit::UNAVAILABLE, message)
    })?;
    if list.trim().is_empty() {
        return Ok(Vec::new());
    }
    // The list counts from the top of the file system; the first line of `show` is where we are.
    let mut show = tool::command("btrfs");
    show.args(["subvolume", "show", "--"]).arg(subvolume);
    let show = tool::run(&mut show)?;
    let own = show.lines().next().unwrap_or_default().trim_matches('/');
    let nested = list.lines().filter_map(|line| line.split_once(" path ")).map(|(_, path)| {
        let path = Path::new(path);
        subvolume.join(path.strip_prefix(own).unwrap_or(path))
    });
    Ok(nested.collect())
}
