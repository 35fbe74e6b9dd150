//! Several tools, and one tool's own conditions.

use crate::common::{GENERATION, Participant, Place, SLACK, at_once, ms, until};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use stillpoint::{Error, ErrorKind, ExclusiveOptions, GateChange, Pacing, Phase};

#[test]
fn one_tool_at_a_time() {
    let place = Place::new();
    let barrier = place.barrier();
    let mut tool = Participant::at(&place.barrier_path());
    tool.expect_like("exclusive hold=none label=nightly", "granted");
    let mut impatient = at_once(100).wait(ms(0));
    let error = barrier.exclusive(&mut impatient).unwrap_err();
    let Error::Busy { holder, .. } = &error else { panic!("{error}") };
    assert!(holder.contains(&tool.pid().to_string()) && holder.contains("nightly"), "{holder}");
    let status = place.status();
    let holder = status.holder.unwrap();
    assert_eq!((holder.pid, holder.label.as_str(), holder.limit), (tool.pid(), "nightly", None));
    // Waiting, it gets its turn, and says meanwhile for whom it waits.
    let mut phases = Vec::new();
    let mut progress = |waiting: &stillpoint::Waiting<'_>| {
        phases.push(waiting.phase);
        tool.say("release");
    };
    let mut patient = at_once(100).wait(ms(20_000)).progress(&mut progress);
    let pause = barrier.exclusive(&mut patient).unwrap();
    assert_eq!(phases[0], Phase::OtherTool);
    assert_eq!(tool.hear(), "released grown=0");
    pause.release().unwrap();
}

#[test]
fn a_dead_tools_gate_is_opened_before_anything_else() {
    let place = Place::new();
    let barrier = place.barrier();
    let mut tool = Participant::at(&place.barrier_path());
    tool.expect_like("exclusive hold=none", "granted");
    tool.kill();
    assert!(place.status().closed);
    // The next tool lets the gate be open for long before it closes it: it must open it first.
    let mut opened = false;
    let cancel = AtomicBool::new(false);
    let mut progress = |waiting: &stillpoint::Waiting<'_>| {
        assert_eq!(waiting.phase, Phase::Pacing);
        opened = !place.status().closed;
        cancel.store(true, Ordering::Relaxed);
    };
    let mut options =
        at_once(100).pacing(Pacing::Open(ms(20_000))).progress(&mut progress).cancel(&cancel);
    let error = barrier.exclusive(&mut options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(opened);
    assert_eq!(place.status().generation, 2);
}

#[test]
fn cancelling_opens_the_gate() {
    let place = Place::new();
    let barrier = place.barrier();
    let mut long = Participant::at(&place.barrier_path());
    long.expect("shared", "inside 1");
    let cancel = AtomicBool::new(false);
    let began = Instant::now();
    let mut options = at_once(20_000).cancel(&cancel);
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            until("the gate is closed", || place.status().closed);
            cancel.store(true, Ordering::Relaxed);
        });
        barrier.exclusive(&mut options).unwrap_err()
    });
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(began.elapsed() < ms(1000) + SLACK);
    let status = place.status();
    assert!(!status.closed && !status.wanted && status.holder.is_none());
    long.expect("leave", "depth 0");
    barrier.exclusive(&mut at_once(100)).unwrap().release().unwrap();
}

#[test]
fn the_predicate_is_asked_when_it_is_quiet() {
    let place = Place::new();
    let barrier = place.barrier();
    let mut asked = 0;
    let mut predicate = || {
        assert!(place.status().closed);
        asked += 1;
        asked == 3
    };
    let mut options = at_once(5000).predicate(&mut predicate);
    barrier.exclusive(&mut options).unwrap().release().unwrap();
    assert_eq!(asked, 3);
    let mut never = || false;
    let mut options = at_once(50).predicate(&mut never);
    let error = barrier.exclusive(&mut options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotQuiet);
    assert!(!place.status().closed);
}

#[test]
fn a_gate_that_somebody_opened_is_not_granted() {
    let place = Place::new();
    let barrier = place.barrier();
    // As a waiter's swap, between the last look at the writers and the grant.
    let mut predicate = || {
        place.set_word(GENERATION, place.status().generation + 1);
        true
    };
    let mut options = at_once(20_000).predicate(&mut predicate);
    let error = barrier.exclusive(&mut options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Revoked, "{error}");
}

/// Locks of other programs go with the closed gate, and not with a wait at an open one.
#[test]
fn a_tool_is_told_before_each_closing_and_after_each_reopening() {
    let place = Place::new();
    let barrier = place.barrier();
    let mut writer = Participant::at(&place.barrier_path());
    writer.expect("shared", "inside 1");
    let mut told = Vec::new();
    let mut around = |change| {
        told.push((change, place.status().closed));
        if change == GateChange::Reopened {
            writer.expect("leave", "depth 0");
        }
        true
    };
    let mut options = ExclusiveOptions::default().around_closing(&mut around);
    barrier.exclusive(&mut options).unwrap().release().unwrap();
    let expected = [GateChange::AboutToClose, GateChange::Reopened, GateChange::AboutToClose];
    assert_eq!(told, expected.map(|change| (change, false)));

    let mut refuse = |_| false;
    let mut options = ExclusiveOptions::default().around_closing(&mut refuse);
    let before = place.status().generation;
    let error = barrier.exclusive(&mut options).unwrap_err();
    assert_eq!((error.kind(), place.status().generation), (ErrorKind::Cancelled, before));
    assert!(!place.status().wanted);
}
