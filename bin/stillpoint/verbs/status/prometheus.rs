//! The report for Prometheus: one sample of each metric per barrier.

use stillpoint::Status;

use crate::catalogue::metrics::add_newest_clean;
use crate::catalogue::reading::Contents;
use crate::words::exposition::Exposition;

/// Adds what there is to say of one barrier. `snapshots`: what the catalogue has of it.
pub fn add(exposition: &mut Exposition, status: &Status, snapshots: &Contents) {
    let barrier = status.barrier.to_string_lossy();
    let labels = [("barrier", &*barrier)];
    let mut gauge = |name, help, value: f64| exposition.gauge(name, help, &labels, value);
    let count = |which: &dyn Fn(&stillpoint::WriterStatus) -> bool| {
        status.writers.iter().filter(|writer| writer.alive && which(writer)).count() as f64
    };
    let flag = |set: bool| f64::from(u8::from(set));
    gauge("stillpoint_writers", "Writers that have joined.", count(&|_| true));
    gauge("stillpoint_writers_inside", "Writers inside a share.", count(&|writer| writer.inside));
    gauge(
        "stillpoint_writers_waiting",
        "Writers that wait at the closed gate.",
        count(&|writer| writer.waiting.is_some()),
    );
    gauge(
        "stillpoint_flock_users",
        "Users of flock(1) on the barrier, for whom every tool waits.",
        status.flock.len() as f64,
    );
    gauge("stillpoint_gate_closed", "1 while the gate is closed.", flag(status.closed));
    gauge("stillpoint_wanted", "1 while a tool wants the exclusive side.", flag(status.wanted));
    gauge(
        "stillpoint_dirty_epoch",
        "Grows with each writer lost inside a share.",
        status.dirty.epoch.into(),
    );
    gauge(
        "stillpoint_dirty_acknowledged_epoch",
        "The dirty epoch that was last acknowledged.",
        status.dirty.acknowledged.into(),
    );
    gauge("stillpoint_dirty", "1 while a loss is not acknowledged.", flag(status.dirty.is_dirty()));
    let stats = &status.stats;
    gauge(
        "stillpoint_last_pause_seconds",
        "How long the gate was closed for the last pause.",
        stats.last_pause.as_secs_f64(),
    );
    let mut counter = |name, help, value| exposition.counter(name, help, &labels, value);
    counter("stillpoint_pauses_total", "Pauses that were granted.", stats.pauses);
    counter(
        "stillpoint_revocations_total",
        "Pauses that were ended before their time.",
        stats.revocations,
    );
    counter(
        "stillpoint_drain_timeouts_total",
        "Attempts that did not get quiet in time.",
        stats.drain_timeouts,
    );
    exposition.histogram(
        "stillpoint_pause_seconds",
        "How long the gate was closed for a pause.",
        &labels,
        &stats.lengths,
        stats.total_pause,
    );
    add_newest_clean(exposition, &barrier, snapshots);
}
