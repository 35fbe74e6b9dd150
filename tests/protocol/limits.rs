//! The pause's limit: a waiter ends a pause that lasts too long, and its holder learns of it.

use crate::common::{GENERATION, Participant, Place, SLACK, at_once, ms};
use std::time::{Duration, Instant};
use stillpoint::{ErrorKind, ExclusiveOptions};

#[test]
fn a_waiter_revokes_a_pause_at_its_limit() {
    let place = Place::new();
    let barrier = place.barrier();
    let mut tool = Participant::at(&place.barrier_path());
    tool.expect_like("exclusive drain=100 hold=300", "granted");
    let started = Instant::now();
    let share = barrier.shared().unwrap();
    let waited = started.elapsed();
    // The limit is drain and hold together.
    assert!(waited >= ms(390), "let in before the limit: {waited:?}");
    assert!(waited <= ms(400 + 100) + SLACK, "kept waiting: {waited:?}");
    drop(share);
    tool.expect("is-revoked", "revoked true");
    tool.expect_like("release", "error Revoked");
    let status = place.status();
    assert_eq!(status.stats.revocations, 1);
    assert!(!status.closed && !status.wanted && status.holder.is_none());
    // The next pause finds everything in order.
    tool.expect_like("exclusive", "granted");
    tool.expect("release", "released grown=0");
}

/// Writers look for it by its path, and are let in by what they find there.
#[test]
fn a_pause_of_a_file_that_was_removed_or_replaced_has_no_certificate() {
    let replace: [fn(&std::path::Path); 6] = [
        |path| std::fs::remove_file(path).unwrap(),
        |path| {
            std::fs::remove_file(path).unwrap();
            // None is made beside that pause.
            let error = stillpoint::Barrier::create(path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Stragglers, "{error}");
        },
        |path| {
            std::fs::rename(path, path.with_extension("aside")).unwrap();
            std::fs::rename(path.with_extension("aside"), path).unwrap();
        },
        |path| {
            std::fs::hard_link(path, path.with_extension("link")).unwrap();
            std::fs::remove_file(path).unwrap();
            std::fs::rename(path.with_extension("link"), path).unwrap();
        },
        |path| {
            let folder = path.parent().unwrap();
            let aside = folder.with_extension("aside");
            std::fs::rename(folder, &aside).unwrap();
            std::fs::create_dir(folder).unwrap();
            std::fs::copy(aside.join(path.file_name().unwrap()), path).unwrap();
            let mut writer = Participant::at(path);
            writer.expect("shared", "inside 1");
            writer.expect("leave", "depth 0");
            std::fs::remove_dir_all(folder).unwrap();
            std::fs::rename(&aside, folder).unwrap();
            // Whoever has it open still may go on writing.
            std::mem::forget(writer);
        },
        |path| {
            let copy = path.with_extension("copy");
            std::fs::copy(path, &copy).unwrap();
            std::fs::rename(copy, path).unwrap();
        },
    ];
    for replace in replace {
        let place = Place::new();
        let barrier = place.barrier();
        let pause = barrier.exclusive(&mut ExclusiveOptions::default()).unwrap();
        replace(barrier.path());
        let error = pause.release().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Revoked, "{error}");
        assert!(error.to_string().contains("moved, removed or replaced"), "{error}");
    }
}

#[test]
fn a_pause_past_its_hold_limit_has_no_certificate_even_if_nobody_waited() {
    let place = Place::new();
    let barrier = place.barrier();
    let mut options = ExclusiveOptions::default().hold(ms(20));
    let pause = barrier.exclusive(&mut options).unwrap();
    while pause.remaining() != Some(Duration::ZERO) {
        std::thread::sleep(ms(5));
    }
    std::thread::sleep(ms(5));
    assert!(!pause.is_revoked());
    assert_eq!(pause.release().unwrap_err().kind(), ErrorKind::Revoked);
    assert!(!place.status().closed);
}

/// The drain took its time, and the hold was within its own limit: the writers felt both.
#[test]
fn a_pause_longer_than_drain_and_hold_together_has_no_certificate() {
    let place = Place::new();
    let barrier = place.barrier();
    let mut slow = || {
        std::thread::sleep(ms(300));
        true
    };
    let mut options = ExclusiveOptions::default().drain(ms(60)).hold(ms(400)).predicate(&mut slow);
    let pause = barrier.exclusive(&mut options).unwrap();
    let left = pause.remaining().unwrap();
    assert!(left <= ms(160), "what the drain took beyond its limit is gone: {left:?}");
    std::thread::sleep(ms(200));
    let error = pause.release().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Revoked);
    assert!(error.to_string().contains("of at most 0.460 s"), "{error}");
    assert!(!place.status().closed);
}

#[test]
fn without_a_limit_nobody_revokes() {
    let place = Place::new();
    let barrier = place.barrier();
    let mut tool = Participant::at(&place.barrier_path());
    tool.expect_like("exclusive drain=10 hold=none", "granted");
    let error = barrier.shared_timeout(ms(350)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    tool.expect("is-revoked", "revoked false");
    tool.expect("release", "released grown=0");
}

/// The certificate is the swap of the very generation that closed the gate: nothing else tells that
/// somebody opened it and, who knows, closed it again.
#[test]
fn a_pause_whose_gate_was_moved_has_no_certificate() {
    for moved in [2u32, 3] {
        let place = Place::new();
        let barrier = place.barrier();
        let pause = barrier.exclusive(&mut at_once(100)).unwrap();
        assert_eq!(pause.report().generations, [1]);
        place.set_word(GENERATION, moved);
        assert!(pause.is_revoked());
        assert_eq!(pause.release().unwrap_err().kind(), ErrorKind::Revoked);
        // What somebody else closed is his to open, or is healed when he is dead.
        assert_eq!(place.status().generation, moved);
        drop(barrier.shared_timeout(ms(5000)).unwrap());
    }
}

#[test]
fn a_pause_that_is_dropped_opens_the_gate() {
    let place = Place::new();
    let barrier = place.barrier();
    drop(barrier.exclusive(&mut ExclusiveOptions::default()).unwrap());
    drop(barrier.try_shared().unwrap());
    let status = place.status();
    assert!(!status.closed && !status.wanted && status.holder.is_none());
}

#[test]
fn limits_that_never_end_are_limits() {
    let place = Place::new();
    let barrier = place.barrier();
    for patience in [Duration::MAX, Duration::ZERO] {
        let mut options = ExclusiveOptions::default()
            .patience(patience)
            .drain(Duration::MAX)
            .hold(Duration::MAX)
            .wait(Duration::MAX);
        let pause = barrier.exclusive(&mut options).unwrap();
        pause.release().unwrap();
    }
    drop(barrier.shared_timeout(Duration::MAX).unwrap());
}
