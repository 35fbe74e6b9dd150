//! What a pause costs when nobody is in the way, and what it leaves behind.

use std::time::{Duration, Instant};

use stillpoint::{Barrier, ExclusiveOptions};

use crate::contenders;
use crate::measure::{Effort, median, now};
use crate::report::{Report, Row, Target, Time};
use crate::worker::{PATIENCE, Worker};

pub fn measure(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    idle(effort, report)?;
    blocked(effort, report)
}

/// The exclusive side taken and given back while a thousand threads have slots and rest.
fn idle(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    let folder = effort.folder()?;
    let barrier = Barrier::create(contenders::barrier(&folder))?;
    let flock = contenders::open("flock", &folder)?;
    let start = |_| Worker::start("idle", "stillpoint", &folder, &[250]);
    let _workers = (0..4).map(start).collect::<Result<Vec<_>, _>>()?;
    let owned = barrier.status()?.writers.len();
    anyhow::ensure!(owned >= 1000, "only {owned} slots are in use");
    let (mut own, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..effort.pick(50, 400) {
        let started = Instant::now();
        barrier.exclusive(&mut ExclusiveOptions::default())?.release()?;
        own.push(started.elapsed().as_nanos() as f64);
        let started = Instant::now();
        flock.exclusive(&mut || {});
        peer.push(started.elapsed().as_nanos() as f64);
        std::thread::sleep(Duration::from_millis(1));
    }
    report.add(Row {
        what: "exclusive+release, idle, 1,000 slots in use".into(),
        measured: Time::Took(median(own)),
        peer: Some(("flock (fs2), idle".into(), Time::Took(median(peer)))),
        target: Target::AtMost(200e3),
        note: String::new(),
    });
    Ok(())
}

/// 512 writers that wait at the closed gate, from the release until the last one is inside.
fn blocked(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    const PROCESSES: usize = 8;
    const THREADS: usize = 64;
    let folder = effort.folder()?;
    let barrier = Barrier::create(contenders::barrier(&folder))?;
    let flock = contenders::open("flock", &folder)?;
    let start = |name: &str| {
        let one = |_| Worker::start("enter", name, &folder, &[THREADS as u64]);
        (0..PROCESSES).map(one).collect::<Result<Vec<_>, _>>()
    };
    let (mut writers, mut peers) = (start("stillpoint")?, start("flock")?);
    let all_inside = |workers: &mut [Worker], since: u64| -> anyhow::Result<f64> {
        let last = workers
            .iter_mut()
            .map(|worker| Ok(worker.numbers()?[0]))
            .collect::<anyhow::Result<Vec<f64>>>()?;
        Ok(last.into_iter().fold(0.0, f64::max) - since as f64)
    };
    let (mut own, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..effort.pick(5, 21) {
        let pause = barrier.exclusive(&mut ExclusiveOptions::default())?;
        writers.iter_mut().try_for_each(Worker::tell)?;
        let started = Instant::now();
        loop {
            let waiting =
                barrier.status()?.writers.iter().filter(|writer| writer.waiting.is_some()).count();
            if waiting == PROCESSES * THREADS {
                break;
            }
            anyhow::ensure!(started.elapsed() < PATIENCE, "only {waiting} writers wait");
            std::thread::sleep(Duration::from_millis(5));
        }
        let released = now();
        pause.release()?;
        own.push(all_inside(&mut writers, released)?);

        let mut released = 0;
        let mut told = Ok(());
        flock.exclusive(&mut || {
            told = peers.iter_mut().try_for_each(Worker::tell);
            std::thread::sleep(Duration::from_millis(200));
            released = now();
        });
        told?;
        peer.push(all_inside(&mut peers, released)?);
    }
    report.add(Row {
        what: "512 blocked writers running again".into(),
        measured: Time::Took(median(own)),
        peer: Some(("512 waiters of flock".into(), Time::Took(median(peer)))),
        target: Target::AtMost(30e6),
        note: format!("{PROCESSES} processes of {THREADS} threads, until the last is inside"),
    });
    Ok(())
}
