//! The exclusive side excludes: shown by what the writers write, not by time.

use crate::common::{Over, Participant, Place, at_a_barrier, at_once, slot_word};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::scope;

/// Two numbers that are equal whenever nobody is inside.
#[derive(Default)]
struct Pair(AtomicU64, AtomicU64);

impl Pair {
    fn write(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::hint::spin_loop();
        self.1.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) -> (u64, u64) {
        (self.0.load(Ordering::Relaxed), self.1.load(Ordering::Relaxed))
    }
}

#[test]
fn nobody_writes_in_a_pause() {
    let place = Place::new();
    let barrier = place.barrier();
    let (pair, over) = (Pair::default(), Over::default());
    scope(|scope| {
        let over_at_last = over.when_dropped();
        for writer in 0..6 {
            let (barrier, pair, over) = (&barrier, &pair, &over);
            scope.spawn(move || {
                while !over.is_set() {
                    if writer % 2 == 0 {
                        let _share = barrier.shared().unwrap();
                        pair.write();
                    } else {
                        let _share = barrier.shared_owned().unwrap();
                        pair.write();
                    }
                }
            });
        }
        let mut before = 0;
        for _ in 0..300 {
            let pause = barrier.exclusive(&mut at_once(5000)).unwrap();
            let (first, second) = pair.read();
            assert_eq!(first, second, "granted with a writer inside");
            std::thread::yield_now();
            assert_eq!(pair.read(), (first, second), "a writer began in the pause");
            pause.release().unwrap();
            // Between two pauses somebody gets on.
            while pair.read().0 == before {
                std::thread::yield_now();
            }
            before = pair.read().0;
        }
        drop(over_at_last);
    });
    let stats = place.status().stats;
    assert_eq!((stats.pauses, stats.revocations), (300, 0));
    assert_eq!(place.epoch(), 0);
}

/// A writer that runs into the closed gate has its word odd for a moment. That must not be taken for
/// a share inside when the pause is released.
#[test]
fn writers_that_knock_do_not_spoil_the_certificate() {
    let place = Place::new();
    let barrier = place.barrier();
    let over = Over::default();
    scope(|scope| {
        let over_at_last = over.when_dropped();
        for _ in 0..4 {
            scope.spawn(|| {
                while !over.is_set() {
                    drop(barrier.try_shared());
                }
            });
        }
        let verdicts: Vec<_> =
            (0..2000).map(|_| barrier.exclusive(&mut at_once(5000)).unwrap().release()).collect();
        drop(over_at_last);
        let failed: Vec<_> = verdicts.into_iter().filter_map(Result::err).collect();
        assert!(failed.is_empty(), "{} of 2000: {}", failed.len(), failed[0]);
    });
}

/// It may even be stopped at that moment.
#[test]
fn a_writer_that_is_stopped_while_it_knocks_does_not_spoil_the_certificate() {
    let place = Place::new();
    let barrier = place.barrier();
    let mut writer = Participant::at(&place.barrier_path());
    writer.expect("shared", "inside 1");
    let slot = place.status().writers.iter().find(|writer| writer.inside).unwrap().slot;
    writer.expect("leave", "depth 0");
    let pause = barrier.exclusive(&mut at_once(5000)).unwrap();
    let even = place.word(slot_word(slot));
    place.set_word(slot_word(slot), even + 1);
    pause.release().unwrap();
    place.set_word(slot_word(slot), even + 2);
}

#[test]
fn processes_exclude_each_other() {
    let (_place, [mut writer, mut tool]) = at_a_barrier();
    writer.expect("shared", "inside 1");
    tool.say("exclusive patience=0 drain=20000 hold=none");
    writer.expect("shared", "inside 2");
    writer.expect("leave", "depth 1");
    assert_eq!(tool.heard(), None);
    writer.expect("leave", "depth 0");
    let granted = tool.hear();
    assert!(granted.starts_with("granted"), "{granted}");
    writer.expect_like("try-shared", "error WouldBlock");
    tool.expect("release", "released grown=0");
    writer.expect("try-shared", "inside 1");
}

#[test]
fn a_report_tells_how_it_went() {
    let place = Place::new();
    let barrier = place.barrier();
    let mut writer = Participant::at(&place.barrier_path());
    writer.expect("shared", "inside 1");
    let mut seen = Vec::new();
    let mut progress = |waiting: &stillpoint::Waiting<'_>| {
        seen = waiting.writers.to_vec();
        writer.say("leave");
    };
    let mut options = at_once(20_000).progress(&mut progress);
    let pause = barrier.exclusive(&mut options).unwrap();
    drop(options);
    let writer_pid = writer.pid();
    assert_eq!(seen.len(), 1, "progress names the writer inside");
    assert_eq!((seen[0].pid, seen[0].label.as_str()), (writer_pid, "participant"));
    let report = pause.report().clone();
    assert_eq!(report.closings, 1);
    assert_eq!(report.generations, [1]);
    assert_eq!(report.writers, 3, "two processes and a thread");
    assert_eq!(report.waited_for.len(), 1);
    assert_eq!(report.waited_for[0].pid, writer_pid);
    assert!(report.dirty_at_release.is_empty());
    let report = pause.release().unwrap();
    assert_eq!(report.dirty_at_grant, report.dirty_at_release);
    assert!(report.pause >= report.drain && report.pause >= report.hold);
    assert_eq!(place.status().generation, 2);
}
