//! The sources of a snapshot, and whether they are what they were.
//!
//! When the file system of a source is not mounted, the bare folder is read in its place, and an empty
//! snapshot is as good as any. Two things tell: what must be mounted (`--require-mount`), and where the
//! sources of the snapshots before were (`--source-changed`). A copy reads what is mounted inside its source
//! too, so the same can be said of that.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use nix::sys::statvfs::statvfs;

use super::mounts::{Mount, Mounts};
use crate::catalogue::manifest::{Manifest, recordable};
use crate::catalogue::origin::{Origin, are_same};
use crate::catalogue::reading::Contents;
use crate::catalogue::series::leading;
use crate::process::tool;
use crate::words::exit::{Exit, Failure};
use crate::words::lines::warn;

/// What to do about a source that is on another file system than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SourceChanged {
    /// Take the snapshot, as one of a series of its own that `latest` does not hand out
    Warn,
    /// No snapshot, exit 69
    Fail,
    /// It has moved on purpose: go on with the series there
    Accept,
}

/// Where the sources are.
pub struct Sources {
    /// `None` if that cannot be told, as in a root that no mount is at.
    pub origins: Option<Vec<Origin>>,
    /// Each, and what is mounted inside it.
    seen: Vec<(PathBuf, Seen)>,
    /// Those inside which it matters what is mounted.
    crossed: Vec<PathBuf>,
}

/// What stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    /// Another one when something is mounted or unmounted.
    device: u64,
    /// Another one when something takes the place of it. `None`: nobody can tell.
    inode: Option<u64>,
}

impl Seen {
    fn at(place: &Path) -> io::Result<Seen> {
        let found = fs::metadata(place)?;
        Ok(Seen { device: found.dev(), inode: Some(found.ino()) })
    }

    /// What is in user space may number its files anew.
    fn known_by(self, mounts: &Mounts, place: &Path) -> Seen {
        let is_numbered = mounts.of(place).is_some_and(|mount| !mount.fstype.starts_with("fuse"));
        Seen { inode: self.inode.filter(|_| is_numbered), ..self }
    }
}

impl Sources {
    /// Of absolute paths without symbolic links.
    pub fn look_at(
        sources: &[PathBuf],
        crosses: bool,
        mounts: &Mounts,
    ) -> Result<Sources, Failure> {
        let seen = |source: &PathBuf| {
            let seen =
                Seen::at(source).map_err(|error| Failure::system(source.display(), error))?;
            Ok((source.clone(), seen.known_by(mounts, source)))
        };
        let crossed = if crosses { sources } else { &[] };
        let places = inside(crossed, mounts);
        let origins = sources.iter().map(|source| {
            let inside = mounts.inside(source).filter_map(|mount| origin(&mount.target, mounts));
            let inside = crosses.then(|| inside.collect());
            Some(Origin { inside, ..origin(source, mounts)? })
        });
        Ok(Sources {
            origins: origins.collect(),
            seen: sources.iter().chain(&places).map(seen).collect::<Result<_, Failure>>()?,
            crossed: crossed.to_vec(),
        })
    }

    /// They are where they were.
    pub fn check_again(&self) -> Result<(), Failure> {
        for (source, seen) in &self.seen {
            let now = Seen::at(source).ok();
            if now.map(|now| now.device) != Some(seen.device) {
                return Err(meanwhile(source));
            }
            if seen.inode.is_some() && now.and_then(|now| now.inode) != seen.inode {
                let message = format!(
                    "{}: another folder has taken its place in the meantime; take another snapshot",
                    source.display()
                );
                return Err(Failure::new(Exit::UNAVAILABLE, message));
            }
        }
        if self.crossed.is_empty() {
            return Ok(());
        }
        let known = |place: &PathBuf| self.seen.iter().any(|(seen, _)| seen == place);
        match inside(&self.crossed, &Mounts::read()?).iter().find(|place| !known(place)) {
            None => Ok(()),
            Some(place) => Err(meanwhile(place)),
        }
    }
}

/// The places inside these where something is mounted.
fn inside(sources: &[PathBuf], mounts: &Mounts) -> Vec<PathBuf> {
    let places = sources.iter().flat_map(|source| mounts.inside(source));
    places.map(|mount| mount.target.clone()).collect()
}

fn meanwhile(place: &Path) -> Failure {
    let message = format!(
        "{}: something was mounted or unmounted there in the meantime; take another snapshot",
        place.display()
    );
    Failure::new(Exit::UNAVAILABLE, message)
}

/// A source may have an automounter, which waits for somebody to come.
pub fn touch<'a>(sources: impl Iterator<Item = &'a PathBuf>) {
    for source in sources {
        let _ = statvfs(source);
    }
}

/// Something is mounted at each of these places.
pub fn require_mounts(places: &[PathBuf], mounts: &Mounts) -> Result<(), Failure> {
    for place in places {
        let found = place.canonicalize().unwrap_or_else(|_| place.clone());
        if mounts.of(&found).is_none_or(|mount| mount.target != found) {
            let message = format!(
                "--require-mount {}: nothing is mounted there; mount it and take another snapshot",
                place.display()
            );
            return Err(Failure::new(Exit::UNAVAILABLE, message));
        }
    }
    Ok(())
}

/// How the sources of the newest snapshot of a series are elsewhere now, if they are, for messages.
pub fn have_changed(newest: &Manifest, all: &Contents) -> Option<String> {
    let folders = newest.sources.iter().filter(|source| source.is_absolute());
    let folders: Vec<PathBuf> = folders.cloned().collect();
    let crosses = newest.origins.iter().flatten().any(|origin| origin.inside.is_some());
    touch(folders.iter());
    let now = Sources::look_at(&folders, crosses, &Mounts::read().ok()?).ok()?;
    difference(newest, now.origins.as_deref()?, all)
}

/// How they are not where they were for one before.
fn difference(before: &Manifest, now: &[Origin], all: &Contents) -> Option<String> {
    let then = before.origins.as_deref()?;
    // What was restored is where it is on purpose.
    let mut restored = all.manifests.iter().filter_map(|one| one.replaced.as_ref());
    if are_same(then, now) || restored.any(|restored| are_same(restored, now)) {
        return None;
    }
    let changed = before.sources.iter().zip(then.iter().zip(now));
    let changed: Vec<String> =
        changed.flat_map(|(source, (then, now))| changes(source, then, now)).collect();
    Some(format!("{}, when {} was taken; is it mounted?", changed.join("; "), before.name))
}

const LED_ON_PURPOSE: &str = "if it leads there on purpose, say --source-changed accept once";

/// What the user called them, where links led there: as absolute paths.
pub fn named<'a>(paths: impl Iterator<Item = &'a PathBuf>, sources: &[PathBuf]) -> Vec<PathBuf> {
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let named: Vec<PathBuf> = paths.map(absolute).collect();
    let is_recordable = |path: &PathBuf| recordable(path).is_ok();
    match named == sources || !named.iter().all(is_recordable) {
        true => Vec::new(),
        false => named,
    }
}

/// Compares with the newest snapshot of the series, and notes in the manifest what came of it.
pub fn compare(
    manifest: &mut Manifest,
    earlier: &Contents,
    action: SourceChanged,
) -> Result<(), Failure> {
    if let Some(then) = earlier.led_elsewhere(manifest) {
        let what = format!("{}, when {} was taken", leading(manifest, then), then.name);
        match action {
            SourceChanged::Fail => {
                let message = format!("{what}. There is no snapshot; {LED_ON_PURPOSE}");
                return Err(Failure::new(Exit::UNAVAILABLE, message));
            }
            SourceChanged::Warn => warn(&format!("{what}: a series of its own begins")),
            SourceChanged::Accept => {}
        }
    }
    let (Some(before), Some(now)) = (earlier.precursor(manifest), &manifest.origins) else {
        return Ok(());
    };
    let Some(what) = difference(before, now, earlier) else {
        return Ok(());
    };
    if action == SourceChanged::Accept {
        return Ok(());
    }
    let accept = "if it has moved on purpose, say --source-changed accept once";
    if action == SourceChanged::Fail {
        return Err(Failure::new(
            Exit::UNAVAILABLE,
            format!("{what} There is no snapshot; {accept}"),
        ));
    }
    warn(&format!("{what} This snapshot is none that `latest` hands out; {accept}"));
    manifest.source_changed = true;
    Ok(())
}

/// How one source, and what is mounted inside it, has changed.
fn changes(source: &Path, then: &Origin, now: &Origin) -> Vec<String> {
    let itself = (!then.is_same_outside(now))
        .then(|| format!("{} is {now}, and was {then}", source.display()));
    let inside = now.differences(then).into_iter().filter_map(|pair| match pair {
        [Some(now), Some(then)] => {
            Some(format!("{} is {now}, and was {then}", now.mounted_at.display()))
        }
        [Some(now), None] => {
            Some(format!("{} is {now}, and nothing was mounted there", now.mounted_at.display()))
        }
        [None, Some(then)] => {
            Some(format!("nothing is mounted at {}, which was {then}", then.mounted_at.display()))
        }
        [None, None] => None,
    });
    itself.into_iter().chain(inside).collect()
}

fn origin(source: &Path, mounts: &Mounts) -> Option<Origin> {
    let mount = mounts.of(source)?;
    Some(Origin {
        kind: mount.fstype.clone(),
        id: id(source, mount),
        root: mount.name_of(source)?,
        mounted_at: mount.target.clone(),
        inside: None,
    })
}

/// These make the identifier that statfs(2) tells of their own; others of the number of a device, which may
/// be another one in the next boot.
const TELL_THEMSELVES: [&str; 7] = ["ext2", "ext3", "ext4", "btrfs", "zfs", "bcachefs", "jfs"];

fn id(source: &Path, mount: &Mount) -> Option<String> {
    if TELL_THEMSELVES.contains(&mount.fstype.as_str()) {
        return statvfs(source).ok().map(|found| format!("{:016x}", found.filesystem_id()));
    }
    if let Some(source) = mount.source.as_ref().filter(|source| !source.starts_with("/dev/")) {
        // A server's export, a folder of another file system, memory.
        return Some(source.to_string_lossy().into_owned());
    }
    // Takes permission to read the device, or udev.
    let place = mount.target.to_string_lossy();
    let answer = tool::ask("findmnt", &["-n", "-o", "UUID", "--mountpoint", &place]).ok()?;
    let of_the_last = answer.lines().last().unwrap_or_default().trim();
    (!of_the_last.is_empty()).then(|| of_the_last.to_owned())
}
