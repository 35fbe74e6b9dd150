//! The arena: what writers, tools and the harness share beside the barrier, and independently of it.
//!
//! * A map of counters and of one record per writer, which says whether it is inside.
//! * Two files with one number per writer, which belong together.
//! * A file of which each process keeps one byte locked, in the old way (`F_SETLK`): not inherited by
//!   a child, gone at exit and at exec. That tells the living from the dead.
//!
//! Writers and processes are numbered and no number is used twice, so a record says for ever how its
//! writer ended.

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags, mmap};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// A writer is outside.
pub const OUTSIDE: u32 = 0;
/// It is inside, or died inside.
pub const INSIDE: u32 = 1;
/// It is inside, or died inside, with a share that is counted with others of its process: the dirty
/// epoch rises once for all of them.
pub const COUNTED: u32 = 3;
/// It ended inside on purpose: its thread ended, or its process executed another program.
pub const ENDED: u32 = 2;

const FOLDER: &str = "STILLPOINT_TORTURE_FOLDER";
const ROLE: &str = "STILLPOINT_TORTURE_ROLE";

/// The start of the map.
#[repr(C)]
pub struct Counters {
    pub over: AtomicU32,
    pub granted: AtomicU32,
    pub certified: AtomicU32,
    pub revoked: AtomicU32,
    pub violations: AtomicU32,
    processes: AtomicU32,
    writers: AtomicU32,
    capacity: AtomicU32,
    /// Every writer below the first number has ended for good; the second is how many of them died
    /// inside. One word, so that both are read at once.
    settled: AtomicU64,
}

/// One writer.
#[repr(C)]
pub struct Record {
    /// The number of its process.
    pub process: AtomicU32,
    pub pid: AtomicU32,
    pub state: AtomicU32,
}

/// A process's view of it.
pub struct Arena {
    pub folder: PathBuf,
    counters: &'static Counters,
    records: &'static [Record],
    /// Two files with a number for each writer, which belong together.
    pub index: File,
    pub counter: File,
    lives: File,
    /// Kept by the one who made it.
    _owner: Option<tempfile::TempDir>,
}

impl Arena {
    /// Makes one, in memory if possible, with room for so many seconds.
    pub fn create(seconds: u64) -> Arena {
        let memory = Path::new("/dev/shm");
        let owner = tempfile::Builder::new()
            .prefix("stillpoint-torture-")
            .tempdir_in(if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() });
        let owner = owner.expect("a temporary folder");
        let capacity = 20_000 + 2_000 * seconds;
        let map = File::create_new(owner.path().join("map")).expect("the map is made");
        map.set_len(4096 + capacity * size_of::<Record>() as u64).expect("the map grows");
        for name in ["index", "counter", "lives"] {
            let file = File::create_new(owner.path().join(name)).expect("a file is made");
            file.set_len(capacity * 4).expect("it grows");
        }
        let mut arena = Arena::open(owner.path().into());
        arena.counters.capacity.store(u32::try_from(capacity).expect("hours"), SeqCst);
        arena._owner = Some(owner);
        arena
    }

    /// The one that the environment names, and what this process is to do there.
    pub fn inherited() -> Option<(Arena, String)> {
        let folder = std::env::var_os(FOLDER)?;
        Some((Arena::open(folder.into()), std::env::var(ROLE).expect("a role with the folder")))
    }

    fn open(folder: PathBuf) -> Arena {
        let file = |name: &str| {
            let file = OpenOptions::new().read(true).write(true).open(folder.join(name));
            file.expect("the arena's files are there")
        };
        let map = file("map");
        let length = map.metadata().expect("it has a size").len() as usize;
        let size = NonZeroUsize::new(length).expect("not empty");
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new map at a place of the kernel's choice; it is never unmapped.
        let start = unsafe { mmap(None, size, protection, MapFlags::MAP_SHARED, &map, 0) };
        let start = start.expect("the arena is mapped");
        // SAFETY: the file is longer than its first page, which holds the counters; atomics only.
        let counters: &Counters = unsafe { start.cast().as_ref() };
        let records = (length - 4096) / size_of::<Record>();
        // SAFETY: the rest of the file is as many records, made of atomics, on a page boundary.
        let records =
            unsafe { std::slice::from_raw_parts(start.byte_add(4096).cast().as_ptr(), records) };
        let (index, counter, lives) = (file("index"), file("counter"), file("lives"));
        Arena { folder, counters, records, index, counter, lives, _owner: None }
    }

    /// The environment of a process that is to take part.
    pub fn environment<'a>(&'a self, role: &'a str) -> [(&'a str, &'a std::ffi::OsStr); 2] {
        [(FOLDER, self.folder.as_os_str()), (ROLE, role.as_ref())]
    }

    pub fn barrier(&self) -> PathBuf {
        self.folder.join("torture.barrier")
    }

    pub fn counters(&self) -> &Counters {
        self.counters
    }

    /// Whether everybody is to end.
    pub fn is_over(&self) -> bool {
        self.counters.over.load(SeqCst) != 0
    }

    /// A number for this process, whose life byte it holds from now on until it ends.
    pub fn new_process(&self) -> u32 {
        let number = self.counters.processes.fetch_add(1, SeqCst) + 1;
        fcntl(&self.lives, FcntlArg::F_SETLK(&life(number))).expect("the byte is free");
        number
    }

    /// Whether a process holds its life byte. Not to be asked by that process itself.
    pub fn lives(&self, process: u32) -> bool {
        let mut question = life(process);
        fcntl(&self.lives, FcntlArg::F_GETLK(&mut question)).expect("the question is valid");
        i32::from(question.l_type) != libc::F_UNLCK
    }

    /// Whether anybody lives.
    pub fn is_populated(&self) -> bool {
        (1..=self.counters.processes.load(SeqCst)).any(|process| self.lives(process))
    }

    /// A new writer of a process.
    pub fn new_writer(&self, process: u32) -> u32 {
        let number = self.counters.writers.fetch_add(1, SeqCst);
        assert!(number < self.counters.capacity.load(SeqCst), "the arena is full");
        let record = self.record(number);
        record.pid.store(std::process::id(), SeqCst);
        record.process.store(process, SeqCst);
        number
    }

    pub fn record(&self, writer: u32) -> &Record {
        &self.records[writer as usize]
    }

    /// How many writers there have been.
    pub fn writers(&self) -> u32 {
        self.counters.writers.load(SeqCst)
    }

    /// Below which number all have ended for good, and how many of those died inside.
    pub fn settled(&self) -> (u32, u32) {
        let both = self.counters.settled.load(SeqCst);
        ((both >> 32) as u32, both as u32)
    }

    /// Moves that border up. Called by one thread only.
    pub fn settle(&self) {
        let (mut first, mut losses) = self.settled();
        while first < self.writers() {
            let record = self.record(first);
            let process = record.process.load(SeqCst);
            if process == 0 || self.lives(process) {
                break;
            }
            losses += u32::from(is_loss(record.state.load(SeqCst)));
            first += 1;
        }
        self.counters.settled.store(u64::from(first) << 32 | u64::from(losses), SeqCst);
    }

    /// The processes of those who died inside.
    pub fn died_inside(&self) -> Vec<u32> {
        let inside = |record: &&Record| record.state.load(SeqCst) != OUTSIDE;
        self.records.iter().filter(inside).map(|record| record.pid.load(SeqCst)).collect()
    }

    /// The numbers of both files from one writer to another.
    pub fn numbers(file: &File, writers: std::ops::Range<u32>) -> Vec<u32> {
        let mut bytes = vec![0; 4 * writers.len()];
        file.read_exact_at(&mut bytes, 4 * u64::from(writers.start)).expect("the file is whole");
        bytes
            .chunks_exact(4)
            .map(|four| u32::from_ne_bytes([four[0], four[1], four[2], four[3]]))
            .collect()
    }

    /// Shares that were taken and changed something.
    pub fn shares(&self) -> u64 {
        let numbers = Arena::numbers(&self.counter, 0..self.writers());
        numbers.into_iter().map(u64::from).sum()
    }

    /// Reports a violation.
    pub fn complain(&self, what: &str) {
        self.counters.violations.fetch_add(1, SeqCst);
        let file =
            OpenOptions::new().create(true).append(true).open(self.folder.join("complaints"));
        let line = format!("{what}\n");
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("a complaint is heard");
    }

    /// What was reported.
    pub fn complaints(&self) -> String {
        std::fs::read_to_string(self.folder.join("complaints")).unwrap_or_default()
    }
}

/// Whether a dead writer in this state must have raised the dirty epoch by itself.
pub fn is_loss(state: u32) -> bool {
    matches!(state, INSIDE | ENDED)
}

fn life(process: u32) -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: process.into(),
        l_len: 1,
        l_pid: 0,
    }
}
