//! The arena: what writers, tools and the harness share beside the barrier, and independently of it.
//!
//! * A map of counters, of one record per process and of one per writer, which says whether it is
//!   inside.
//! * Two tables with one number per writer, which belong together.
//! * A file of which each process keeps one byte locked, in the old way (`F_SETLK`): not inherited by
//!   a child, gone at exit and at exec. That tells the living from the dead.
//!
//! Writers and processes are numbered and no number is used twice, so a record says for ever how its
//! writer ended. A process id says nothing here: two pid namespaces have the same ones.

use crate::figures::{DEEDS, Deed};
use crate::state::{Ledger, State};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{self, c_void};
use nix::sys::mman::{MapFlags, ProtFlags, mmap};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicU32, AtomicU64};
use stillpoint::Barrier;

const FOLDER: &str = "STILLPOINT_TORTURE_FOLDER";
/// A folder in it.
const NOTES: &str = "notes";
/// How many stations there can be.
pub const STATIONS: usize = 8;

/// The start of the map.
#[repr(C)]
struct Counters {
    seed: AtomicU64,
    /// Seconds since the epoch.
    started: AtomicU64,
    /// Every writer below the first number has ended for good; the second is how often they must have
    /// raised the dirty epoch. One word, so that both are read at once.
    settled: AtomicU64,
    over: AtomicU32,
    violations: AtomicU32,
    processes: AtomicU32,
    writers: AtomicU32,
    capacity: AtomicU32,
    /// Odd while more threads than slots may be there.
    crowding: AtomicU32,
    /// How many processes of the crowd have all their threads inside the barrier.
    crowded: AtomicU32,
    deeds: [AtomicU32; DEEDS],
    stations: [AtomicU32; STATIONS],
}

/// One process.
#[repr(C)]
pub struct ProcessRecord {
    pub pid: AtomicU32,
    pub namespace: AtomicU32,
    /// The number of the process whose label its slots carry: a forked child keeps its parent's.
    pub label: AtomicU32,
    /// Not 0: one raise of the dirty epoch stands for all shares that were counted together.
    pub counted_loss: AtomicU32,
}

/// One writer.
#[repr(C)]
pub struct Record {
    /// The number of its process.
    pub process: AtomicU32,
    pub state: AtomicU32,
}

/// A process's view of it.
pub struct Arena {
    folder: PathBuf,
    counters: &'static Counters,
    processes: &'static [ProcessRecord],
    records: &'static [Record],
    /// Two tables with a number for each writer, which belong together.
    pub index: &'static [AtomicU32],
    pub counter: &'static [AtomicU32],
    lives: File,
    /// Kept by the one who made it.
    _owner: Option<tempfile::TempDir>,
}

const FIRST_PAGE: usize = 4096;
const _: () = assert!(size_of::<Counters>() <= FIRST_PAGE);

impl Arena {
    /// Makes one, in memory if possible, with room for so many seconds.
    pub fn create(seconds: u64, seed: u64) -> Arena {
        let memory = Path::new("/dev/shm");
        let owner = tempfile::Builder::new()
            .prefix("stillpoint-torture-")
            .tempdir_in(if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() });
        let owner = owner.expect("a temporary folder");
        let capacity = 40_000 + 4_000 * seconds;
        let each = size_of::<Record>() + size_of::<ProcessRecord>();
        let sizes = [
            ("map", FIRST_PAGE as u64 + capacity * each as u64),
            ("index", capacity * 4),
            ("counter", capacity * 4),
            ("lives", 0),
        ];
        for (name, size) in sizes {
            let file = File::create_new(owner.path().join(name)).expect("a file is made");
            file.set_len(size).expect("it grows");
        }
        std::fs::create_dir(owner.path().join(NOTES)).expect("a folder is made");
        let mut arena = Arena::at(owner.path().into());
        arena.counters.capacity.store(u32::try_from(capacity).expect("hours"), SeqCst);
        arena.counters.seed.store(seed, SeqCst);
        arena.counters.started.store(now(), SeqCst);
        arena._owner = Some(owner);
        arena
    }

    /// The one that the environment names.
    pub fn inherited() -> Option<Arena> {
        Some(Arena::at(std::env::var_os(FOLDER)?.into()))
    }

    /// The environment of a process that is to find it.
    pub fn environment(&self) -> (&str, &Path) {
        (FOLDER, &self.folder)
    }

    fn at(folder: PathBuf) -> Arena {
        let file = |name: &str| {
            let file = OpenOptions::new().read(true).write(true).open(folder.join(name));
            file.expect("the arena's files are there")
        };
        let (start, length) = map(&file("map"));
        // SAFETY: the file is longer than its first page, which holds the counters; atomics only.
        let counters: &Counters = unsafe { start.cast().as_ref() };
        let room = (length - FIRST_PAGE) / (size_of::<Record>() + size_of::<ProcessRecord>());
        // SAFETY: processes and writers fill the rest of the file; atomics, on a page boundary and
        // on a multiple of their size behind it.
        let (processes, records) = unsafe {
            let first = start.byte_add(FIRST_PAGE);
            let second = first.byte_add(room * size_of::<ProcessRecord>());
            (
                std::slice::from_raw_parts(first.cast().as_ptr(), room),
                std::slice::from_raw_parts(second.cast().as_ptr(), room),
            )
        };
        let table = |name| {
            let (start, length) = map(&file(name));
            // SAFETY: all of the file; atomics only.
            unsafe { std::slice::from_raw_parts(start.cast().as_ptr(), length / 4) }
        };
        let (index, counter, lives) = (table("index"), table("counter"), file("lives"));
        Arena { folder, counters, processes, records, index, counter, lives, _owner: None }
    }

    pub fn barrier(&self) -> PathBuf {
        self.folder.join("torture.barrier")
    }

    /// A file for what one process tells another. Not beside the barrier: whenever something changes there, whoever
    /// pauses it has to look for users of another file in its place, in a table of thousands of locks.
    pub fn note(&self, name: &str) -> PathBuf {
        self.folder.join(NOTES).join(name)
    }

    /// Opens the barrier for a process of this number, whose slots carry it as their label.
    pub fn open_barrier(&self, process: u32) -> Barrier {
        let options = Barrier::options().label(&label(process));
        options.open(self.barrier()).expect("the barrier is there")
    }

    pub fn seed(&self) -> u64 {
        self.counters.seed.load(SeqCst)
    }

    /// Whether everybody is to end.
    pub fn is_over(&self) -> bool {
        self.counters.over.load(SeqCst) != 0
    }

    /// Asks everybody to end.
    pub fn end(&self) {
        self.counters.over.store(1, SeqCst);
    }

    pub fn count(&self, deed: Deed, times: u32) {
        self.counters.deeds[deed as usize].fetch_add(times, SeqCst);
    }

    pub fn count_at_least(&self, deed: Deed, times: u32) {
        self.counters.deeds[deed as usize].fetch_max(times, SeqCst);
    }

    pub fn counted(&self, deed: Deed) -> u32 {
        self.counters.deeds[deed as usize].load(SeqCst)
    }

    /// What a tool at a station is doing: see `tool`.
    pub fn station(&self, station: usize) -> &AtomicU32 {
        &self.counters.stations[station]
    }

    pub fn crowding(&self) -> &AtomicU32 {
        &self.counters.crowding
    }

    pub fn crowded(&self) -> &AtomicU32 {
        &self.counters.crowded
    }

    /// A number for this process, whose life byte it holds from now on until it ends. Its slots carry
    /// the label of process `label`, if not its own.
    pub fn new_process(&self, label: Option<u32>) -> u32 {
        let number = self.counters.processes.fetch_add(1, SeqCst) + 1;
        assert!(number < self.counters.capacity.load(SeqCst), "the arena is full");
        let record = self.process(number);
        record.pid.store(std::process::id(), SeqCst);
        let namespace = std::fs::metadata("/proc/self/ns/pid").map_or(0, |meta| meta.ino());
        record.namespace.store(namespace as u32, SeqCst);
        record.label.store(label.unwrap_or(number), SeqCst);
        fcntl(&self.lives, FcntlArg::F_SETLK(&life(number.into(), 1))).expect("the byte is free");
        number
    }

    pub fn process(&self, number: u32) -> &ProcessRecord {
        &self.processes[number as usize]
    }

    /// How many processes there have been.
    pub fn processes(&self) -> u32 {
        self.counters.processes.load(SeqCst)
    }

    /// Whether a process holds its life byte. Not to be asked by that process itself.
    pub fn lives(&self, process: u32) -> bool {
        self.is_locked(life(process.into(), 1))
    }

    /// Whether anybody but this process lives.
    pub fn is_populated(&self) -> bool {
        self.is_locked(life(0, 0))
    }

    fn is_locked(&self, mut question: libc::flock) -> bool {
        fcntl(&self.lives, FcntlArg::F_GETLK(&mut question)).expect("the question is valid");
        i32::from(question.l_type) != libc::F_UNLCK
    }

    /// A new writer of a process.
    pub fn new_writer(&self, process: u32) -> u32 {
        let number = self.counters.writers.fetch_add(1, SeqCst);
        assert!(number < self.counters.capacity.load(SeqCst), "the arena is full");
        self.record(number).process.store(process, SeqCst);
        number
    }

    pub fn record(&self, writer: u32) -> &Record {
        &self.records[writer as usize]
    }

    /// How many writers there have been.
    pub fn writers(&self) -> u32 {
        self.counters.writers.load(SeqCst)
    }

    /// Below which number all have ended for good, and how often they must have raised the dirty epoch.
    pub fn settled(&self) -> (u32, u32) {
        let both = self.counters.settled.load(SeqCst);
        ((both >> 32) as u32, both as u32)
    }

    /// Moves that border up. Called by one thread only.
    pub fn settle(&self) {
        let (mut first, losses) = self.settled();
        let mut ledger = Ledger::new(self, losses);
        let mut dead = 0;
        while first < self.writers() {
            let record = self.record(first);
            let process = record.process.load(SeqCst);
            if process == 0 || (process != dead && self.lives(process)) {
                break;
            }
            dead = process;
            ledger.enter(process, State::of(record));
            first += 1;
        }
        let losses = ledger.close(true);
        self.counters.settled.store(u64::from(first) << 32 | u64::from(losses), SeqCst);
    }

    /// The processes of those who died inside, by label and pid, as the barrier's reports name them.
    pub fn died_inside(&self) -> Vec<(String, u32)> {
        let inside = |record: &&Record| State::of(record).is_loss();
        let name = |record: &Record| {
            let process = self.process(record.process.load(SeqCst));
            (label(process.label.load(SeqCst)), process.pid.load(SeqCst))
        };
        let writers = self.records.iter().take(self.writers() as usize);
        writers.filter(inside).map(name).collect()
    }

    /// Shares that were taken and changed something.
    pub fn shares(&self) -> u64 {
        let numbers = self.counter.iter().take(self.writers() as usize);
        numbers.map(|number| u64::from(number.load(SeqCst))).sum()
    }

    /// Reports a violation. The first is told at once.
    pub fn complain(&self, what: &str) {
        if self.counters.violations.fetch_add(1, SeqCst) == 0 {
            let seconds = now() - self.counters.started.load(SeqCst);
            eprintln!("torture: the first violation, after {seconds} s: {what}");
        }
        let file = OpenOptions::new().create(true).append(true).open(self.note("complaints"));
        let line = format!("{what}\n");
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("a complaint is heard");
    }

    pub fn violations(&self) -> u32 {
        self.counters.violations.load(SeqCst)
    }

    /// What was reported.
    pub fn complaints(&self) -> String {
        std::fs::read_to_string(self.note("complaints")).unwrap_or_default()
    }
}

/// Maps all of a file, for good: where, and how much.
fn map(file: &File) -> (NonNull<c_void>, usize) {
    let length = file.metadata().expect("it has a size").len() as usize;
    let size = NonZeroUsize::new(length).expect("not empty");
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new map at a place of the kernel's choice; it is never unmapped.
    let start = unsafe { mmap(None, size, protection, MapFlags::MAP_SHARED, file, 0) };
    (start.expect("the arena is mapped"), length)
}

fn now() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().expect("later than the epoch");
    since.as_secs()
}

/// What the slots of a process call themselves.
pub fn label(process: u32) -> String {
    format!("p{process}")
}

fn life(start: libc::off_t, length: libc::off_t) -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: start,
        l_len: length,
        l_pid: 0,
    }
}
