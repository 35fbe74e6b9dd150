//! What tells the data of a snapshot from anything else that stands at its place.
//!
//! A path proves nothing: a folder may be moved away and another one made, or mounted, where it was.
//! A file system keeps when a folder was born, and no program can set that; a btrfs subvolume, whose
//! root was born with the first of its line, has a number that is given out once. Both are the same
//! after a remount and in the next boot, which device numbers are not, nor everywhere inode numbers.
//!
//! Some keep no births, as an ext4 of 128-byte inodes, and give an inode number out again at once. A file
//! handle there has the number and how often it was given out, and is what a server of NFS knows a file by;
//! over NFS itself there is the number alone. Where a file system has nothing that is the same in two mounts
//! (FUSE, for one), the path has to do.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc::{O_NOFOLLOW, O_PATH};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::statfs::{
    BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, F2FS_SUPER_MAGIC, FsType, NFS_SUPER_MAGIC, TMPFS_MAGIC,
    XFS_SUPER_MAGIC, fstatfs,
};
use nix::sys::statvfs::fstatvfs;
use serde::{Deserialize, Serialize};

use crate::words::seconds::timestamp;

/// The inode number of every btrfs subvolume's root.
const SUBVOLUME_ROOT: u64 = 256;

/// The identity of one folder or subvolume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its name in the folder of the snapshot; empty for that folder itself.
    pub part: PathBuf,
    /// When it was made, if the file system keeps that.
    pub born: Option<String>,
    /// Its file handle, if the file system keeps no births but the same handles from mount to mount.
    #[serde(default)]
    pub handle: Option<String>,
    /// Its inode number, where that is all there is.
    #[serde(default)]
    pub inode: Option<u64>,
    /// Of a btrfs subvolume: the file system's UUID and the subvolume's number, as statfs(2) has them.
    pub subvolume: Option<String>,
}

/// What stands at a place; of several, the last of these counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Presence {
    /// What was made.
    There,
    /// It cannot be told: a folder that may not be searched, a disk that does not answer.
    Unknown,
    /// Something else.
    Replaced,
    Gone,
}

impl Identity {
    /// Of a folder or subvolume that was just made.
    pub fn of_whole(place: &Path) -> io::Result<Vec<Identity>> {
        Ok(vec![Identity::of_open(&open(place)?)?])
    }

    /// Of a folder that others made, if it can be looked at.
    pub fn of_target(folder: &Path) -> Option<Identity> {
        Identity::of_whole(folder).ok()?.pop()
    }

    /// Of one that is open.
    pub fn of_open(folder: &File) -> io::Result<Identity> {
        Identity::of(folder, Path::new(""))
    }

    /// Of a subvolume, or of a folder of them and of each.
    pub fn of_subvolumes(place: &Path) -> io::Result<Vec<Identity>> {
        let mut found = Identity::of_whole(place)?;
        if found[0].subvolume.is_none() {
            for item in fs::read_dir(place)? {
                let item = item?;
                found.push(Identity::of(&open(&item.path())?, Path::new(&item.file_name()))?);
            }
            found.sort_by(|a, b| a.part.cmp(&b.part));
        }
        Ok(found)
    }

    /// Of what is open.
    fn of(file: &File, part: &Path) -> io::Result<Identity> {
        let found = file.metadata()?;
        let born = found.created().ok().map(timestamp);
        let handle = if born.is_none() { handle(file).unwrap_or_default() } else { None };
        let kind = || fstatfs(file).map(|found| found.filesystem_type());
        let is_number_all = born.is_none() && handle.is_none() && KEEP_NUMBERS.contains(&kind()?);
        Ok(Identity {
            part: part.to_owned(),
            handle,
            inode: is_number_all.then(|| found.ino()),
            born,
            subvolume: match found.is_dir() && found.ino() == SUBVOLUME_ROOT {
                true => subvolume(file)?,
                false => None,
            },
        })
    }

    /// Is what is open the same? What was not known of this is not compared.
    pub fn is_of(&self, file: &File) -> io::Result<bool> {
        let found = Identity::of(file, &self.part)?;
        let metadata = file.metadata()?;
        let same_birth =
            self.born.is_none() || self.born == found.born || found.born.is_none() && !can_ask();
        // It is not known to be another one if it cannot be asked for.
        let same_handle = self.handle.is_none() || self.handle == handle(file)?;
        let same_number = self.inode.is_none_or(|inode| inode == metadata.ino());
        Ok(same_birth && same_handle && same_number && self.subvolume == found.subvolume)
    }

    /// Is it in the folder of the snapshot, or that folder?
    fn is_in(&self, folder: &Path) -> Presence {
        match self.part.as_os_str().is_empty() {
            // An empty part would make a link to a folder of it.
            true => self.is_at(folder),
            false => self.is_at(&folder.join(&self.part)),
        }
    }

    /// Has it this place?
    pub fn is_at(&self, place: &Path) -> Presence {
        match open(place).and_then(|file| self.is_of(&file)) {
            Ok(true) => Presence::There,
            Ok(false) => Presence::Replaced,
            Err(error) => Presence::of_error(&error),
        }
    }
}

impl Presence {
    /// Of the data with these identities, all of it; with none, of anything.
    pub fn of(place: &Path, identities: &[Identity]) -> Presence {
        if identities.is_empty() {
            return match place.symlink_metadata() {
                Ok(_) => Presence::There,
                Err(error) => Presence::of_error(&error),
            };
        }
        let parts = identities.iter().map(|identity| identity.is_in(place));
        parts.max().unwrap_or(Presence::Unknown)
    }

    /// Is what was made there? `None` if that cannot be told.
    pub fn is_there(self) -> Option<bool> {
        match self {
            Presence::There => Some(true),
            Presence::Unknown => None,
            Presence::Replaced | Presence::Gone => Some(false),
        }
    }

    fn of_error(error: &io::Error) -> Presence {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Presence::Gone,
            _ => Presence::Unknown,
        }
    }
}

/// Is it the root of a btrfs subvolume?
pub fn is_subvolume(path: &Path) -> bool {
    let found = open(path).and_then(|file| Identity::of_open(&file));
    found.is_ok_and(|found| found.subvolume.is_some())
}

/// The file itself, whatever it is, without as much as permission to read it.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(O_PATH | O_NOFOLLOW).open(path)
}

/// Those whose handles are in the inode on disk: the same after a remount, another one for another file.
const KEEP_HANDLES: [FsType; 3] = [EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, F2FS_SUPER_MAGIC];

/// Those that keep neither births nor handles, but give a folder the same number as long as it is there: NFS
/// before its fourth version had births, 9p, and what is in memory.
const KEEP_NUMBERS: [FsType; 4] = [NFS_SUPER_MAGIC, V9FS_MAGIC, TMPFS_MAGIC, RAMFS_MAGIC];
const V9FS_MAGIC: FsType = FsType(0x0102_1997);
const RAMFS_MAGIC: FsType = FsType(0x8584_58f6_u32 as _);

/// The handle of name_to_handle_at(2); `None` on another file system. The kernel shows it of what is watched
/// too, in the descriptor of the watch.
fn handle(file: &File) -> io::Result<Option<String>> {
    if !KEEP_HANDLES.contains(&fstatfs(file)?.filesystem_type()) {
        return Ok(None);
    }
    let watch = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    let itself = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    watch.add_watch(&itself, AddWatchFlags::IN_DELETE_SELF)?;
    let shown = fs::read_to_string(format!("/proc/self/fdinfo/{}", watch.as_fd().as_raw_fd()))?;
    let handle = shown.split_whitespace().find_map(|word| word.strip_prefix("f_handle:"));
    Ok(handle.map(str::to_owned))
}

/// Are births told at all? A container may forbid statx(2); else what has none is on another file system.
fn can_ask() -> bool {
    fs::metadata("/").is_ok_and(|root| root.created().is_ok())
}

/// What the kernel tells subvolumes apart by; `None` on another file system.
fn subvolume(file: &File) -> io::Result<Option<String>> {
    Ok(match fstatfs(file)?.filesystem_type() {
        BTRFS_SUPER_MAGIC => Some(format!("{:016x}", fstatvfs(file)?.filesystem_id())),
        _ => None,
    })
}
