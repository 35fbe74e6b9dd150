//! Where a member takes its file to be, said by two locks on it whose places are drawn from that: by the folder
//! it is in and its name, and by its path. What they are for, `stragglers` says.

use crate::file::byte_lock::{Mode, try_lock_byte};
use crate::file::layout::LockByte;
use crate::file::open::{Identity, folder_of, open_fresh};
use crate::member::vantage::Vantage;
use crate::report::foreign;
use crate::report::lock_table::{self, Lock};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What tells a place from others: by its folder and name, and by its path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys([u32; 2]);

impl Keys {
    /// Those of a path, seen from this root folder.
    pub(crate) fn of(path: &Path, root: Option<Identity>) -> Keys {
        let folder = fs::metadata(folder_of(path)).ok().map(|meta| Identity::of(&meta));
        let name = path.file_name().unwrap_or_default();
        Keys([key(folder, name.as_bytes()), key(root, path.as_os_str().as_bytes())])
    }

    /// Says by locks on the file that this is where it is taken to be.
    pub(crate) fn sign(&self, file: &File) -> io::Result<()> {
        for key in self.0 {
            // Only hostility keeps that from us.
            try_lock_byte(file, LockByte::Place(key), Mode::Shared)?;
        }
        Ok(())
    }
}

/// FNV-1a.
fn key(within: Option<Identity>, name: &[u8]) -> u32 {
    let Identity { device, inode } = within.unwrap_or(Identity { device: 0, inode: 0 });
    let numbers = [device.to_ne_bytes(), inode.to_ne_bytes()].concat();
    let hash = numbers.iter().chain(name).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    (hash ^ hash >> 32) as u32
}

/// Other files on which somebody says that he is here, and whether he says so by the folder.
pub(crate) fn elsewhere(
    path: &Path,
    own: Option<Identity>,
) -> io::Result<BTreeMap<Identity, bool>> {
    let bytes = Keys::of(path, Vantage::now().root).0.map(|key| LockByte::Place(key).offset());
    let mut found = BTreeMap::new();
    for lock in lock_table::of_all()?.into_iter().filter(Lock::is_of_description) {
        let is_locked = |byte| lock.first <= byte && lock.last.is_some_and(|last| byte <= last);
        let [by_folder, by_path] = bytes.map(is_locked);
        if by_folder || by_path {
            *found.entry(lock.file).or_insert(false) |= by_folder;
        }
    }
    found.retain(|file, _| own.is_none_or(|own| !is_this(path, own, *file)));
    Ok(found)
}

/// Whether this is the barrier's own file, which the table may know by another device than stat(2) does.
pub(crate) fn is_this(path: &Path, own: Identity, file: Identity) -> bool {
    let device = || {
        let (file, _) = open_fresh(path, false, Some(own)).ok()?;
        foreign::device_of_mount(&file)
    };
    file == own || file.inode == own.inode && device() == Some(file.device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_from_others() {
        let folder = tempfile::tempdir().unwrap();
        let keys = |name: &str| Keys::of(&folder.path().join(name), None).0;
        assert_eq!(keys("a"), keys("a"));
        assert!(keys("a")[0] != keys("b")[0] && keys("a")[1] != keys("b")[1]);
        let path = folder.path().join("sub/a");
        fs::create_dir(path.parent().unwrap()).unwrap();
        let before = Keys::of(&path, None).0;
        fs::rename(folder.path().join("sub"), folder.path().join("aside")).unwrap();
        fs::create_dir(path.parent().unwrap()).unwrap();
        let after = Keys::of(&path, None).0;
        assert_ne!(before[0], after[0], "another folder");
        assert_eq!(before[1], after[1], "the same path");
    }

    /// Who has another root sees another file by the same path.
    #[test]
    fn a_place_is_told_from_one_under_another_root() {
        use nix::sched::{CloneFlags, unshare};
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let keys = || Keys::of(Path::new("/mail.barrier"), Vantage::now().root).0;
        let there = std::thread::scope(|scope| {
            let confined = scope.spawn(|| {
                unshare(CloneFlags::CLONE_FS).unwrap();
                nix::unistd::chroot(folder.path()).unwrap();
                keys()
            });
            confined.join().unwrap()
        });
        let here = keys();
        assert!(here[0] != there[0] && here[1] != there[1]);
    }
}
