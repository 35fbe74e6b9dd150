//! Courtesy and patience: one long share must not make every writer queue behind it.

use crate::common::{Over, Participant, Place, SLACK, at_a_barrier, at_once, ms, until};
use std::thread::scope;
use std::time::{Duration, Instant};
use stillpoint::{Error, ErrorKind, ExclusiveOptions, Pacing};

#[test]
fn a_long_share_costs_the_brief_ones_little() {
    let place = Place::new();
    let barrier = place.barrier();
    let over = Over::default();
    let (report, longest) = scope(|scope| {
        let over_at_last = over.when_dropped();
        let brief: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut longest = Duration::ZERO;
                    while !over.is_set() {
                        let asked = Instant::now();
                        let share = barrier.shared().unwrap();
                        longest = longest.max(asked.elapsed());
                        std::thread::sleep(ms(2));
                        drop(share);
                        std::thread::sleep(ms(1));
                    }
                    longest
                })
            })
            .collect();
        let mut long = Participant::at(&place.barrier_path());
        long.expect("shared", "inside 1");
        let mut phases = Vec::new();
        let began = Instant::now();
        let mut progress = |waiting: &stillpoint::Waiting<'_>| {
            if phases.last() != Some(&waiting.phase) {
                phases.push(waiting.phase);
            }
            // The long one ends only when the gate has been open for a while.
            if began.elapsed() >= ms(700) {
                long.say("leave");
            }
        };
        let mut options = ExclusiveOptions::default().progress(&mut progress);
        let pause = barrier.exclusive(&mut options).unwrap();
        let report = pause.release().unwrap();
        drop(over_at_last);
        assert!(phases.contains(&stillpoint::Phase::LongShares), "{phases:?}");
        (report, brief.into_iter().map(|brief| brief.join().unwrap()).max().unwrap())
    });
    assert_eq!(report.closings, 2);
    assert!(longest <= ms(100) + SLACK, "a brief writer waited {longest:?}");
}

#[test]
fn without_patience_there_is_one_closing() {
    let place = Place::new();
    let barrier = place.barrier();
    let mut long = Participant::at(&place.barrier_path());
    long.expect("shared", "inside 1");
    let error = barrier.exclusive(&mut at_once(150)).unwrap_err();
    let Error::NotQuiet { writers, waited, .. } = &error else { panic!("{error}") };
    assert!(*waited >= ms(150));
    assert_eq!(writers.len(), 1);
    assert_eq!(writers[0].pid, long.pid());
    assert!(writers[0].held >= ms(140), "{:?}", writers[0].held);
    let named = format!("inside from {} for at least", writers[0].place);
    assert!(error.to_string().contains(&named), "{error}");
    let status = place.status();
    assert!(!status.closed && !status.wanted && status.holder.is_none());
    assert_eq!(status.generation, 2, "one closing");
    assert_eq!(status.stats.drain_timeouts, 1);
}

#[test]
fn patience_ends_with_a_last_closing() {
    let place = Place::new();
    let barrier = place.barrier();
    let mut long = Participant::at(&place.barrier_path());
    long.expect("shared", "inside 1");
    let mut options = at_once(0).patience(ms(200)).drain(ms(100));
    let error = barrier.exclusive(&mut options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotQuiet);
    assert_eq!(place.status().generation, 4, "two closings");
}

/// In the second phase only those are waited for that were inside at the first closing.
#[test]
fn newcomers_are_not_waited_for_with_the_gate_open() {
    let (place, [mut first, mut second]) = at_a_barrier();
    let path = place.barrier_path();
    let mut tool = Participant::at(&path);
    first.expect("shared", "inside 1");
    tool.say("exclusive patience=20000 drain=20000");
    until("the gate was closed and opened", || {
        let status = place.status();
        status.generation == 2 && status.wanted
    });
    second.expect("shared", "inside 1");
    first.expect("leave", "depth 0");
    // Only the newcomer is inside: the tool closes and drains.
    until("the gate is closed again", || place.status().generation == 3);
    second.expect("leave", "depth 0");
    let granted = tool.hear();
    assert!(granted.contains("closings=2"), "{granted}");
}

#[test]
fn after_a_failed_drain_the_gate_stays_open_whichever_tool_comes() {
    let place = Place::new();
    let barrier = place.barrier();
    let mut long = Participant::at(&place.barrier_path());
    let mut other = Participant::at(&place.barrier_path());
    long.expect("shared", "inside 1");
    // A short drain counts as 100 ms, a long one as itself.
    for (drain, least) in [(10, 100), (300, 300)] {
        let error = barrier.exclusive(&mut at_once(drain)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotQuiet);
        let (opened, before) = (Instant::now(), place.status().generation);
        let mut hasty = at_once(10).wait(ms(0));
        let error = barrier.exclusive(&mut hasty).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock, "pacing is not waited for: {error}");
        other.say("exclusive patience=0 drain=10");
        until("it is closed again", || place.status().generation > before);
        // One millisecond is what the record is rounded by, twice.
        assert!(opened.elapsed() + ms(2) >= ms(least), "{:?} < {least}", opened.elapsed());
        assert!(other.hear().starts_with("error NotQuiet"));
        long.expect("try-shared", "inside 2");
        long.expect("leave", "depth 1");
        std::thread::sleep(ms(110));
    }
}

/// Who takes one look and does not wait finds out whether the barrier is free, whatever was before.
#[test]
fn one_look_is_not_paced() {
    let place = Place::new();
    let barrier = place.barrier();
    let mut long = Participant::at(&place.barrier_path());
    // A look that failed, and a long drain of somebody else that did.
    for drain in [0, 300] {
        long.expect("shared", "inside 1");
        assert_eq!(barrier.exclusive(&mut at_once(drain)).unwrap_err().kind(), ErrorKind::NotQuiet);
        long.expect("leave", "depth 0");
        barrier.exclusive(&mut at_once(0)).expect("free").release().unwrap();
    }
    // Who asks for a pace of his own gets it, and is told.
    let mut paced = at_once(0).pacing(Pacing::Open(ms(60_000)));
    let error = barrier.exclusive(&mut paced).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert!(error.to_string().contains("left open for the writers"), "{error}");
}

#[test]
fn pacing_leaves_the_gate_open_nine_times_as_long() {
    let place = Place::new();
    let barrier = place.barrier();
    let pause = barrier.exclusive(&mut at_once(100)).unwrap();
    std::thread::sleep(ms(40));
    // No later than the gate is opened: much may come between that and what follows.
    let opened = Instant::now();
    let length = pause.release().unwrap().pause;
    let mut options = at_once(100).pacing(Pacing::Tenth);
    let pause = barrier.exclusive(&mut options).unwrap();
    assert!(opened.elapsed() + ms(2) >= length * 9, "{:?}", opened.elapsed());
    let opened = Instant::now();
    pause.release().unwrap();
    let mut options = at_once(100).pacing(Pacing::Open(ms(120)));
    barrier.exclusive(&mut options).unwrap().release().unwrap();
    assert!(opened.elapsed() + ms(2) >= ms(120));
    // Others are not paced by a pause that was granted.
    let before = Instant::now();
    barrier.exclusive(&mut at_once(100)).unwrap().release().unwrap();
    assert!(before.elapsed() < ms(120), "{:?}", before.elapsed());
}
