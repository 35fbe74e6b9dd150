//! The report for programs: schema 1, one object, one line.

use serde::Serialize;
use stillpoint::{Kind, Lost, Status, WriterStatus};

use super::uncounted;
use crate::barrier::lost::LostRecord;
use crate::words::seconds::{milliseconds, timestamp};

#[derive(Serialize)]
struct Report<'a> {
    schema: u32,
    barrier: String,
    uuid: &'a str,
    gate: &'static str,
    /// It is closed, and who closed it has died.
    abandoned: bool,
    generation: u32,
    wanted: bool,
    holder: Option<Holder<'a>>,
    writers: Vec<Writer<'a>>,
    flock: Vec<FlockUser<'a>>,
    /// Who uses a file that stood here before; `null`: that cannot be seen.
    stragglers: Option<Vec<Straggler<'a>>>,
    dirty: Dirty,
    stats: Stats,
}

#[derive(Serialize)]
struct Holder<'a> {
    pid: u32,
    comm: &'a str,
    label: &'a str,
    since: Option<String>,
    limit_ms: Option<f64>,
    stopped: bool,
}

#[derive(Serialize)]
struct Writer<'a> {
    slot: u32,
    kind: &'static str,
    pid: u32,
    tid: u32,
    comm: &'a str,
    label: &'a str,
    inside: bool,
    inside_at_least_ms: f64,
    waiting_ms: Option<f64>,
    shares: u32,
    /// It enters without a fence.
    unfenced: bool,
    /// Where it took the share; empty: it is not inside, or that is not known.
    place: &'a str,
}

#[derive(Serialize)]
struct FlockUser<'a> {
    pid: u32,
    comm: &'a str,
    exclusive: bool,
}

#[derive(Serialize)]
struct Straggler<'a> {
    /// 0: one that cannot be seen.
    pid: u32,
    comm: &'a str,
}

#[derive(Serialize)]
struct Dirty {
    epoch: u32,
    acknowledged: u32,
    /// Those that ended inside, and that no pause has met yet.
    uncounted: usize,
    lost: Vec<LostWriter>,
}

#[derive(Serialize)]
struct LostWriter {
    #[serde(flatten)]
    record: LostRecord,
    acknowledged: bool,
}

#[derive(Serialize)]
struct Stats {
    pauses: u32,
    revocations: u32,
    drain_timeouts: u32,
    last_pause_ms: f64,
    pause_seconds: PauseSeconds,
}

/// The lengths of all pauses, as Prometheus counts them: each bucket holds those before it.
#[derive(Serialize)]
struct PauseSeconds {
    buckets: Vec<Bucket>,
    sum: f64,
    count: u64,
}

#[derive(Serialize)]
struct Bucket {
    /// The longest pause in it; `null` for no bound.
    le: Option<f64>,
    count: u64,
}

/// Appends the report on `status` to `out`.
pub fn write(out: &mut String, status: &Status) -> serde_json::Result<()> {
    let report = Report {
        schema: 1,
        barrier: status.barrier.to_string_lossy().into_owned(),
        uuid: &status.uuid,
        gate: if status.closed { "closed" } else { "open" },
        abandoned: status.abandoned,
        generation: status.generation,
        wanted: status.wanted,
        holder: status.holder.as_ref().map(|holder| Holder {
            pid: holder.pid,
            comm: &holder.comm,
            label: &holder.label,
            since: holder.since.map(timestamp),
            limit_ms: holder.limit.map(milliseconds),
            stopped: holder.stopped,
        }),
        writers: status.writers.iter().map(writer).collect(),
        flock: status.flock.iter().map(flock_user).collect(),
        stragglers: status.stragglers.as_ref().map(|users| {
            users.iter().map(|user| Straggler { pid: user.pid, comm: &user.comm }).collect()
        }),
        dirty: Dirty {
            epoch: status.dirty.epoch,
            acknowledged: status.dirty.acknowledged,
            uncounted: uncounted(status),
            lost: status.lost.iter().map(lost).collect(),
        },
        stats: Stats {
            pauses: status.stats.pauses,
            revocations: status.stats.revocations,
            drain_timeouts: status.stats.drain_timeouts,
            last_pause_ms: milliseconds(status.stats.last_pause),
            pause_seconds: pause_seconds(&status.stats),
        },
    };
    out.push_str(&serde_json::to_string(&report)?);
    out.push('\n');
    Ok(())
}

fn pause_seconds(stats: &stillpoint::Stats) -> PauseSeconds {
    let mut count = 0;
    let buckets = stats.lengths.iter().map(|(bound, pauses)| {
        count += u64::from(*pauses);
        Bucket { le: bound.map(|bound| bound.as_secs_f64()), count }
    });
    let buckets = buckets.collect();
    PauseSeconds { buckets, sum: stats.total_pause.as_secs_f64(), count }
}

fn writer(writer: &WriterStatus) -> Writer<'_> {
    Writer {
        slot: writer.slot,
        kind: match writer.kind {
            Kind::Thread => "thread",
            Kind::Process => "process",
            Kind::Command => "command",
            _ => "unknown",
        },
        pid: writer.pid,
        tid: writer.tid,
        comm: &writer.comm,
        label: &writer.label,
        inside: writer.inside,
        inside_at_least_ms: milliseconds(writer.inside_at_least),
        waiting_ms: writer.waiting.map(milliseconds),
        shares: writer.shares,
        unfenced: writer.is_unfenced,
        place: &writer.place,
    }
}

fn flock_user(user: &stillpoint::FlockUser) -> FlockUser<'_> {
    FlockUser { pid: user.pid, comm: &user.comm, exclusive: user.exclusive }
}

fn lost(lost: &Lost) -> LostWriter {
    LostWriter { record: LostRecord::from(lost), acknowledged: lost.acknowledged }
}
