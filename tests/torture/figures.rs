//! The figures: what was done to the barrier and what came of it, counted by whoever did it.
//!
//! Each has a least number for a minute of torture, so that a kind of trouble which silently does
//! nothing makes the run fail.

use crate::arena::Arena;

/// Something that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Deed {
    Kill,
    Stop,
    Freeze,
    FrozenRevoked,
    Fork,
    SpawnInside,
    Exec,
    Granted,
    Certified,
    Revoked,
    DrainTimeout,
    OverflowThread,
    OverflowShare,
    Pinned,
    Reclaim,
    OomKill,
    Namespace,
    NamespaceMember,
    EqualPids,
    RunShared,
    RunExclusive,
    RunKilled,
    Loss,
    Process,
    Thread,
    ThreadsAtOnce,
}

/// How many there are.
pub const DEEDS: usize = Deed::ThreadsAtOnce as usize + 1;

/// Each as it is named in the last line, and the least of it in a minute.
const TABLE: [(Deed, &str, u32); DEEDS] = [
    (Deed::Kill, "kills", 600),
    (Deed::Stop, "stops", 100),
    (Deed::Freeze, "freezes", 20),
    (Deed::FrozenRevoked, "pauses revoked while their tool was frozen", 1),
    (Deed::Fork, "forks", 500),
    (Deed::SpawnInside, "vforks with exec", 50),
    (Deed::Exec, "execs inside", 20),
    (Deed::Granted, "exclusives granted", 120),
    (Deed::Certified, "certified", 60),
    (Deed::Revoked, "revoked", 2),
    (Deed::DrainTimeout, "drain time-outs", 2),
    (Deed::Loss, "losses reclaimed (dirty epoch)", 300),
    (Deed::OverflowShare, "shares counted because the table was full", 100),
    (Deed::OverflowThread, "threads without a slot", 20),
    (Deed::ThreadsAtOnce, "threads at once", 3073),
    (Deed::Process, "processes", 1000),
    (Deed::Thread, "writer threads", 3073),
    (Deed::Pinned, "processes pinned to one CPU", 50),
    (Deed::OomKill, "killed for lack of memory", 2),
    (Deed::Reclaim, "reclaims of all memory there", 10),
    (Deed::Namespace, "pid namespaces", 2),
    (Deed::NamespaceMember, "processes in them", 20),
    (Deed::EqualPids, "pids in several namespaces", 5),
    (Deed::RunShared, "commands under run -s", 10),
    (Deed::RunExclusive, "certified commands under run -x", 5),
    (Deed::RunKilled, "of these killed under their command", 2),
];

/// Nothing is asked of a run shorter than this: not every kind of trouble has had its turn.
const ENOUGH: u64 = 20;

/// The line of figures.
pub fn line(arena: &Arena) -> String {
    let figures = TABLE.map(|(deed, name, _)| format!("{} {name}", arena.counted(deed)));
    figures.join(", ")
}

/// What there was too little of, going by the least for a minute. `absent` was not to be had here.
pub fn missing(arena: &Arena, seconds: u64, absent: &[Deed]) -> Vec<String> {
    if seconds < ENOUGH {
        return Vec::new();
    }
    let mut missing = Vec::new();
    for (deed, name, minute) in TABLE.into_iter().filter(|(deed, ..)| !absent.contains(deed)) {
        let least = match deed {
            Deed::ThreadsAtOnce | Deed::Namespace => minute.into(),
            // Half a minute may be a bad one; hours are not.
            _ => (u64::from(minute) * seconds / 60).max(1),
        };
        if u64::from(arena.counted(deed)) < least {
            missing.push(format!("{} {name}, not {least}", arena.counted(deed)));
        }
    }
    missing
}
