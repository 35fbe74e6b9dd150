//! Writers that keep two files equal, and the check that a snapshot shows them so.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::common::until;
use stillpoint::Barrier;

const THREADS: usize = 4;

/// Threads that write pairs of files inside a share until this is dropped.
pub struct Writers {
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Writers {
    /// Each pair lies in two folders, which may be different subvolumes.
    pub fn start(barrier: &Path, first: &Path, second: &Path) -> Writers {
        let barrier = Barrier::open(barrier).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let rounds = Arc::new(AtomicU64::new(0));
        let write = |number: usize| {
            let (barrier, stop, rounds) = (barrier.clone(), Arc::clone(&stop), Arc::clone(&rounds));
            let pair = [first.join(format!("a{number}")), second.join(format!("b{number}"))];
            std::thread::spawn(move || {
                for round in 0_u64.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let share = barrier.shared().unwrap();
                    put(&pair[0], round);
                    // Long enough for every unguarded snapshot to fall in between.
                    std::thread::sleep(Duration::from_millis(2));
                    put(&pair[1], round);
                    drop(share);
                    rounds.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_micros(200));
                }
            })
        };
        let threads = (0..THREADS).map(write).collect();
        let writers = Writers { stop, rounds, threads };
        writers.wait_for_rounds();
        writers
    }

    /// Each thread may have written a few more pairs when this returns.
    pub fn wait_for_rounds(&self) {
        let goal = self.rounds.load(Ordering::Relaxed) + 4 * THREADS as u64;
        until("writer getting on", || self.rounds.load(Ordering::Relaxed) >= goal);
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn put(path: &PathBuf, round: u64) {
    let mut file = File::options().create(true).write(true).truncate(true).open(path).unwrap();
    write!(file, "{round:020}").unwrap();
}

/// The numbers of the pairs that differ.
pub fn torn(first: &Path, second: &Path) -> Vec<usize> {
    let read = |path: PathBuf| fs::read_to_string(path).unwrap();
    (0..THREADS)
        .filter(|number| {
            let (a, b) =
                (read(first.join(format!("a{number}"))), read(second.join(format!("b{number}"))));
            assert_eq!(a.len(), 20, "a file is not whole");
            a != b
        })
        .collect()
}
