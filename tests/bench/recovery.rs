//! What a death or a stop costs the others.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use stillpoint::Barrier;

use crate::contenders;
use crate::measure::{Effort, jitter, now, percentile};
use crate::report::{Report, Row, Target, Time};
use crate::worker::{PATIENCE, Worker};

pub fn measure(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    holder_killed(effort, report)?;
    holder_stopped(effort, report)?;
    writer_killed(effort, report)
}

/// From SIGKILL of the exclusive holder until a writer that waited is inside; the longest of all.
fn holder_killed(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    let own = longest_after_kill(effort, "stillpoint")?;
    for name in ["flock", "mutex", "pthread"] {
        report.add(Row {
            what: "exclusive holder killed: writers go on".into(),
            measured: own,
            peer: Some((contenders::title(name).into(), longest_after_kill(effort, name)?)),
            target: Target::AtMost(150e6),
            note: "the longest wait, from the SIGKILL".into(),
        });
    }
    Ok(())
}

fn longest_after_kill(effort: &Effort, name: &str) -> anyhow::Result<Time> {
    let folder = effort.folder()?;
    let barrier = Barrier::create(contenders::barrier(&folder))?;
    let cap = Duration::from_secs(effort.pick(2, 5));
    let mut longest = 0f64;
    for _ in 0..effort.pick(8, 40) {
        let mut writer = Worker::start("enter", name, &folder, &[1])?;
        let holder = Worker::start("hold", name, &folder, &[20_000])?;
        writer.tell()?;
        if name == "stillpoint" {
            wait_for_waiter(&barrier)?;
        }
        // Anywhere in a waiter's tick.
        std::thread::sleep(
            Duration::from_millis(20) + Duration::from_millis(100).mul_f64(jitter()),
        );
        let killed = holder.signal(Signal::SIGKILL)?;
        let Some(entered) = writer.numbers_within(cap)? else {
            return Ok(Time::MoreThan(cap.as_nanos() as f64));
        };
        longest = longest.max(entered[0] - killed as f64);
    }
    Ok(Time::Took(longest))
}

/// How long a writer waits at the gate of a holder that is stopped and stays so.
fn holder_stopped(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    const LIMIT: u64 = 400;
    let folder = effort.folder()?;
    let barrier = Barrier::create(contenders::barrier(&folder))?;
    let mut longest = 0.0f64;
    for _ in 0..effort.pick(3, 10) {
        let mut writer = Worker::start("enter", "stillpoint", &folder, &[1])?;
        let holder = Worker::start("hold", "stillpoint", &folder, &[LIMIT])?;
        let stopped = holder.signal(Signal::SIGSTOP)?;
        writer.tell()?;
        wait_for_waiter(&barrier)?;
        longest = longest.max(writer.numbers()?[0] - stopped as f64);
    }
    let mut writer = Worker::start("enter", "flock", &folder, &[1])?;
    let holder = Worker::start("hold", "flock", &folder, &[LIMIT])?;
    holder.signal(Signal::SIGSTOP)?;
    writer.tell()?;
    let cap = Duration::from_secs(effort.pick(2, 5));
    anyhow::ensure!(writer.numbers_within(cap)?.is_none(), "a stopped process has lost its flock");
    report.add(Row {
        what: format!("exclusive holder stopped, limit {LIMIT} ms: writers go on"),
        measured: Time::Took(longest),
        peer: Some(("flock, given up".into(), Time::MoreThan(cap.as_nanos() as f64))),
        target: Target::AtMost((LIMIT + 100) as f64 * 1e6),
        note: "the longest wait, from the SIGSTOP".into(),
    });
    Ok(())
}

fn wait_for_waiter(barrier: &Barrier) -> anyhow::Result<()> {
    let started = Instant::now();
    while !barrier.status()?.writers.iter().any(|writer| writer.waiting.is_some()) {
        anyhow::ensure!(started.elapsed() < PATIENCE, "no writer waits");
        std::thread::sleep(Duration::from_micros(500));
    }
    Ok(())
}

/// A writer is killed inside a share while the exclusive side waits for it, or just before it asks.
/// For flock the kernel itself does what is to be done at a death: nothing can be sooner.
fn writer_killed(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    let folder = effort.folder()?;
    let barrier = Barrier::create(contenders::barrier(&folder))?;
    let contenders =
        [contenders::open("stillpoint", &folder)?, contenders::open("flock", &folder)?];
    let (mut waits, mut all_raised) = ([Vec::new(), Vec::new()], true);
    for _ in 0..effort.pick(20, 100) {
        let before = barrier.dirty().epoch;
        for ((name, contender), waits) in
            ["stillpoint", "flock"].into_iter().zip(&contenders).zip(&mut waits)
        {
            let writer = Worker::start("inside", name, &folder, &[])?;
            let (killed, granted) = std::thread::scope(|scope| {
                let killer = scope.spawn(|| {
                    std::thread::sleep(Duration::from_millis(30).mul_f64(jitter()));
                    writer.signal(Signal::SIGKILL)
                });
                std::thread::sleep(Duration::from_millis(5));
                let mut granted = 0;
                contender.exclusive(&mut || granted = now());
                (killer.join().expect("it does not panic"), granted)
            });
            waits.push(granted.saturating_sub(killed?) as f64);
        }
        all_raised &= barrier.dirty().epoch > before;
    }
    let [p95, peer] = waits.clone().map(|waits| percentile(waits, 95.0));
    let [longest, longest_of_peer] = waits.map(|waits| Time::Took(percentile(waits, 100.0)));
    report.add(Row {
        what: "writer killed inside a share: exclusive granted, dirty epoch raised".into(),
        measured: Time::Took(p95),
        peer: Some(("flock".into(), Time::Took(peer))),
        target: Target::Held("<= 20 ms, always raised", p95 <= 20e6 && all_raised),
        note: format!("p95, from the SIGKILL; the longest {longest}, with flock {longest_of_peer}"),
    });
    Ok(())
}
