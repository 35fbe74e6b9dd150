//! Torture: writers and tools under SIGKILL, SIGSTOP, fork and exec, watched by an oracle.
//!
//! Several processes of several threads take shares of one barrier in every way there is; threads and
//! processes take the exclusive side of it. All the while processes are killed and stopped at random.
//! Each certified pause is judged: no living writer was inside, nobody's two files disagreed, nothing
//! moved from the grant to the release, and for each writer that died inside the dirty epoch had
//! risen. The judge (`oracle`) knows who is inside and who lives from bytes and locks of its own, not
//! from the barrier's.
//!
//! `STILLPOINT_TORTURE_SECONDS` says for how long (5). One line of figures is printed.

mod arena;
mod chance;
mod harness;
mod oracle;
mod tool;
mod ways;
mod writer;

use arena::Arena;
use harness::Harness;
use std::collections::HashSet;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};
use stillpoint::{Barrier, ExclusiveOptions, Status};

/// How long everybody may take to end when asked to. Seconds would do; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn writers_and_tools_that_are_killed_and_stopped() {
    if let Some((arena, role)) = Arena::inherited() {
        return match role.as_str() {
            "tool" => tool::run(&arena),
            role => writer::run(arena, role == "command"),
        };
    }
    let seconds = std::env::var("STILLPOINT_TORTURE_SECONDS");
    let seconds: u64 = seconds.map_or(5, |text| text.parse().expect("a number of seconds"));
    let arena = Arena::create(seconds);
    Barrier::create(arena.barrier()).expect("a barrier is made");
    let mut harness = Harness::new(&arena);
    let end = Instant::now() + Duration::from_secs(seconds);
    let lost = std::thread::scope(|scope| {
        let lost = scope.spawn(|| collect_the_lost(&arena));
        for _ in 0..2 {
            scope.spawn(|| tool::run(&arena));
        }
        while Instant::now() < end {
            harness.strike();
        }
        harness.finish(PATIENCE);
        lost.join().expect("the lost are collected")
    });
    judge_the_end(&arena, &lost);
    let (count, epoch) = (arena.counters(), Status::read(arena.barrier()).unwrap().dirty.epoch);
    println!(
        "torture: {seconds} s, {} shares, {} kills, {} stops, {} exclusives granted, {} certified, \
         {} revoked, {} reclaimed (dirty epoch), {} violations",
        arena.shares(),
        harness.kills,
        harness.stops,
        count.granted.load(SeqCst),
        count.certified.load(SeqCst),
        count.revoked.load(SeqCst),
        epoch,
        count.violations.load(SeqCst),
    );
    assert_eq!(count.violations.load(SeqCst), 0, "{}", arena.complaints());
    let certified = u64::from(count.certified.load(SeqCst));
    assert!(certified >= 5 * seconds, "only {certified} pauses were certified: nothing was shown");
    // A minute is to see a thousand kills.
    assert!(harness.kills * 60 >= 1000 * seconds, "only {} processes were killed", harness.kills);
}

/// Everybody has ended. The barrier becomes quiet, the files are as they should be, and each writer
/// that died inside is among the lost.
fn judge_the_end(arena: &Arena, lost: &HashSet<u32>) {
    let barrier = Barrier::open(arena.barrier()).expect("the barrier is there");
    let options = &mut ExclusiveOptions { wait: Some(PATIENCE), ..Default::default() };
    let pause = barrier.exclusive(options).expect("nobody is left: it becomes quiet");
    tool::judged(arena, pause).expect("nobody is left who could revoke it");
    let ring = Status::read(arena.barrier()).expect("the barrier is there").lost;
    let named = |pid: &u32| lost.contains(pid) || ring.iter().any(|lost| lost.pid == *pid);
    let forgotten: Vec<u32> = arena.died_inside().into_iter().filter(|pid| !named(pid)).collect();
    if !forgotten.is_empty() {
        arena.complain(&format!("died inside and were never reported: {forgotten:?}"));
    }
}

/// Follows the barrier's ring of lost writers, which remembers the last few, until the end.
fn collect_the_lost(arena: &Arena) -> HashSet<u32> {
    let mut lost = HashSet::new();
    while !arena.is_over() {
        let status = Status::read(arena.barrier()).expect("the barrier can be read");
        lost.extend(status.lost.iter().map(|lost| lost.pid));
        std::thread::sleep(Duration::from_millis(10));
    }
    lost
}
