//! Which files are protected: those on certain file systems.
//!
//! A file system is known by its device, as the kernel's lists of locks have it. Paths would say less: a process
//! may see others, after chroot(2) or in a mount namespace of its own. For most files fstat(2) gives that device; a
//! btrfs gives one of its own for each subvolume, and the device of the mount is asked for (`/proc/self/mountinfo`).
//! What was found is remembered, that a device is not protected for a few seconds only: what is mounted changes.

use nix::libc;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

const MOST: usize = 32;
const REMEMBERED: usize = 64;
/// How long it is believed that a device is not protected.
const SECONDS: u64 = 4;
/// File systems whose files have other devices than their mounts: btrfs and overlayfs, statfs(2).
const OF_MANY: [u32; 2] = [0x9123_683e, 0x794c_7630];

/// File systems, by their devices.
#[derive(Debug)]
pub struct Devices {
    paths: Vec<PathBuf>,
    /// 0: none.
    protected: [AtomicU32; MOST],
    /// When the paths were looked at.
    looked: AtomicU64,
    /// Device, then when it was asked about, then whether it is protected.
    remembered: [AtomicU64; REMEMBERED],
}

/// A device in 32 bits, as the kernel has it.
fn short(major: u64, minor: u64) -> u32 {
    (major << 20 | minor & 0xf_ffff) as u32
}

fn of_number(device: u64) -> u32 {
    short(nix::sys::stat::major(device), nix::sys::stat::minor(device))
}

/// A device as the kernel writes it into its lists: `08:02`.
pub fn in_list(text: &str, base: u32) -> Option<u32> {
    let (major, minor) = text.split_once(':')?;
    let number = |text| u64::from_str_radix(text, base).ok();
    Some(short(number(major)?, number(minor)?))
}

fn status(descriptor: RawFd) -> Option<libc::stat> {
    let mut status = MaybeUninit::uninit();
    // SAFETY: a place for the answer, which is whole if the call succeeds.
    unsafe { (libc::fstat(descriptor, status.as_mut_ptr()) == 0).then(|| status.assume_init()) }
}

/// The device of the file system that is mounted where the descriptor's file was opened.
fn of_mount(descriptor: RawFd) -> Option<u32> {
    let about = std::fs::read_to_string(format!("/proc/thread-self/fdinfo/{descriptor}")).ok()?;
    let mount = about.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let of_this = |line: &str| {
        let mut fields = line.split(' ');
        (fields.next() == Some(mount)).then(|| in_list(fields.nth(1)?, 10)).flatten()
    };
    mounts.lines().find_map(of_this)
}

fn is_of_many(descriptor: RawFd) -> bool {
    let mut about = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: a place for the answer, which is whole if the call succeeds.
    unsafe {
        libc::fstatfs(descriptor, about.as_mut_ptr()) == 0
            && OF_MANY.contains(&(about.assume_init().f_type as u32))
    }
}

/// The device of the file system that a descriptor's file lies on.
fn of_descriptor(descriptor: RawFd) -> Option<u32> {
    let of_mount = is_of_many(descriptor).then(|| of_mount(descriptor)).flatten();
    of_mount.or_else(|| status(descriptor).map(|status| of_number(status.st_dev)))
}

fn of_path(path: &Path) -> Option<u32> {
    let file = std::fs::File::options().read(true).custom_flags(libc::O_PATH).open(path).ok()?;
    of_descriptor(file.as_raw_fd())
}

fn seconds() -> u64 {
    let mut now = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: a place for the answer, which is whole if the call succeeds.
    unsafe {
        if libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, now.as_mut_ptr()) != 0 {
            return 0;
        }
        now.assume_init().tv_sec as u64
    }
}

impl Devices {
    /// The file systems that these paths lie on.
    pub fn of(paths: Vec<PathBuf>) -> Devices {
        let devices = Devices {
            paths,
            protected: [const { AtomicU32::new(0) }; MOST],
            looked: AtomicU64::new(seconds() & 0x7fff_ffff),
            remembered: [const { AtomicU64::new(0) }; REMEMBERED],
        };
        devices.look();
        devices
    }

    /// Looks again what the paths lie on. One that cannot be reached any more stays what it was.
    fn look(&self) {
        for (path, device) in self.paths.iter().zip(&self.protected) {
            if let Some(found) = of_path(path) {
                device.store(found, Ordering::Relaxed);
            }
        }
    }

    /// Whether the kernel's device is that of a protected file system.
    pub fn contain(&self, device: u32) -> bool {
        device != 0 && self.protected.iter().any(|one| one.load(Ordering::Relaxed) == device)
    }

    /// Whether the descriptor's file lies on one. What is no file lies on none.
    pub fn protect(&self, descriptor: RawFd) -> bool {
        let Some(status) = status(descriptor) else {
            return false;
        };
        let device = of_number(status.st_dev);
        if self.contain(device) {
            return true;
        }
        let place = &self.remembered[device as usize % REMEMBERED];
        let remembered = place.load(Ordering::Relaxed);
        let now = seconds() & 0x7fff_ffff;
        if remembered >> 32 == u64::from(device)
            && (remembered & 1 == 1 || now.wrapping_sub(remembered >> 1 & 0x7fff_ffff) < SECONDS)
        {
            return remembered & 1 == 1;
        }
        if now != self.looked.swap(now, Ordering::Relaxed) {
            self.look();
        }
        let protected = match is_of_many(descriptor).then(|| of_mount(descriptor)) {
            None => self.contain(device),
            Some(Some(device)) => self.contain(device),
            // Without /proc: rather too many files than too few.
            Some(None) => true,
        };
        let entry = u64::from(device) << 32 | now << 1 | u64::from(protected);
        place.store(entry, Ordering::Relaxed);
        protected
    }
}
