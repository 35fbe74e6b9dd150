//! What becomes of an epoch when a host fails, dies, sleeps or is started anew at each of its steps.

use stillpoint_cluster::host::simulated::{Asked, Happened, Pace};
use stillpoint_cluster::record::epoch::Mode;
use stillpoint_cluster::record::report::Failed;
use stillpoint_cluster::record::verdict::Outcome;

use crate::group::{Conducted, DRAIN, Group, HOLD, last, seconds, slow};
use tokio::time::{Instant, sleep};

/// Where host b is when something happens to it, a second after the beginning.
#[derive(Clone, Copy, Debug, PartialEq)]
enum At {
    Preparing,
    Closing,
    Snapping,
    /// It waits for the others, its gate closed.
    Snapped,
    /// It waits for the others' certificates, its gate open.
    Certified,
}

const ALL: [At; 5] = [At::Preparing, At::Closing, At::Snapping, At::Snapped, At::Certified];

impl At {
    async fn reached(self) -> (Group, Conducted) {
        let mut group = Group::of(3).await;
        let (b, others) = match self {
            At::Preparing => (Pace { prepare: seconds(5.0), ..Pace::default() }, Pace::default()),
            At::Closing => (Pace { drain: seconds(1.9), ..Pace::default() }, Pace::default()),
            At::Snapping => (slow(4.0), Pace::default()),
            At::Snapped | At::Certified => (Pace::default(), slow(4.0)),
        };
        for (name, machine) in &mut group.hosts {
            machine.host.set_pace(if name == "b" { b } else { others });
        }
        let mode = if self == At::Certified { Mode::Early } else { Mode::HoldAll };
        let conducted = Conducted::start(&group.store, |request| request.mode = mode);
        sleep(seconds(1.0)).await;
        let id = last(&group.store).await;
        let happened = group.host("b").host.happened();
        let expected = match self {
            At::Preparing => None,
            At::Closing | At::Snapping => Some(Happened::Closed(id)),
            At::Snapped => Some(Happened::Snapped(id)),
            At::Certified => Some(Happened::Released(id)),
        };
        assert_eq!(happened.last(), expected.as_ref(), "{self:?}");
        (group, conducted)
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_dies_opens_its_gate_and_takes_all_but_its_certificate_with_it() {
    for at in ALL {
        let (mut group, conducted) = at.reached().await;
        let id = last(&group.store).await;
        let killed = Instant::now();
        group.host("b").kill().await;
        assert!(!group.host("b").host.is_closed(), "{at:?}");
        let ended = conducted.ended().await.unwrap();
        if at == At::Certified {
            assert_eq!(ended.verdict.outcome, Outcome::Complete);
        } else {
            assert_eq!(ended.verdict.outcome, Outcome::Aborted, "{at:?}");
            let reason = ended.verdict.reason.unwrap().text;
            // Whichever runs out first: the lease, or the time for a snapshot.
            assert!(reason.starts_with("b: "), "{reason}");
            assert!(killed.elapsed() <= seconds(12.0), "{at:?}: {:?}", killed.elapsed());
        }
        // The others' gates are open as soon as they hear of it.
        group.settled().await;
        group.check_gates();
        // It comes back, hears the verdict, and takes part again.
        let store = group.store.clone();
        group.host("b").restart(&store).await;
        sleep(seconds(60.0)).await;
        let heard = Happened::Settled(id, ended.verdict.outcome);
        assert!(group.host("b").host.happened().contains(&heard), "{at:?}");
        assert!(group.host("b").remembered().waiting.is_empty());
        for machine in group.hosts.values() {
            machine.host.set_pace(Pace::default());
        }
        assert_eq!(group.snapshot().await.unwrap().verdict.outcome, Outcome::Complete, "{at:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_started_anew_has_promised_nothing() {
    for at in ALL {
        let (mut group, conducted) = at.reached().await;
        let store = group.store.clone();
        let started = Instant::now();
        group.host("b").restart(&store).await;
        let ended = conducted.ended().await.unwrap();
        let expected = match at {
            At::Certified => Outcome::Complete,
            _ => Outcome::Aborted,
        };
        assert_eq!(ended.verdict.outcome, expected, "{at:?}");
        if let Some(reason) = ended.verdict.reason {
            assert_eq!(reason.text, "b: its agent was started anew, before it had its certificate");
            // The place of an agent that this host knows to be dead is not waited for.
            assert!(started.elapsed() < seconds(1.0), "{at:?}");
        }
        group.settled().await;
        group.check_gates();
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_stopped_says_good_bye() {
    for at in ALL {
        let (mut group, conducted) = at.reached().await;
        let stopped = Instant::now();
        group.host("b").stop().await;
        assert!(!group.host("b").host.is_closed(), "{at:?}");
        let ended = conducted.ended().await.unwrap();
        match at {
            At::Certified => assert_eq!(ended.verdict.outcome, Outcome::Complete),
            _ => {
                assert_eq!(ended.verdict.outcome, Outcome::Aborted, "{at:?}");
                assert!(stopped.elapsed() < seconds(1.0), "{at:?}");
            }
        }
        group.settled().await;
        group.check_gates();
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_fails_says_why_and_nobody_is_held_any_longer() {
    let all = [Asked::Prepare, Asked::Freeze, Asked::Snapshot, Asked::Release];
    for (asked, mode) in all.iter().flat_map(|one| [(*one, Mode::HoldAll), (*one, Mode::Early)]) {
        let mut group = Group::of(3).await;
        let failed = Failed { text: "no space left on /srv/mail".to_owned(), exit: 73 };
        group.host("b").host.fail(Some((asked, failed)));
        let start = Instant::now();
        let ended = group.conduct(|request| request.mode = mode).await.unwrap();
        assert_eq!(ended.verdict.outcome, Outcome::Aborted);
        let reason = ended.verdict.reason.unwrap();
        assert_eq!(
            (reason.text.as_str(), reason.exit),
            ("b: no space left on /srv/mail", 73),
            "{asked:?}"
        );
        group.settled().await;
        assert!(start.elapsed() < seconds(0.5), "{asked:?}");
        group.check_gates();
        for machine in group.hosts.values() {
            let happened = machine.host.happened();
            assert!(!happened.contains(&Happened::Settled(ended.epoch, Outcome::Complete)));
        }
        group.host("b").host.fail(None);
        assert_eq!(group.snapshot().await.unwrap().verdict.outcome, Outcome::Complete);
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_does_not_become_quiet_keeps_its_own_limit() {
    let mut group = Group::of(2).await;
    group.host("b").host.set_pace(Pace { drain: 2 * DRAIN, ..Pace::default() });
    let ended = group.snapshot().await.unwrap();
    assert_eq!(ended.verdict.reason.unwrap().text, "b: not quiet within the limit");
    group.settled().await;
    for machine in group.hosts.values() {
        assert!(machine.host.longest() <= DRAIN + seconds(0.1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_writers_ended_is_no_pause_however_late_its_host_hears_of_it() {
    let mut group = Group::of(2).await;
    let long = DRAIN + HOLD + seconds(1.0);
    group.host("b").host.set_pace(Pace { snapshot: long, ..Pace::default() });
    let ended = group.snapshot().await.unwrap();
    assert_eq!(ended.verdict.outcome, Outcome::Aborted);
    let reason = ended.verdict.reason.unwrap();
    assert!(reason.text.contains("the pause did not last"), "{}", reason.text);
    assert_eq!(reason.exit, 124);
    group.settled().await;
    group.check_gates();
}

#[tokio::test(start_paused = true)]
async fn who_loses_the_store_keeps_its_gate_until_it_is_back_or_the_limit() {
    for (away, expected) in [(1.5, Outcome::Complete), (30.0, Outcome::Aborted)] {
        let (mut group, conducted) = At::Snapped.reached().await;
        group.host("b").link.cut_requests(true);
        group.host("b").link.cut_answers(true);
        sleep(seconds(1.4)).await;
        assert!(group.host("b").host.is_closed());
        sleep(seconds(away - 1.4)).await;
        group.host("b").link.cut_requests(false);
        group.host("b").link.cut_answers(false);
        let ended = conducted.ended().await.unwrap();
        assert_eq!(ended.verdict.outcome, expected, "{away}: {:?}", ended.verdict.reason);
        sleep(seconds(60.0)).await;
        group.check_gates();
        if expected == Outcome::Aborted {
            // It heard nothing, and was opened by those who waited.
            assert_eq!(group.host("b").host.longest(), DRAIN + HOLD);
            for machine in group.hosts.values() {
                machine.host.set_pace(Pace::default());
            }
        }
        assert_eq!(group.snapshot().await.unwrap().verdict.outcome, Outcome::Complete);
    }
}

#[tokio::test(start_paused = true)]
async fn a_gate_stays_open_for_a_while_between_epochs_also_if_its_agent_is_another_one() {
    for is_restarted in [false, true] {
        let mut group = Group::of(1).await;
        group.host("a").stop().await;
        group.host("a").min_open = seconds(8.0);
        group.host("a").start();
        group.settled().await;
        let first = group.snapshot().await.unwrap();
        assert_eq!(first.verdict.outcome, Outcome::Complete);
        let opened = Instant::now();
        if is_restarted {
            let store = group.store.clone();
            group.host("a").restart(&store).await;
            group.settled().await;
        }
        let second = group.snapshot().await.unwrap();
        assert_eq!(second.verdict.outcome, Outcome::Complete);
        let waited = opened.elapsed();
        assert!((seconds(7.9)..seconds(8.2)).contains(&waited), "{is_restarted}: {waited:?}");
        // Not the closed gate waits.
        assert!(group.host("a").host.longest() < seconds(0.1));
        // Rather than to keep a coordinator waiting for nothing, it says so.
        let ended = group.conduct(|request| request.limits.prepare = seconds(1.0)).await.unwrap();
        let reason = ended.verdict.reason.unwrap().text;
        assert!(reason.starts_with("a: its gate was closed a short while ago"), "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_killed_with_its_gate_closed_leaves_it_open_for_as_long() {
    let mut group = Group::of(1).await;
    group.host("a").stop().await;
    group.host("a").min_open = seconds(8.0);
    group.host("a").start();
    group.host("a").host.set_pace(slow(4.0));
    group.settled().await;
    let conducted = Conducted::start(&group.store, |_| ());
    sleep(seconds(1.0)).await;
    let store = group.store.clone();
    group.host("a").restart(&store).await;
    let killed = Instant::now();
    assert_eq!(conducted.ended().await.unwrap().verdict.outcome, Outcome::Aborted);
    group.host("a").host.set_pace(Pace::default());
    group.settled().await;
    assert_eq!(group.snapshot().await.unwrap().verdict.outcome, Outcome::Complete);
    assert!(killed.elapsed() >= seconds(8.0), "{:?}", killed.elapsed());
}
