//! How long the exclusive side waits, and how long it makes others wait.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use stillpoint::{Barrier, ExclusiveOptions};

use crate::contenders::{self, Contender};
use crate::measure::{Effort, jitter, now, percentile};
use crate::report::{Report, Row, Target, Time};
use crate::worker::Worker;

const WRITERS: usize = 8;

pub fn measure(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    busy(effort, report)?;
    one_long_among_brief(effort, report)
}

/// Eight processes that hold shares of 20 ms and rest 5 ms between, give or take a fifth.
fn busy(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    let load = |name: &str, folder: &std::path::Path| {
        let one = |_| Worker::start("write", name, folder, &[20_000, 5_000]);
        (0..WRITERS).map(one).collect::<Result<Vec<_>, _>>()
    };
    let longest_share = |writers: Vec<Worker>| -> anyhow::Result<f64> {
        let longest = writers
            .into_iter()
            .map(|writer| Ok(writer.finish()?[0]))
            .collect::<anyhow::Result<Vec<f64>>>()?;
        Ok(longest.into_iter().fold(0.0, f64::max))
    };

    let folder = effort.folder()?;
    let barrier = Barrier::create(contenders::barrier(&folder))?;
    let writers = load("stillpoint", &folder)?;
    let mut waits = Vec::new();
    for _ in 0..effort.pick(40, 300) {
        std::thread::sleep(Duration::from_millis(20).mul_f64(1.0 + jitter()));
        let started = Instant::now();
        let pause = barrier.exclusive(&mut ExclusiveOptions::default())?;
        waits.push(started.elapsed().as_nanos() as f64);
        pause.release()?;
    }
    let longest = longest_share(writers)?;
    let (typical, worst) = (percentile(waits.clone(), 50.0), percentile(waits, 99.0));

    let (cap, attempts) = effort.pick((5, 1), (20, 3));
    for (name, long_name) in [("flock", "flock (fs2)"), ("Cyrus", "fcntl as Cyrus")] {
        let writers = load(name, &folder)?;
        let mut waits = Vec::new();
        for _ in 0..attempts {
            let mut tool = Worker::start("exclusive", name, &folder, &[])?;
            tool.tell()?;
            waits.push(match tool.numbers_within(Duration::from_secs(cap))? {
                Some(waited) => Time::Took(waited[0]),
                None => Time::MoreThan(cap as f64 * 1e9),
            });
        }
        longest_share(writers)?;
        let worst_of_it = waits.iter().copied().reduce(Time::longer).expect("attempts were made");
        let each: Vec<String> = waits.iter().map(Time::to_string).collect();
        report.add(Row {
            what: format!("time to quiet, {WRITERS} writers holding 20 ms and resting 5 ms"),
            measured: Time::Took(worst),
            peer: Some((format!("{long_name}, given up after {cap} s"), worst_of_it)),
            target: Target::AtMost(longest + 2e6),
            note: format!(
                "p99, median {}; longest share {}; {name}: {}",
                Time::Took(typical),
                Time::Took(longest),
                each.join(", ")
            ),
        });
    }
    Ok(())
}

/// One writer that holds a share for a second at a time, among eight brief ones.
fn one_long_among_brief(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    let folder = effort.folder()?;
    let pauses = effort.pick(2, 5);
    let barrier = contenders::open("stillpoint", &folder)?;
    let own = longest_wait(&*barrier, pauses)?;
    let fair = longest_wait(&*contenders::open("parking_lot", &folder)?, pauses)?;
    report.add(Row {
        what: format!(
            "one writer holding 1 s among {WRITERS} brief ones: longest wait of a brief one"
        ),
        measured: Time::Took(own),
        peer: Some(("a fair lock (parking_lot)".into(), Time::Took(fair))),
        target: Target::AtMost(100e6),
        note: format!("{pauses} pauses, each asked for early in the long share"),
    });
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
