//! Whether this process is in the middle of something: asked of the kernel, at a closed gate.
//!
//! Who holds a write lock on a protected file system may need another one before it gives that back, and so may
//! its children: a mail server holds one on a message for as long as its child delivers that. The process's own
//! descriptors show what hangs on them, also locks that another process took and left behind; the list of all locks
//! shows those of its ancestors. Locks on what is to be ignored, which programs hold for life, make nobody
//! a holder.
//!
//! A process with many threads may hold some lock at every moment, and then each of them would let the others in for
//! ever; asked of each thread alone, one that goes on with what another has begun would be kept out. Neither is always
//! right, so closings take turns between the two.

use crate::devices::{self, Devices};
use std::cell::Cell;
use std::fs::{File, read_to_string};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How far up ancestors are looked for.
const GENERATIONS: usize = 32;
/// The kernel hands out its list a page at a time; a lock that is given back in between moves the others up, and one of
/// them over the edge. So it is read twice, and never in smaller pieces.
const READINGS: usize = 2;
const PIECE: usize = 1 << 15;

const WORDS: usize = 16;

thread_local! {
    /// The descriptors through which this thread ever took a lock. High ones share bits, which makes more holders.
    static TOOK: [Cell<u64>; WORDS] = const { [const { Cell::new(0) }; WORDS] };
}

fn bit(descriptor: i32) -> (usize, u64) {
    let descriptor = descriptor.unsigned_abs() as usize;
    (descriptor / 64 % WORDS, 1 << (descriptor % 64))
}

/// This thread took a lock through this descriptor.
#[inline(always)]
pub fn note(descriptor: i32) {
    let (word, bit) = bit(descriptor);
    TOOK.with(|took| took[word].set(took[word].get() | bit));
}

fn has_taken(descriptor: i32) -> bool {
    let (word, bit) = bit(descriptor);
    TOOK.with(|took| took[word].get() & bit != 0)
}

/// Whether this process or one that it descends from holds such a lock; at every other closing, of a process with many
/// threads, whether this thread holds it.
pub fn holds(devices: &Devices, ignored: &[PathBuf], closing: u32) -> bool {
    let inodes = ignored_inodes(ignored);
    let counts = |line: &str| is_held(line, devices, &inodes).is_some();
    let is_of_thread = closing % 2 == 1 && has_threads();
    let mut descriptors = descriptors();
    descriptors.retain(|descriptor| !is_of_thread || has_taken(*descriptor));
    let own = descriptors.iter().any(|descriptor| {
        let about =
            read_to_string(format!("/proc/thread-self/fdinfo/{descriptor}")).unwrap_or_default();
        about.lines().filter_map(|line| line.strip_prefix("lock:")).any(counts)
    });
    own || {
        let family = family();
        let family = &family[usize::from(is_of_thread)..];
        let of_family =
            |line: &str| is_held(line, devices, &inodes).is_some_and(|pid| family.contains(&pid));
        (0..READINGS).any(|_| String::from_utf8_lossy(&list()).lines().any(of_family))
    }
}

/// A folder has two links and one more for each folder in it.
fn has_threads() -> bool {
    std::fs::metadata("/proc/thread-self/../../task").is_ok_and(|tasks| tasks.nlink() > 3)
}

fn list() -> Vec<u8> {
    let mut list = vec![0; PIECE];
    let mut end = 0;
    if let Ok(mut file) = File::open("/proc/locks") {
        while let Ok(length) = file.read(&mut list[end..]) {
            end += length;
            if length == 0 {
                break;
            }
            list.resize(end + PIECE, 0);
        }
    }
    list.truncate(end);
    list
}

/// `1: POSIX  ADVISORY  WRITE 1234 08:02:5678 0 EOF`: who holds it, if it is one that counts. Those of waiters have
/// an arrow behind the number.
fn is_held(line: &str, devices: &Devices, ignored: &[u64]) -> Option<i64> {
    let mut fields = line.split_once(": ")?.1.split_ascii_whitespace();
    fields.next().filter(|kind| *kind != "->")?;
    fields.nth(1).filter(|mode| *mode == "WRITE")?;
    let pid = fields.next()?.parse().ok()?;
    let (device, inode) = fields.next()?.rsplit_once(':')?;
    let counts = devices.contain(devices::in_list(device, 16)?);
    (counts && !ignored.contains(&inode.parse().ok()?)).then_some(pid)
}

/// The files to be ignored, those in a folder with it. Their file systems are not compared: to take one for
/// another keeps somebody waiting, and no longer than a pause lasts.
fn ignored_inodes(ignored: &[PathBuf]) -> Vec<u64> {
    let mut inodes = Vec::new();
    for path in ignored {
        if let Ok(about) = std::fs::metadata(path) {
            inodes.push(about.ino());
            if about.is_dir() {
                each_entry(path, |_, inode| inodes.push(inode));
            }
        }
    }
    inodes
}

fn descriptors() -> Vec<i32> {
    let mut found = Vec::new();
    each_entry(Path::new("/proc/thread-self/fdinfo"), |name, _| {
        found.extend(std::str::from_utf8(name).ok().and_then(|name| name.parse::<i32>().ok()));
    });
    found
}

/// The names in a folder, and their inodes: by the system call, since opendir(3) takes memory from malloc(3).
fn each_entry(folder: &Path, mut told: impl FnMut(&[u8], u64)) {
    const NAME: usize = 19;
    let Ok(folder) = File::open(folder) else { return };
    let mut room = vec![0u8; 1 << 14];
    loop {
        // SAFETY: room as long as is said.
        let length = unsafe {
            nix::libc::syscall(
                nix::libc::SYS_getdents64,
                folder.as_raw_fd(),
                room.as_mut_ptr(),
                room.len(),
            )
        };
        let Some(mut entries) = usize::try_from(length).ok().and_then(|length| room.get(..length))
        else {
            return;
        };
        if entries.is_empty() {
            return;
        }
        // Inode and offset of eight bytes each, the length of the entry in two, a kind, the name.
        while let (Some(inode), Some(length)) =
            (entries.first_chunk::<8>(), entries.get(16..18).and_then(|two| two.first_chunk::<2>()))
        {
            let (inode, length) =
                (u64::from_ne_bytes(*inode), usize::from(u16::from_ne_bytes(*length)));
            let Some(name) = entries.get(NAME..length) else { return };
            let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
            told(&name[..end], inode);
            entries = &entries[length..];
        }
    }
}

/// This process and those that it descends from, but for the first of all, whose locks are nobody's in particular.
fn family() -> Vec<i64> {
    let mut family = vec![i64::from(std::process::id())];
    while family.len() < GENERATIONS {
        let last = family[family.len() - 1];
        let status = read_to_string(format!("/proc/{last}/stat")).unwrap_or_default();
        // The name, in parentheses, may have anything in it.
        let parent = status.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1));
        match parent.and_then(|pid| pid.parse().ok()) {
            Some(parent) if parent > 1 => family.push(parent),
            _ => break,
        }
    }
    family
}
