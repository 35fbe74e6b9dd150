//! Letting pent-up writers in again, a few at a time.

use crate::common::{Place, SLACK, at_once, ms, until};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::scope;
use std::time::{Duration, Instant};
use stillpoint::Barrier;

const WAITERS: usize = 20;

/// Twenty writers wait at a gate that is then opened. Returns how long the last one needed, and how
/// many were inside together at most.
fn let_in(place: &Place, barrier: &Barrier, owned: bool) -> (Duration, u32) {
    let pause = barrier.exclusive(&mut at_once(1000)).unwrap();
    let (inside, most) = (AtomicU32::new(0), AtomicU32::new(0));
    scope(|scope| {
        let writers: Vec<_> = (0..WAITERS)
            .map(|_| {
                scope.spawn(|| {
                    let (_share, _owned) = if owned {
                        (None, Some(barrier.shared_owned().unwrap()))
                    } else {
                        (Some(barrier.shared().unwrap()), None)
                    };
                    let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    std::thread::sleep(ms(1));
                    inside.fetch_sub(1, Ordering::SeqCst);
                    Instant::now()
                })
            })
            .collect();
        if !owned {
            until("all wait", || {
                let waiting = |writer: &&stillpoint::WriterStatus| writer.waiting.is_some();
                place.status().writers.iter().filter(waiting).count() == WAITERS
            });
        } else {
            std::thread::sleep(ms(50));
        }
        let opened = Instant::now();
        pause.release().unwrap();
        let last = writers.into_iter().map(|writer| writer.join().unwrap()).max().unwrap();
        (last.saturating_duration_since(opened), most.load(Ordering::SeqCst))
    })
}

#[test]
fn one_at_a_time_all_get_in() {
    let place = Place::new();
    let barrier = Barrier::options().readmit(1).found(place.barrier_path()).unwrap();
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let (took, _) = let_in(&place, &barrier, false);
        // Each wakes the next, or the next finds out at its tick of 100 ms: both bound it.
        assert!(took <= ms(100 + 2 * WAITERS as u64) + SLACK, "{took:?}");
        best = best.min(took);
    }
    // They had just begun to wait, so no tick helped the best of five: the chain did.
    assert!(best <= ms(75), "{best:?}");
    assert_eq!(place.status().stats.revocations, 0);
}

#[test]
fn all_at_once_when_there_is_no_cap() {
    // The kernel counts in an int: a cap beyond that is none either.
    for cap in [0, u32::MAX] {
        let place = Place::new();
        let barrier = Barrier::options().readmit(cap).found(place.barrier_path()).unwrap();
        let (took, most) = let_in(&place, &barrier, false);
        assert!(took <= ms(100) + SLACK, "{took:?}");
        assert!(most > 1, "they went in one after another");
    }
}

#[test]
fn the_cap_blocks_no_counted_share() {
    let place = Place::new();
    let barrier = Barrier::options().readmit(1).found(place.barrier_path()).unwrap();
    let (took, _) = let_in(&place, &barrier, true);
    assert!(took <= ms(100 + 2 * WAITERS as u64) + SLACK, "{took:?}");
}
