//! What is paid once: to open a barrier, and for a thread's first share, which claims a slot for it.
//!
//! Beside what a program did before in the same place: it opened a file to lock it, or mapped a lock of pthreads.

use std::fs::{File, OpenOptions};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Barrier as Meeting;
use std::time::Instant;

use anyhow::Context;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use stillpoint::Barrier;

use crate::contenders;
use crate::measure::{Effort, median};
use crate::report::{Report, Row, Target, Time};

/// Whose memory is measured together: a page is the least that can be seen.
const THREADS: usize = 64;

pub fn measure(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    let folder = effort.folder()?;
    let path = contenders::barrier(&folder);
    drop(Barrier::create(&path)?);
    let lock = folder.join("lock");
    File::create(&lock)?.set_len(4096)?;
    let rounds = effort.pick(200, 2000);

    let before = private_bytes()?;
    let barrier = Barrier::open(&path)?;
    let of_process = private_bytes()?.saturating_sub(before);
    let of_thread = memory_of_threads(&barrier)?;
    let (mut first, mut flock) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (own, peer) = std::thread::scope(|scope| {
            let times = || -> anyhow::Result<(f64, f64)> {
                let own = time(|| barrier.shared())?;
                Ok((own, time(|| lock_once(&lock))?))
            };
            scope.spawn(times).join().expect("it does not panic")
        })?;
        first.push(own);
        flock.push(peer);
    }
    report.add(Row {
        what: "first share of a thread".into(),
        measured: Time::Took(median(first)),
        peer: Some(("open+flock+close".into(), Time::Took(median(flock)))),
        target: Target::None,
        note: format!("{} of memory of its own, stack included", kib(of_thread)),
    });
    drop(barrier);

    let (mut open, mut map) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        open.push(time(|| Barrier::open(&path))?);
        map.push(time(|| map_once(&lock))?);
    }
    report.add(Row {
        what: "open and close".into(),
        measured: Time::Took(median(open)),
        peer: Some(("open+mmap+munmap+close of a shared lock".into(), Time::Took(median(map)))),
        target: Target::None,
        note: format!("{} of memory of the process's own", kib(of_process)),
    });
    Ok(())
}

/// Nanoseconds.
fn time<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<f64, E> {
    let started = Instant::now();
    drop(work()?);
    Ok(started.elapsed().as_nanos() as f64)
}

fn lock_once(path: &Path) -> anyhow::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    Ok(fs2::FileExt::lock_shared(&file)?)
}

fn map_once(path: &Path) -> anyhow::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let length = NonZeroUsize::new(4096).expect("4096 is not 0");
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new map at a place of the kernel's choice, of which one byte is read, and its end.
    unsafe {
        let start = mmap(None, length, protection, MapFlags::MAP_SHARED, &file, 0)?;
        std::hint::black_box(start.cast::<u8>().read_volatile());
        Ok(munmap(start, length.get())?)
    }
}

/// What each of many threads adds to the memory of this process when it has taken its first share.
fn memory_of_threads(barrier: &Barrier) -> anyhow::Result<usize> {
    let [all_are_there, may_share, have_shared, may_end] =
        std::array::from_fn(|_| Meeting::new(THREADS + 1));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                all_are_there.wait();
                may_share.wait();
                let share = barrier.shared().is_ok();
                have_shared.wait();
                may_end.wait();
                assert!(share);
            });
        }
        all_are_there.wait();
        let before = private_bytes();
        may_share.wait();
        have_shared.wait();
        let after = private_bytes();
        may_end.wait();
        Ok(after?.saturating_sub(before?) / THREADS)
    })
}

/// What no other process has of this one's memory.
fn private_bytes() -> anyhow::Result<usize> {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let lines = text.lines().filter_map(|line| line.strip_prefix("Private_"));
    let sizes = lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<usize>().ok());
    sizes.reduce(|sum, size| sum + size).map(|sum| sum * 1024).context("smaps_rollup has no sizes")
}

fn kib(bytes: usize) -> String {
    format!("{:.1} KiB", bytes as f64 / 1024.0)
}
