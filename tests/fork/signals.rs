//! A signal handler that takes a share wherever it strikes, in the middle of enter and leave too.

use crate::common::{Place, at_a_barrier, at_once, field, ms, until};
use crate::detectors::{DETECTORS, noticing_by};
use std::time::Instant;
use stillpoint::Barrier;

#[test]
fn handlers_share_wherever_they_strike() {
    for detector in DETECTORS {
        let place = Place::new();
        let path = place.make_barrier();
        let mut writer = noticing_by(detector, &path);
        let tool = Barrier::open(&path).unwrap();
        let mark = place.path("mark");
        writer.expect(&format!("mark-in {}", mark.display()), "marking");
        writer.expect_like("alarms 40", "alarms=");
        writer.say("churn-until-told");
        let inside = || std::fs::read(&mark).unwrap().first() == Some(&1);
        until("a handler was inside", inside);
        // On a fast machine so many pauses are over before enough handlers have struck.
        let since = Instant::now();
        let mut rounds = 0..;
        while rounds.start < 150 || since.elapsed() < ms(100) {
            let round = rounds.next().unwrap();
            // A handler that finds the gate closed leaves its thread's word even while it waits, or
            // this would take until the limit.
            let pause = tool.exclusive(&mut at_once(5000));
            let pause = pause.unwrap_or_else(|error| panic!("round {round}: {error}"));
            assert!(pause.report().drain < ms(2000), "{:?}", pause.report());
            for _ in 0..5 {
                assert!(!inside(), "granted with a handler inside");
                std::thread::yield_now();
            }
            pause.release().unwrap();
        }
        let churned = writer.ask("alarms 0");
        assert_eq!(field(&churned, "depth"), "0");
        let counts = writer.hear();
        let alarms: u32 = field(&counts, "alarms").parse().unwrap();
        assert!(alarms > 200, "{counts}");
        assert_eq!(field(&counts, "failures"), "0");
        let status = place.status();
        assert!(status.writers.iter().all(|writer| !writer.inside), "{:?}", status.writers);
        assert_eq!((status.dirty.epoch, status.stats.revocations), (0, 0));
        // Nobody is inside, and it shows: granted in one closing.
        let pause = tool.exclusive(&mut at_once(1000)).unwrap();
        assert!(pause.report().waited_for.is_empty());
    }
}

/// The handler's share is a share: while it is inside, nobody else is granted, and in a pause it
/// waits.
#[test]
fn a_handler_waits_in_a_pause() {
    let (place, [mut writer, mut tool]) = at_a_barrier();
    tool.expect_like("exclusive hold=none", "granted");
    writer.expect_like("alarms 30000", "alarms=");
    // The first handler waits at the gate, and its thread does nothing else meanwhile.
    until("the handler waits", || {
        place.status().writers.iter().any(|writer| writer.waiting.is_some())
    });
    writer.say("depth");
    tool.expect("is-revoked", "revoked false");
    assert_eq!(writer.heard(), None);
    tool.expect("release", "released grown=0");
    assert_eq!(writer.hear(), "depth 0");
    let counts = writer.ask("alarms 0");
    assert_eq!(field(&counts, "failures"), "0");
    assert_ne!(field(&counts, "alarms"), "0");
}
