//! Removing a folder with all that is in it, and nothing else.
//!
//! What is mounted in it is somebody's live data; a folder may be replaced by a link while we are at
//! work; and how deep it goes is not ours to say. So no path is used but the first: each folder is opened
//! by its name in the one above, in a way that crosses neither a mount nor a link. The way back is "..",
//! which is believed only if it leads to the folder that we came from, by device and inode. One folder is
//! open at a time, and a level costs a few words of memory: depth takes neither descriptors nor stack,
//! and the longest path is one name.
//!
//! Whatever stops it, what is left is as it was, and the next run goes on from there.

use std::ffi::{CStr, CString, OsStr};
use std::fmt::Display;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::libc::{O_DIRECTORY, O_PATH, dev_t, ino_t};
use nix::sys::stat::{Mode, SFlag, fchmod, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::process::proc::mount_of;
use crate::words::progress::{Amount, Progress};

/// So many names of folders in one are kept in mind, however many there are.
const BATCH: usize = 1000;

/// Of a longer path only the ends are shown.
const LONGEST_SHOWN: usize = 500;

/// Removes a folder, if it is the one that is wanted, or what else has its name. Nothing there is no
/// error.
pub fn remove(
    place: &Path,
    progress: Progress,
    is_wanted: impl FnOnce(&File) -> io::Result<bool>,
) -> io::Result<()> {
    let (Some(parent), Some(name)) = (place.parent(), place.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let above = OpenOptions::new().read(true).custom_flags(O_PATH | O_DIRECTORY).open(parent)?;
    let fence = Fence::around(&above)?;
    let name = CString::new(name.as_bytes())?;
    let how = match fence.enter(&above, &name) {
        Err(Errno::ENOENT) => return Ok(()),
        Err(errno) if is_no_folder(errno) => UnlinkatFlags::NoRemoveDir,
        Err(errno) => return Err(failed(place.display(), errno)),
        Ok(folder) => {
            let folder = File::from(folder);
            if !is_wanted(&folder)? {
                return Ok(());
            }
            Walk::begin(place, fence, folder.into(), progress)?.empty()?;
            UnlinkatFlags::RemoveDir
        }
    };
    unlink(&above, &name, how).map_err(|errno| failed(place.display(), errno))
}

/// One folder that is being emptied.
struct Level {
    /// In the folder above.
    name: CString,
    device: dev_t,
    inode: ino_t,
    /// Some of the folders in it, still to be removed.
    folders: Vec<CString>,
}

/// The way from the top to the folder that is open.
struct Walk<'a> {
    place: &'a Path,
    fence: Fence,
    here: Dir,
    levels: Vec<Level>,
    progress: Progress,
    /// Files that are gone.
    removed: u64,
}

impl Walk<'_> {
    fn begin(
        place: &Path,
        fence: Fence,
        folder: OwnedFd,
        progress: Progress,
    ) -> io::Result<Walk<'_>> {
        let top = level(&folder, c"")?;
        let here = Dir::from_fd(folder)?;
        Ok(Walk { place, fence, here, levels: vec![top], progress, removed: 0 })
    }

    /// Removes all that is in the folder at the top.
    fn empty(&mut self) -> io::Result<()> {
        loop {
            while let Some(folder) = self.next_folder()? {
                self.descend(folder)?;
            }
            if !self.ascend()? {
                return Ok(());
            }
        }
    }

    /// A folder in the one where we are; what else is in it is removed on the way. It is read again when
    /// the folders that were found are gone, until there are none: a file system may leave out some that
    /// others were removed beside.
    fn next_folder(&mut self) -> io::Result<Option<CString>> {
        if self.level().folders.is_empty() {
            let folders = self.read()?;
            self.level().folders = folders;
        }
        Ok(self.level().folders.pop())
    }

    fn read(&mut self) -> io::Result<Vec<CString>> {
        let mut folders = Vec::new();
        let descriptor = self.here.as_fd().try_clone_to_owned()?;
        for item in self.here.iter() {
            let item = item?;
            let name = item.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let is_folder = match item.file_type() {
                Some(kind) => kind == Type::Directory,
                None => is_folder(&descriptor, name),
            };
            if is_folder {
                folders.push(name.to_owned());
            } else if let Err(errno) = unlink(&descriptor, name, UnlinkatFlags::NoRemoveDir) {
                return Err(failed(shown(self.place, &self.levels, name), errno));
            } else {
                self.removed += 1;
                let amount = Amount { bytes: None, files: Some(self.removed) };
                self.progress.show(|| amount);
            }
            if folders.len() == BATCH {
                break;
            }
        }
        Ok(folders)
    }

    fn descend(&mut self, name: CString) -> io::Result<()> {
        let folder = match self.fence.enter(&self.here, &name) {
            Ok(folder) => folder,
            Err(Errno::ENOENT) => return Ok(()),
            Err(errno) if is_no_folder(errno) => {
                return self.unlink(&name, UnlinkatFlags::NoRemoveDir);
            }
            Err(errno) => return Err(self.failed(&name, errno)),
        };
        let level = level(&folder, &name)?;
        if level.device != self.level().device {
            let path = shown(self.place, &self.levels, &name);
            return Err(io::Error::other(format!(
                "{path}: is another file system or subvolume, which is left; remove it first"
            )));
        }
        self.here = Dir::from_fd(folder)?;
        self.levels.push(level);
        Ok(())
    }

    /// Back from a folder that is empty, which goes; `false` at the top.
    fn ascend(&mut self) -> io::Result<bool> {
        if self.levels.len() == 1 {
            return Ok(false);
        }
        let emptied = self.levels.pop().expect("it is not the top");
        let above = self.fence.open(&self.here, c"..", FOLDER);
        let above = above.map_err(|errno| self.failed(&emptied.name, errno))?;
        let found = level(&above, c"")?;
        if (found.device, found.inode) != (self.level().device, self.level().inode) {
            let path = shown(self.place, &self.levels, &emptied.name);
            return Err(io::Error::other(format!("{path}: was moved while it was being removed")));
        }
        self.here = Dir::from_fd(above)?;
        self.unlink(&emptied.name, UnlinkatFlags::RemoveDir)?;
        Ok(true)
    }

    fn level(&mut self) -> &mut Level {
        self.levels.last_mut().expect("the top is never left")
    }

    fn unlink(&self, name: &CStr, how: UnlinkatFlags) -> io::Result<()> {
        unlink(&self.here, name, how).map_err(|errno| self.failed(name, errno))
    }

    fn failed(&self, name: &CStr, errno: Errno) -> io::Error {
        failed(shown(self.place, &self.levels, name), errno)
    }
}

/// How a folder is opened to be read.
const FOLDER: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// What keeps us on the mount where we began, and from following a link.
enum Fence {
    /// The kernel does, by openat2(2).
    Kernel,
    /// Before Linux 5.6, and where a filter of system calls does not know that one: the id of the mount.
    Mount(u64),
}

impl Fence {
    fn around(folder: &File) -> io::Result<Fence> {
        match Fence::Kernel.open(folder, c".", OFlag::O_PATH | OFlag::O_CLOEXEC) {
            Err(Errno::ENOSYS | Errno::EPERM) => {
                let id = mount_of(folder).ok_or_else(|| {
                    io::Error::other(
                        "one mount cannot be told from another here; mount /proc, or use Linux 5.6",
                    )
                })?;
                Ok(Fence::Mount(id))
            }
            opened => Ok(opened.map(|_| Fence::Kernel)?),
        }
    }

    /// Opens one name in a folder, or "..".
    fn open(&self, folder: impl AsFd, name: &CStr, flags: OFlag) -> nix::Result<OwnedFd> {
        match self {
            Fence::Kernel => {
                let resolve = ResolveFlag::RESOLVE_NO_XDEV | ResolveFlag::RESOLVE_NO_SYMLINKS;
                openat2(folder, name, OpenHow::new().flags(flags).resolve(resolve))
            }
            Fence::Mount(id) => {
                let opened = openat(folder, name, flags, Mode::empty())?;
                match mount_of(&opened) == Some(*id) {
                    true => Ok(opened),
                    false => Err(Errno::EXDEV),
                }
            }
        }
    }

    /// Opens a folder to be emptied. Who owns it need not have kept the right to do that.
    fn enter(&self, above: impl AsFd, name: &CStr) -> nix::Result<OwnedFd> {
        let opened = match self.open(&above, name, FOLDER) {
            Err(Errno::EACCES) => {
                let path = FOLDER | OFlag::O_PATH;
                let closed = self.open(&above, name, path)?;
                let itself = format!("/proc/self/fd/{}", closed.as_raw_fd());
                let _ = fs::set_permissions(itself, Permissions::from_mode(0o700));
                self.open(&above, name, FOLDER)?
            }
            opened => opened?,
        };
        if Mode::from_bits_truncate(fstat(&opened)?.st_mode).contains(Mode::S_IRWXU) {
            return Ok(opened);
        }
        let _ = fchmod(&opened, Mode::S_IRWXU);
        Ok(opened)
    }
}

fn level(folder: impl AsFd, name: &CStr) -> nix::Result<Level> {
    let found = fstat(folder)?;
    Ok(Level {
        name: name.to_owned(),
        device: found.st_dev,
        inode: found.st_ino,
        folders: Vec::new(),
    })
}

fn is_folder(above: impl AsFd, name: &CStr) -> bool {
    let found = fstatat(above, name, AtFlags::AT_SYMLINK_NOFOLLOW);
    found.is_ok_and(|found| found.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits())
}

/// What opening anything but a folder fails with, a link among them.
fn is_no_folder(errno: Errno) -> bool {
    matches!(errno, Errno::ENOTDIR | Errno::ELOOP)
}

/// That it is gone already is no error.
fn unlink(above: impl AsFd, name: &CStr, how: UnlinkatFlags) -> nix::Result<()> {
    match unlinkat(above, name, how) {
        Err(Errno::ENOENT) => Ok(()),
        done => done,
    }
}

fn failed(path: impl Display, errno: Errno) -> io::Error {
    let what = match errno {
        Errno::EXDEV | Errno::EBUSY => "something is mounted there, and is left; unmount it first",
        errno => errno.desc(),
    };
    io::Error::new(io::Error::from(errno).kind(), format!("{path}: {what}"))
}

fn shown(place: &Path, levels: &[Level], name: &CStr) -> String {
    let names = levels[1..].iter().map(|level| level.name.as_c_str()).chain([name]);
    let names = names.map(|name| OsStr::from_bytes(name.to_bytes()));
    let path = place.join(names.collect::<PathBuf>()).display().to_string();
    if path.len() <= LONGEST_SHOWN {
        return path;
    }
    let is_end = |at: &usize| path.is_char_boundary(*at);
    let begin = (0..=LONGEST_SHOWN / 2).rev().find(is_end).unwrap_or(0);
    let end = (path.len() - LONGEST_SHOWN / 2..path.len()).find(is_end).unwrap_or(path.len());
    format!("{} ... {}", &path[..begin], &path[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_folders_and_files_goes_and_what_is_beside_them_stays() {
        let place = tempfile::tempdir().unwrap();
        let tree = place.path().join("tree");
        for number in 0..BATCH + 1 {
            fs::create_dir_all(tree.join(format!("folder-{number}"))).unwrap();
            fs::write(tree.join(format!("file-{number}")), "").unwrap();
        }
        fs::create_dir(place.path().join("beside")).unwrap();
        std::os::unix::fs::symlink("../beside", tree.join("link")).unwrap();
        remove(&tree, Progress::new("", ""), |_| Ok(false)).unwrap();
        assert!(tree.exists(), "it is not the one that is wanted");
        remove(&tree, Progress::new("", ""), |folder| Ok(folder.metadata()?.is_dir())).unwrap();
        assert!(!tree.exists() && place.path().join("beside").exists());
        remove(&tree, Progress::new("", ""), |_| Ok(true)).unwrap();
    }

    #[test]
    fn what_is_no_folder_goes_by_its_name() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("file"), "").unwrap();
        std::os::unix::fs::symlink("file", place.path().join("link")).unwrap();
        remove(&place.path().join("link"), Progress::new("", ""), |_| Ok(true)).unwrap();
        assert!(place.path().join("file").exists());
        remove(&place.path().join("file"), Progress::new("", ""), |_| Ok(true)).unwrap();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_long_path_is_shown_by_its_ends() {
        let level =
            |name: &CStr| Level { name: name.to_owned(), device: 0, inode: 0, folders: Vec::new() };
        let mut levels = vec![level(c"")];
        assert_eq!(shown(Path::new("/to/x"), &levels, c"last"), "/to/x/last");
        levels.extend((0..1000).map(|_| level(c"\xc3\xa4\xff")));
        let path = shown(Path::new("/to/x"), &levels, c"last");
        assert!(path.starts_with("/to/x/") && path.ends_with("/last"), "{path}");
        assert!(path.len() <= LONGEST_SHOWN + 5 && path.contains(" ... "));
    }
}
