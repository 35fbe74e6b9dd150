//! What the tests of the core share: a place for barriers, and processes that take part.

#![allow(dead_code, unused_imports, reason = "each test program uses its part of it")]

mod container;
mod participant;
mod skip;

#[allow(unused_imports, reason = "as above")]
pub use container::Container;
#[allow(unused_imports, reason = "as above")]
pub use participant::{Participant, field};
pub use skip::skip;

use std::fs::{File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use stillpoint::{Barrier, ExclusiveOptions, Status};
use tempfile::TempDir;

/// What the scheduler may add to any promised time on a small and busy machine.
pub const SLACK: Duration = Duration::from_millis(400);

pub const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A folder of its own for each test, on tmpfs where there is one, gone at the end.
pub struct Place {
    folder: TempDir,
}

impl Place {
    pub fn new() -> Place {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
        let folder = folder.unwrap();
        // Ordinary users take part in some tests.
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        Place { folder }
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

/// Ends the threads of a scope, also when the test fails there: set when this is dropped.
#[derive(Default)]
pub struct Over(AtomicBool);

impl Over {
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn when_dropped(&self) -> impl Drop + '_ {
        struct Set<'a>(&'a AtomicBool);
        impl Drop for Set<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        Set(&self.0)
    }
}

/// Waits for something that is bound to happen.
pub fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let started = Instant::now();
    while !happened() {
        assert!(started.elapsed() < Duration::from_secs(20), "never: {what}");
        std::thread::sleep(ms(1));
    }
}
