//! The barrier under load, and what stays of it from run to run.

use crate::writers::{self, Board};
use hostile::{COUNTED, DIRTY, FILE_SIZE, folder};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use stillpoint::{Barrier, ExclusiveOptions, Kind};

/// Bytes of the header that mean something.
pub const HEADER: usize = 76;
/// Nothing may take longer. Nothing takes anywhere near as long, but the machine does other things.
pub const LIMIT: Duration = Duration::from_secs(50);

pub struct Scene {
    pub path: PathBuf,
    /// The way to the bytes.
    pub file: File,
    pub barrier: Barrier,
    pub board: &'static Board,
    /// The bytes when all had joined.
    calm: Vec<u8>,
    pub runs: u64,
}

impl Scene {
    /// Makes the barrier and sets the writers to work: as many threads and processes as a run needs
    /// to see them meet, and no more, for they take time from the edits.
    pub fn new() -> Scene {
        let path = folder("live").join("hostile.barrier");
        let _ = std::fs::remove_file(&path);
        drop(Barrier::create(&path).expect("a barrier"));
        let board = writers::start_process(&path);
        let barrier = Barrier::open(&path).expect("a barrier");
        drop(barrier.shared().expect("a slot"));
        writers::start_threads(&barrier, board);
        let began = Instant::now();
        while !board.all_have_begun() {
            assert!(began.elapsed() < LIMIT, "the writers start");
            std::thread::sleep(Duration::from_millis(1));
        }
        let processes = barrier.status().expect("it is a barrier").writers;
        let processes = processes.iter().filter(|writer| writer.kind == Kind::Process);
        let slots: Vec<u32> = processes.map(|writer| writer.slot).collect();
        assert_eq!(slots, [COUNTED, COUNTED + 1], "the slots that are edited are in use");
        let file = File::options().read(true).write(true).open(&path).expect("its file");
        let calm = std::fs::read(&path).expect("its bytes");
        Scene { path, file, barrier, board, calm, runs: 0 }
    }

    /// Puts back what stood in a part of the file.
    pub fn put_back(&self, part: std::ops::Range<usize>) {
        let part = part.start..part.end.min(FILE_SIZE as usize);
        if !part.is_empty() {
            self.file.write_all_at(&self.calm[part.clone()], part.start as u64).expect("written");
        }
    }

    /// What lies in the part of the calm file that begins with the epochs.
    pub fn put_back_records(&self) {
        self.put_back(DIRTY as usize..DIRTY as usize + 2112);
        self.put_back(hostile::STATS as usize..hostile::STATS as usize + 64);
    }

    pub fn word(&self, at: u32) -> u32 {
        hostile::read_word(&self.file, at)
    }

    pub fn set_word(&self, at: u32, word: u32) {
        self.file.write_all_at(&word.to_ne_bytes(), at.into()).expect("it is written");
    }
}

/// One closing, without waiting for anything else first.
pub fn at_once<'a>(drain: Duration) -> ExclusiveOptions<'a> {
    ExclusiveOptions::default()
        .patience(Duration::ZERO)
        .drain(drain)
        .wait(Duration::ZERO)
        .hold(LIMIT)
}
