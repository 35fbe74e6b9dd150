//! How long the exclusive side waits, and how long it makes others wait.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::contenders::{self, Contender};
use crate::measure::{Effort, jitter, now, percentile};
use crate::report::{Report, Row, Target, Time};
use crate::worker::{PATIENCE, Worker};

const WRITERS: usize = 8;

pub fn measure(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    busy(effort, report)?;
    one_long_among_brief(effort, report)
}

/// Eight processes that hold shares of 20 ms and rest 5 ms between.
fn busy(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    let tries = effort.pick(40, 300);
    let own = Waits::of("stillpoint", &effort.folder()?, WRITERS, tries, PATIENCE, PATIENCE)?;
    anyhow::ensure!(own.all.len() == tries, "the barrier's tries took more than {PATIENCE:?}");
    let typical = own.percentile(50.0);
    let cap = Duration::from_secs(effort.pick(5, 20));
    let peers = ["flock", "fcntl", "Cyrus", "pthread", "pthread-writers"];
    for name in peers {
        let waits = Waits::of(name, &effort.folder()?, WRITERS, tries, cap, 2 * cap)?;
        let count = waits.all.len();
        report.add(Row {
            what: format!("time to quiet, {WRITERS} writers holding 20 ms and resting 5 ms"),
            measured: own.percentile(99.0),
            peer: Some((
                format!("{} in {count} tries", contenders::title(name)),
                waits.percentile(99.0),
            )),
            target: Target::AtMost(own.longest_share + 2e6),
            note: format!(
                "p99 of {tries}, median {typical}; longest share {}; peers: as many tries as fit into {} s",
                Time::Took(own.longest_share),
                2 * cap.as_secs()
            ),
        });
    }
    Ok(())
}

/// How long the exclusive side had to wait, each time it was asked for.
pub struct Waits {
    pub all: Vec<Time>,
    /// The longest share that any writer held meanwhile, in nanoseconds.
    pub longest_share: f64,
}

impl Waits {
    /// Asks for it among processes that hold shares of 20 ms and rest 5 ms, give or take a fifth:
    /// this many times, or until that has taken a total of time, or one try had to be given up.
    pub fn of(
        name: &str,
        folder: &Path,
        writers: usize,
        tries: usize,
        cap: Duration,
        total: Duration,
    ) -> anyhow::Result<Waits> {
        let start = |_| Worker::start("write", name, folder, &[20_000, 5_000]);
        let writers = (0..writers).map(start).collect::<Result<Vec<_>, _>>()?;
        let mut tool = Worker::start("exclusive", name, folder, &[])?;
        let (mut all, started) = (Vec::new(), Instant::now());
        while all.len() < tries && started.elapsed() < total {
            std::thread::sleep(Duration::from_millis(20).mul_f64(1.0 + jitter()));
            tool.tell()?;
            match tool.numbers_within(cap)? {
                Some(waited) => all.push(Time::Took(waited[0])),
                None => {
                    all.push(Time::MoreThan(cap.as_nanos() as f64));
                    break;
                }
            }
        }
        // All are told before the first is waited for: else those would wait for each other's lock.
        let mut longest_share = 0f64;
        let mut writers = writers;
        writers.iter_mut().for_each(Worker::let_go);
        for writer in writers {
            longest_share = longest_share.max(writer.finish()?[0]);
        }
        // The tool goes last: a lock of the C library does not survive a waiter that is killed.
        drop(tool);
        Ok(Waits { all, longest_share })
    }

    /// The wait that this share of all, in per cent, does not exceed.
    pub fn percentile(&self, percent: f64) -> Time {
        let given_up = self.all.iter().copied().find(|wait| wait.is_given_up());
        let all = self.all.iter().map(|wait| wait.nanoseconds()).collect();
        let found = percentile(all, percent);
        given_up.filter(|cap| cap.nanoseconds() <= found).unwrap_or(Time::Took(found))
    }
}

/// One writer that holds a share for a second at a time, among eight brief ones.
fn one_long_among_brief(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    let folder = effort.folder()?;
    let pauses = effort.pick(2, 5);
    let barrier = contenders::open("stillpoint", &folder)?;
    let own = longest_wait(&*barrier, pauses)?;
    for (name, title) in [
        ("parking_lot", "a fair lock (parking_lot)"),
        ("pthread-writers", "pthread_rwlock, writers first"),
    ] {
        let fair = longest_wait(&*contenders::open(name, &folder)?, pauses)?;
        report.add(Row {
            what: format!(
                "one writer holding 1 s among {WRITERS} brief ones: longest wait of a brief one"
            ),
            measured: Time::Took(own),
            peer: Some((title.into(), Time::Took(fair))),
            target: Target::AtMost(100e6),
            note: format!("{pauses} pauses, each asked for early in the long share"),
        });
    }
    Ok(())
}

/// The longest that a brief writer waited for its share while the exclusive side was wanted.
fn longest_wait(lock: &dyn Contender, pauses: usize) -> anyhow::Result<f64> {
    let (over, long, longest) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                lock.share(&mut || {
                    long.store(true, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_secs(1));
                    long.store(false, Ordering::Relaxed);
                });
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        for _ in 0..WRITERS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let asked = now();
                    lock.share(&mut || {
                        longest.fetch_max(now() - asked, Ordering::Relaxed);
                        std::thread::sleep(Duration::from_millis(1));
                    });
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
        }
        for _ in 0..pauses {
            while !long.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
            }
            lock.exclusive(&mut || {});
        }
        over.store(true, Ordering::Relaxed);
    });
    Ok(longest.into_inner() as f64)
}
