//! Rounds, medians and clocks.
//!
//! One round gives every contender the same short stretch of time, one after another; a burst of
//! other work on the machine then spoils a round and not a contender. The median over the rounds is
//! what a contender costs.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::statfs::{self, FsType, statfs};
use nix::time::{ClockId, clock_gettime};
use tempfile::TempDir;

use crate::contenders::Contender;

/// How much to measure, and where.
pub struct Effort {
    pub quick: bool,
    memory: TempDir,
    disk: TempDir,
}

impl Effort {
    pub fn new(quick: bool) -> anyhow::Result<Effort> {
        let named =
            |folder: &Path| tempfile::Builder::new().prefix("stillpoint-bench.").tempdir_in(folder);
        let disk = named(&std::env::temp_dir())?;
        let memory = named(Path::new("/dev/shm")).or_else(|_| named(&std::env::temp_dir()))?;
        Ok(Effort { quick, memory, disk })
    }

    /// The first in a short run, else the second.
    pub fn pick<T>(&self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }

    /// A new folder where barriers belong: in memory.
    pub fn folder(&self) -> anyhow::Result<PathBuf> {
        Ok(TempDir::new_in(self.memory.path())?.keep())
    }

    /// The same on disk.
    pub fn folder_on_disk(&self) -> anyhow::Result<PathBuf> {
        Ok(TempDir::new_in(self.disk.path())?.keep())
    }
}

/// The kind of file system, as people call it.
pub fn file_system(path: &Path) -> String {
    const XFS: FsType = FsType(nix::libc::XFS_SUPER_MAGIC as _);
    match statfs(path).map(|found| found.filesystem_type()) {
        Ok(statfs::TMPFS_MAGIC) => "tmpfs".into(),
        Ok(statfs::EXT4_SUPER_MAGIC) => "ext4".into(),
        Ok(statfs::BTRFS_SUPER_MAGIC) => "btrfs".into(),
        Ok(statfs::OVERLAYFS_SUPER_MAGIC) => "overlay".into(),
        Ok(XFS) => "xfs".into(),
        Ok(other) => format!("file system {:#x}", other.0),
        Err(error) => error.to_string(),
    }
}

/// Nanoseconds of one enter and leave of each contender: the medians of interleaved rounds.
pub fn pair_costs(contenders: &[&dyn Contender], rounds: usize, stretch: Duration) -> Vec<f64> {
    let counts: Vec<u64> =
        contenders.iter().map(|contender| count_for(*contender, stretch)).collect();
    let mut costs = vec![Vec::with_capacity(rounds); contenders.len()];
    for _ in 0..rounds {
        for ((contender, count), costs) in contenders.iter().zip(&counts).zip(&mut costs) {
            let started = Instant::now();
            contender.pairs(*count);
            costs.push(started.elapsed().as_nanos() as f64 / *count as f64);
        }
    }
    costs.into_iter().map(median).collect()
}

/// How many pairs fill that stretch of time.
fn count_for(contender: &dyn Contender, stretch: Duration) -> u64 {
    let mut count = 16;
    loop {
        let started = Instant::now();
        contender.pairs(count);
        if started.elapsed() >= stretch / 2 {
            return count * 2;
        }
        count *= 2;
    }
}

pub fn median(values: Vec<f64>) -> f64 {
    percentile(values, 50.0)
}

/// The value that this share of all values, in per cent, does not exceed.
pub fn percentile(mut values: Vec<f64>, percent: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * percent / 100.0).ceil() as usize;
    values.get(rank.max(1) - 1).copied().unwrap_or(f64::NAN)
}

/// Nanoseconds of the clock that all processes share.
pub fn now() -> u64 {
    clock(ClockId::CLOCK_MONOTONIC)
}

/// Nanoseconds that this thread has run.
pub fn processor_time() -> u64 {
    clock(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

fn clock(clock: ClockId) -> u64 {
    let now = clock_gettime(clock).expect("this clock exists on every Linux");
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}

/// A number in `0.0..1.0`, different each time. Good enough to keep loads from marching in step.
pub fn jitter() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(now()) as f64 / u64::MAX as f64
}
