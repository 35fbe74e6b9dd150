//! A file system in an image file, mounted through a loop device, and other mounts.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::process::must;
use super::skip::is_root;

pub struct Image {
    folder: TempDir,
}

impl Image {
    pub fn btrfs() -> Option<Image> {
        Image::btrfs_of(256 << 20)
    }

    pub fn btrfs_of(size: u64) -> Option<Image> {
        Image::mounted(size, &["mkfs.btrfs", "--quiet"])
    }

    pub fn xfs() -> Option<Image> {
        Image::mounted(320 << 20, &["mkfs.xfs", "-q", "-m", "reflink=1"])
    }

    pub fn ext4() -> Option<Image> {
        Image::mounted(32 << 20, &["mkfs.ext4", "-q"])
    }

    /// As small ones, and many old ones, are: without room for the time of birth.
    pub fn ext4_without_births() -> Option<Image> {
        Image::mounted(32 << 20, &["mkfs.ext4", "-q", "-I", "128"])
    }

    /// A tmpfs of this many kibibytes.
    pub fn tmpfs(kibibytes: u32) -> Option<Image> {
        let image = Image::folder()?;
        image.mount_tmpfs(kibibytes);
        Some(image)
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("mount")
    }

    /// Mounts it anew.
    pub fn remount(self) -> Image {
        self.unmount();
        self.mount();
        self
    }

    pub fn unmount(&self) {
        must(Command::new("umount").arg(self.path()));
    }

    pub fn mount(&self) {
        let file = self.folder.path().join("image");
        must(Command::new("mount").args(["-o", "loop"]).arg(file).arg(self.path()));
    }

    pub fn mount_tmpfs(&self, kibibytes: u32) {
        let size = format!("size={kibibytes}k");
        must(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(self.path()));
    }

    fn mounted(size: u64, mkfs: &[&str]) -> Option<Image> {
        let image = Image::folder()?;
        let file = image.folder.path().join("image");
        File::create(&file).unwrap().set_len(size).unwrap();
        must(Command::new(mkfs[0]).args(&mkfs[1..]).arg(&file));
        image.mount();
        Some(image)
    }

    fn folder() -> Option<Image> {
        if !is_root() {
            return None;
        }
        let image = Image { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(image.path()).unwrap();
        Some(image)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            // Somebody still uses it: it goes when he does.
            let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
        }
    }
}

/// Something that is mounted until this goes.
pub struct Mounted(PathBuf);

impl Mounted {
    /// A new file system of this kind, in a folder that is made for it.
    pub fn new(kind: &str, options: &str, place: &Path) -> Mounted {
        std::fs::create_dir_all(place).unwrap();
        let mut mount = Command::new("mount");
        must(mount.args(["-t", kind, "-o", options, "stillpoint-test"]).arg(place));
        Mounted(place.to_owned())
    }

    /// A folder or file at another place too.
    pub fn bind(source: &Path, place: &Path) -> Mounted {
        must(Command::new("mount").arg("--bind").arg(source).arg(place));
        Mounted(place.to_owned())
    }

    /// What a command under test will mount there.
    pub fn later(place: &Path) -> Mounted {
        Mounted(place.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

pub fn subvolume(path: &Path) {
    must(Command::new("btrfs").args(["subvolume", "create"]).arg(path));
}
