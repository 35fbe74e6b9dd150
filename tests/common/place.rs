//! A place for barriers, and what the barrier file has where.

use std::fs::{File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use stillpoint::{Barrier, ExclusiveOptions, Status};
use tempfile::TempDir;

use super::time::ms;

/// A folder of its own for each test, on tmpfs where there is one, gone at the end.
pub struct Place {
    folder: TempDir,
}

impl Place {
    pub fn new() -> Place {
        Place { folder: folder_in_memory() }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where [`Place::barrier`] is.
    pub fn barrier_path(&self) -> PathBuf {
        self.path("mail.barrier")
    }

    /// The barrier of this place, made now.
    pub fn barrier(&self) -> Barrier {
        Barrier::create(self.barrier_path()).unwrap()
    }

    /// The same, but not kept open here.
    pub fn make_barrier(&self) -> PathBuf {
        drop(self.barrier());
        self.barrier_path()
    }

    /// A word of the barrier file, as the layout has it.
    pub fn word(&self, offset: u64) -> u32 {
        let mut word = [0; 4];
        File::open(self.barrier_path()).unwrap().read_exact_at(&mut word, offset).unwrap();
        u32::from_ne_bytes(word)
    }

    /// Overwrites it, behind everybody's back.
    pub fn set_word(&self, offset: u64, value: u32) {
        let file = File::options().write(true).open(self.barrier_path()).unwrap();
        file.write_all_at(&value.to_ne_bytes(), offset).unwrap();
    }

    pub fn status(&self) -> Status {
        Status::read(self.barrier_path()).unwrap()
    }

    /// The dirty epoch, as anybody may read it.
    pub fn epoch(&self) -> u32 {
        self.status().dirty.epoch
    }
}

/// Where the barrier file has the gate's generation.
pub const GENERATION: u64 = 4096;

/// The byte that whoever has the exclusive side holds.
pub const EXCLUSIVE: i64 = 0x4000_0000;

/// Where it has the boot id, and the one that is surely the kernel's.
pub const BOOT_IDS: [u64; 2] = [56, 76];

/// Where it has the words of freeze: frozen, token (4), asked, thawed.
pub const FREEZE: u64 = 12288;

/// Where it has the word of a slot.
pub fn slot_word(slot: u32) -> u64 {
    16384 + 128 * u64::from(slot)
}

/// One closing only, with this drain limit and no limit on the hold.
pub fn at_once<'a>(drain: u64) -> ExclusiveOptions<'a> {
    ExclusiveOptions::default().patience(Duration::ZERO).drain(ms(drain)).hold(None)
}

/// A folder on tmpfs where there is one, as the temporary folder of a container may lie on a file system
/// that carries no barriers. Every user reaches it.
pub fn folder_in_memory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
    let folder = folder.unwrap();
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    folder
}
