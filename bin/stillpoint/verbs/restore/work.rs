//! Where something is restored before it has its name: a folder of our own beside its place.
//!
//! It is locked (`flock`) before anything is in it, and the tools that fill it inherit the lock. So one that is not
//! locked belongs to nobody any more, however its run ended, and the next one that restores to the same place takes it
//! away. Nobody but its owner may look into it: half a mailbox is nobody's business.
//!
//! What is exchanged for live data is marked first. The data in a marked folder is either what was restored, which the
//! mark tells it by, or else what was live before: that gets a name and is never removed.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::unistd::geteuid;

use crate::catalogue::identity::{Identity, Presence, is_subvolume};
use crate::catalogue::lock::try_lock;
use crate::catalogue::partial::token;
use crate::files::handle;
use crate::files::names::{leads_to, rename_to_free};
use crate::files::sync::sync_folder;
use crate::snapshot::data::unlinking;
use crate::snapshot::provider::btrfs;
use crate::words::exit::{Exit, Failure, reason};
use crate::words::lines::{say, warn};
use crate::words::progress::Progress;

/// How the name of such a folder ends.
const SUFFIX: &str = ".restoring";
/// Of the name of what is restored, so much of it: the longest is 255 bytes.
const LONGEST: usize = 200;
/// The only thing in it.
const DATA: &str = "data";
/// And before an exchange, what tells the restored from what was there before.
const MARK: &str = "restored";
/// What tries whether two folders can change places.
const TRIED: [&str; 2] = ["one", "other"];
/// Names for what is kept.
const NAMES: u32 = 100;

/// A name in a folder that is there.
pub struct Spot {
    pub folder: File,
    /// The path of that folder, for messages.
    pub shown: PathBuf,
    pub name: OsString,
}

impl Spot {
    /// The name as whoever reads a message has it.
    pub fn place(&self) -> PathBuf {
        self.shown.join(&self.name)
    }

    /// The same, whatever becomes of the way there.
    pub fn path(&self) -> PathBuf {
        handle::path(&self.folder).join(&self.name)
    }

    pub fn exists(&self) -> bool {
        self.path().symlink_metadata().is_ok()
    }

    /// How the names of our folders for it begin.
    fn prefix(&self) -> Vec<u8> {
        let name = self.name.as_bytes();
        [b".", &name[..name.len().min(LONGEST)], b"."].concat()
    }

    fn is_ours(&self, name: &OsStr) -> bool {
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let token = name.as_bytes().strip_prefix(self.prefix().as_slice());
        let token = token.and_then(|rest| rest.strip_suffix(SUFFIX.as_bytes()));
        token.is_some_and(|token| token.len() == 16 && token.iter().all(is_digit))
    }

    /// Gives a name to what was there before.
    fn keep(&self, from: &Path) -> io::Result<PathBuf> {
        let stem = Timestamp::now().strftime(".before-%Y-%m-%dT%H-%M-%SZ").to_string();
        let stem =
            [&self.name.as_bytes()[..self.name.len().min(LONGEST)], stem.as_bytes()].concat();
        for number in 0..NAMES {
            let more = if number == 0 { String::new() } else { format!("-{number}") };
            let name = OsString::from_vec([&stem, more.as_bytes()].concat());
            match rename_to_free(from, &handle::path(&self.folder).join(&name)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                renamed => {
                    renamed?;
                    sync_folder(&handle::path(&self.folder))?;
                    return Ok(self.shown.join(name));
                }
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

/// Something on its way to a place. Dropped, it goes.
pub struct Work {
    pub spot: Spot,
    name: OsString,
    /// Keeps the lock.
    pub folder: File,
    is_done: bool,
    has_former: bool,
}

impl Work {
    /// Takes away what runs that died have left for this place, and begins another one.
    pub fn begin(spot: Spot) -> Result<Work, Failure> {
        sweep(&spot);
        let cannot = |error: io::Error| {
            let exit = match error.kind() {
                io::ErrorKind::PermissionDenied => Exit::DENIED,
                _ => Exit::CANNOT_CREATE,
            };
            let message =
                format!("{}: cannot be written: {}", spot.shown.display(), reason(&error));
            Failure::new(exit, message)
        };
        loop {
            let name = [&spot.prefix(), token().as_bytes(), SUFFIX.as_bytes()].concat();
            let name = OsString::from_vec(name);
            let path = handle::path(&spot.folder).join(&name);
            DirBuilder::new().mode(0o700).create(&path).map_err(cannot)?;
            match handle::readable(&path) {
                // Somebody who swept took it for an old one.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(cannot(error)),
                Ok(folder) => {
                    if try_lock(&folder).map_err(cannot)?
                        && leads_to(&path, &folder).map_err(cannot)?
                    {
                        return Ok(Work { spot, name, folder, is_done: false, has_former: false });
                    }
                }
            }
        }
    }

    /// Where it is made.
    pub fn data(&self) -> PathBuf {
        handle::path(&self.folder).join(DATA)
    }

    /// The same, for those that cannot have what is open.
    pub fn shown(&self) -> PathBuf {
        self.spot.shown.join(&self.name).join(DATA)
    }

    /// Gives it its name, which must be free.
    pub fn publish(&mut self) -> io::Result<()> {
        rename_to_free(&self.data(), &self.spot.path())?;
        sync_folder(&handle::path(&self.spot.folder))
    }

    /// Before an exchange: from now on nothing is removed that is not what was restored.
    pub fn mark(&mut self) -> io::Result<()> {
        let identity = Identity::of_whole(&self.data())?;
        let mut file = File::create_new(handle::path(&self.folder).join(MARK))?;
        file.write_all(&serde_json::to_vec(&identity)?)?;
        file.sync_all()?;
        self.folder.sync_all()?;
        Ok(())
    }

    /// Can two things change places here? Some file systems cannot do that.
    pub fn try_exchange(&self) -> Result<(), Failure> {
        let folder = handle::path(&self.folder);
        let two = TRIED.map(|name| folder.join(name));
        let tried = two.iter().try_for_each(fs::create_dir);
        let tried = tried.and_then(|()| exchange(&two[0], &two[1]));
        let removed = two.iter().try_for_each(fs::remove_dir);
        tried.and(removed).map_err(|error| {
            let message = format!(
                "{}: two folders cannot change places on this file system ({}): stop the writers, restore to a new place with --to, and rename",
                self.spot.shown.display(),
                reason(&error)
            );
            Failure::new(Exit::UNAVAILABLE, message)
        })
    }

    /// In one step what was restored is there, and what was there is here; durable when this returns.
    pub fn exchange(&mut self) -> io::Result<()> {
        self.has_former = self.spot.exists();
        match self.has_former {
            true => exchange(&self.data(), &self.spot.path())?,
            false => rename_to_free(&self.data(), &self.spot.path())?,
        }
        self.is_done = true;
        sync_folder(&handle::path(&self.folder))?;
        sync_folder(&handle::path(&self.spot.folder))
    }

    /// Back again, if it was done.
    pub fn take_back(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.is_done) {
            match std::mem::take(&mut self.has_former) {
                true => exchange(&self.data(), &self.spot.path())?,
                false => rename_to_free(&self.spot.path(), &self.data())?,
            }
        }
        Ok(())
    }

    /// Is what was there before here now?
    pub fn has_former(&self) -> bool {
        self.is_done && self.has_former
    }

    /// After an exchange: gives what was there before a name beside its old one.
    pub fn keep(&mut self) -> io::Result<PathBuf> {
        self.spot.keep(&self.data())
    }
}

fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    Ok(renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE)?)
}

impl Drop for Work {
    fn drop(&mut self) {
        let path = handle::path(&self.spot.folder).join(&self.name);
        if let Err(error) = finish(&self.spot, &self.folder, &self.shown(), &path) {
            let place = self.spot.shown.join(&self.name);
            warn(&format!("{}: cannot be removed: {}", place.display(), reason(&error)));
        }
    }
}

/// What runs that died have left for this place.
fn sweep(spot: &Spot) {
    let Ok(items) = fs::read_dir(handle::path(&spot.folder)) else { return };
    for name in items.flatten().map(|item| item.file_name()).filter(|name| spot.is_ours(name)) {
        let path = handle::path(&spot.folder).join(&name);
        let shown = spot.shown.join(&name);
        let is_mine = |folder: &File| -> io::Result<bool> {
            Ok(folder.metadata()?.uid() == geteuid().as_raw())
        };
        let swept = handle::readable(&path).and_then(|folder| {
            if !is_mine(&folder)? || !try_lock(&folder)? || !leads_to(&path, &folder)? {
                return Ok(());
            }
            say(&format!("{}: was left by a run that did not end, and goes", shown.display()));
            finish(spot, &folder, &shown.join(DATA), &path)
        });
        match swept {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                warn(&format!("{}: cannot be removed: {}", shown.display(), reason(&error)));
            }
            _ => {}
        }
    }
}

/// Removes a folder of ours, and what was restored in it; what was live before is kept.
fn finish(spot: &Spot, folder: &File, shown: &Path, path: &Path) -> io::Result<()> {
    let (data, mark) = (handle::path(folder).join(DATA), handle::path(folder).join(MARK));
    if data.symlink_metadata().is_ok() {
        match fs::read(&mark) {
            Ok(text) if !is_restored(&text, &data) => {
                let kept = spot.keep(&data)?;
                say(&format!(
                    "what was {} before is kept as {}",
                    spot.place().display(),
                    kept.display()
                ));
            }
            Ok(_) => remove(&data, shown)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => remove(&data, shown)?,
            Err(error) => return Err(error),
        }
    }
    for name in TRIED {
        let _ = fs::remove_dir(handle::path(folder).join(name));
    }
    match fs::remove_file(&mark) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::remove_dir(path)
}

/// Does the mark tell it for what was restored? What cannot be told may have been live.
fn is_restored(mark: &[u8], data: &Path) -> bool {
    let Ok(identity) = serde_json::from_slice::<Vec<Identity>>(mark) else { return false };
    let is_known = |one: &Identity| {
        one.born.is_some() || one.handle.is_some() || one.inode.is_some() || one.subvolume.is_some()
    };
    identity.first().is_some_and(|one| is_known(one) && one.is_at(data) == Presence::There)
}

fn remove(data: &Path, shown: &Path) -> io::Result<()> {
    if is_subvolume(data) {
        return btrfs::delete(shown);
    }
    if data.symlink_metadata()?.is_dir() {
        for item in fs::read_dir(data)? {
            let name = item?.file_name();
            if is_subvolume(&data.join(&name)) {
                btrfs::delete(&shown.join(name))?;
            }
        }
    }
    unlinking::remove(data, Progress::new("removing", shown.display()), |_| Ok(true))
}
