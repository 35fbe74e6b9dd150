//! One pause over several barriers.

use crate::common::{Over, Participant, Place, at_once, ms, until};
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::scope;
use stillpoint::{Barrier, Error, ErrorKind, Status, exclusive_all};

fn barriers(place: &Place, count: usize) -> Vec<Barrier> {
    let mut barriers: Vec<_> = (0..count)
        .map(|index| Barrier::create(place.path(&format!("b{index}"))).unwrap())
        .collect();
    barriers.sort_by_key(|barrier| {
        let meta = std::fs::metadata(barrier.path()).unwrap();
        (meta.dev(), meta.ino())
    });
    barriers
}

fn closed(barrier: &Barrier) -> bool {
    Status::read(barrier.path()).unwrap().closed
}

#[test]
fn they_are_closed_in_order_and_opened_together() {
    let place = Place::new();
    let all = barriers(&place, 3);
    let mut writer = Participant::at(all[1].path());
    writer.expect("shared", "inside 1");
    let mut seen = None;
    let mut progress = |waiting: &stillpoint::Waiting<'_>| {
        seen.get_or_insert((all.iter().map(closed).collect(), waiting.barrier.to_path_buf()));
        writer.say("leave");
    };
    // The order in which the caller names them does not matter.
    let named = [&all[2], &all[0], &all[1]];
    let mut options = at_once(20_000).progress(&mut progress);
    let pause = exclusive_all(&named, &mut options).unwrap();
    drop(options);
    let (were_closed, waited_at): (Vec<bool>, _) = seen.unwrap();
    assert_eq!(were_closed, [true, true, false], "the third waits for the second");
    assert_eq!(waited_at, all[1].path());
    assert!(all.iter().all(closed));
    let report = pause.release().unwrap();
    assert!(!all.iter().any(closed));
    assert_eq!(report.generations, [1, 1, 1]);
    assert_eq!((report.dirty_at_grant.len(), report.dirty_at_release.len()), (3, 3));
}

#[test]
fn reports_keep_the_callers_order() {
    let place = Place::new();
    let all = barriers(&place, 2);
    all[1].raise_dirty(0, "test");
    all[1].exclusive(&mut at_once(100)).unwrap().release().unwrap();
    let pause = exclusive_all(&[&all[1], &all[0]], &mut at_once(100)).unwrap();
    let report = pause.release().unwrap();
    assert_eq!(report.generations, [3, 1]);
    assert_eq!([report.dirty_at_release[0].epoch, report.dirty_at_release[1].epoch], [1, 0]);
}

#[test]
fn one_that_is_not_quiet_fails_all_and_opens_all() {
    let place = Place::new();
    let all = barriers(&place, 2);
    let mut writer = Participant::at(all[1].path());
    writer.expect("shared", "inside 1");
    let error = exclusive_all(&[&all[0], &all[1]], &mut at_once(60)).unwrap_err();
    let Error::NotQuiet { path, writers, .. } = &error else { panic!("{error}") };
    assert_eq!((path.as_path(), writers[0].pid), (all[1].path(), writer.pid()));
    assert!(!all.iter().any(closed));
    drop(all[0].try_shared().unwrap());
}

#[test]
fn one_that_is_revoked_revokes_all() {
    let place = Place::new();
    let all = barriers(&place, 2);
    let mut options = at_once(50).hold(ms(100));
    let pause = exclusive_all(&[&all[0], &all[1]], &mut options).unwrap();
    let mut writer = Participant::at(all[1].path());
    writer.expect("shared", "inside 1");
    assert!(pause.is_revoked());
    let error = pause.release().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Revoked);
    assert!(!all.iter().any(closed));
}

#[test]
fn naming_one_twice_is_naming_it_once() {
    let place = Place::new();
    let barrier = place.barrier();
    let again = Barrier::open(place.barrier_path()).unwrap();
    exclusive_all(&[&barrier, &again], &mut at_once(100)).unwrap().release().unwrap();
}

/// Writers that nest in the order of the files, against a tool that closes in that order.
#[test]
fn writers_that_nest_in_order_never_deadlock() {
    let place = Place::new();
    let all = barriers(&place, 2);
    let (over, rounds) = (Over::default(), AtomicU64::new(0));
    let (left, right) = (AtomicU64::new(0), AtomicU64::new(0));
    scope(|scope| {
        let over_at_last = over.when_dropped();
        for _ in 0..4 {
            scope.spawn(|| {
                while !over.is_set() {
                    let outer = all[0].shared().unwrap();
                    let inner = all[1].shared().unwrap();
                    left.fetch_add(1, Ordering::Relaxed);
                    right.fetch_add(1, Ordering::Relaxed);
                    rounds.fetch_add(1, Ordering::Relaxed);
                    drop((inner, outer));
                }
            });
        }
        for _ in 0..60 {
            let before = rounds.load(Ordering::Relaxed);
            let pause = exclusive_all(&[&all[1], &all[0]], &mut at_once(10_000)).unwrap();
            assert_eq!(left.load(Ordering::Relaxed), right.load(Ordering::Relaxed));
            pause.release().unwrap();
            until("the writers go on", || rounds.load(Ordering::Relaxed) > before);
        }
        drop(over_at_last);
    });
}
