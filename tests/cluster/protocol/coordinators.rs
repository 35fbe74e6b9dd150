//! Coordinators that die, sleep, meet each other, and what is left of them.

use stillpoint_cluster::coordinator::recover::Found;
use stillpoint_cluster::host::simulated::{Happened, Pace};
use stillpoint_cluster::record::epoch::Mode;
use stillpoint_cluster::record::verdict::Outcome;
use stillpoint_cluster::words::exit::Exit;
use tokio::join;
use tokio::time::{Instant, sleep};

use crate::group::{Conducted, DRAIN, Group, last, recover, request, seconds, slow};

/// What the hosts do a second after the beginning.
fn paces() -> [(&'static str, Mode, Pace); 5] {
    let none = Pace::default();
    [
        ("preparing", Mode::HoldAll, Pace { prepare: seconds(4.0), ..none }),
        ("closing", Mode::HoldAll, Pace { drain: seconds(1.9), ..none }),
        ("snapping", Mode::HoldAll, slow(4.0)),
        ("closing early", Mode::Early, Pace { drain: seconds(1.9), ..none }),
        ("snapping early", Mode::Early, slow(4.0)),
    ]
}

/// A group with an epoch under way; host a is ahead of the others.
async fn under_way(mode: Mode, pace: Pace) -> (Group, Conducted) {
    let mut group = Group::of(3).await;
    for name in ["b", "c"] {
        group.host(name).host.set_pace(pace);
    }
    let conducted = Conducted::start(&group.store, |request| request.mode = mode);
    sleep(seconds(1.0)).await;
    (group, conducted)
}

#[tokio::test(start_paused = true)]
async fn who_dies_leaves_an_epoch_that_is_never_complete_and_gates_that_open() {
    for (what, mode, pace) in paces() {
        let (group, conducted) = under_way(mode, pace).await;
        let id = last(&group.store).await;
        let killed = Instant::now();
        conducted.kill().await;
        // The lease is 5 s.
        sleep(seconds(5.5)).await;
        group.check_gates();
        assert!(group.verdict(id).await.is_none(), "{what}");
        assert!(killed.elapsed() < seconds(6.0));
        let found = recover(&group.store, false).await.unwrap();
        assert!(
            matches!(&found, Found::Recovered(epoch, verdict) if *epoch == id && verdict.outcome == Outcome::Aborted),
            "{what}: {found:?}"
        );
        // Once more changes nothing.
        let written = group.verdict(id).await.unwrap();
        let found = recover(&group.store, false).await.unwrap();
        assert!(
            matches!(found, Found::Settled(epoch, verdict) if epoch == id && verdict == written)
        );
        sleep(seconds(60.0)).await;
        for machine in group.hosts.values() {
            assert!(machine.remembered().waiting.is_empty(), "{what}: {}", machine.name);
            machine.host.set_pace(Pace::default());
        }
        assert_eq!(group.snapshot().await.unwrap().verdict.outcome, Outcome::Complete, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_after_a_dead_one_gives_its_epoch_a_verdict_first() {
    let (group, conducted) = under_way(Mode::Early, slow(4.0)).await;
    let id = last(&group.store).await;
    conducted.kill().await;
    let busy = group.snapshot().await.unwrap_err();
    assert_eq!(busy.exit, Exit::CONFLICT);
    assert!(
        busy.text
            .starts_with(&format!("epoch {id} of the test is under way, in its phase release"))
    );
    sleep(seconds(5.5)).await;
    let ended = group.snapshot().await.unwrap();
    assert_eq!(ended.verdict.outcome, Outcome::Complete);
    assert_eq!(group.verdict(id).await.unwrap().outcome, Outcome::Aborted);
    // Host a had its certificate for it, and hears that it is worth nothing.
    sleep(seconds(60.0)).await;
    let happened = group.hosts["a"].host.happened();
    assert!(happened.contains(&Happened::Released(id)));
    assert!(happened.contains(&Happened::Settled(id, Outcome::Aborted)));
}

#[tokio::test(start_paused = true)]
async fn who_sleeps_longer_than_its_lease_can_write_nothing_afterwards() {
    for (what, mode, pace) in paces() {
        for away in [1.0, 7.0] {
            let (group, conducted) = under_way(mode, pace).await;
            conducted.link.cut_requests(true);
            conducted.link.cut_answers(true);
            sleep(seconds(away)).await;
            conducted.link.cut_requests(false);
            conducted.link.cut_answers(false);
            let ended = conducted.ended().await.unwrap();
            let expected = match away < 5.0 {
                true => Outcome::Complete,
                false => Outcome::Aborted,
            };
            assert_eq!(
                ended.verdict.outcome, expected,
                "{what}, {away}: {:?}",
                ended.verdict.reason
            );
            group.settled().await;
            group.check_gates();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_at_once_one_is_told_who_the_other_is() {
    let (group, conducted) = under_way(Mode::HoldAll, slow(2.0)).await;
    let id = last(&group.store).await;
    let busy = group.snapshot().await.unwrap_err();
    assert_eq!(busy.exit, Exit::CONFLICT);
    assert_eq!(
        busy.text,
        format!(
            "epoch {id} of the test is under way, in its phase pause; try again when it is over"
        )
    );
    assert_eq!(conducted.ended().await.unwrap().verdict.outcome, Outcome::Complete);
}

#[tokio::test(start_paused = true)]
async fn of_two_that_begin_at_the_same_moment_one_does() {
    let group = Group::of(2).await;
    let (one, other) = join!(group.snapshot(), group.snapshot());
    let (ended, busy) = match (one, other) {
        (Ok(ended), Err(busy)) | (Err(busy), Ok(ended)) => (ended, busy),
        both => panic!("{both:?}"),
    };
    assert_eq!(ended.verdict.outcome, Outcome::Complete);
    assert_eq!(busy.exit, Exit::CONFLICT);
}

#[tokio::test(start_paused = true)]
async fn an_epoch_under_way_is_given_up_only_when_that_is_asked_for() {
    for (what, mode, pace) in paces() {
        let (group, conducted) = under_way(mode, pace).await;
        let id = last(&group.store).await;
        let busy = recover(&group.store, false).await.unwrap_err();
        assert_eq!(busy.exit, Exit::CONFLICT, "{what}");
        let (one, other) = join!(recover(&group.store, true), recover(&group.store, true));
        for found in [one.unwrap(), other.unwrap()] {
            let (Found::Recovered(epoch, verdict) | Found::Settled(epoch, verdict)) = found else {
                panic!("{what}");
            };
            assert_eq!((epoch, verdict.outcome), (id, Outcome::Aborted), "{what}");
        }
        let start = Instant::now();
        let ended = conducted.ended().await.unwrap();
        assert_eq!(ended.verdict, group.verdict(id).await.unwrap(), "{what}");
        group.settled().await;
        assert!(start.elapsed() < seconds(0.5), "{what}");
        group.check_gates();
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_where_nothing_began() {
    let group = Group::of(1).await;
    assert!(matches!(recover(&group.store, false).await.unwrap(), Found::Nothing));
    let ended = group.snapshot().await.unwrap();
    let found = recover(&group.store, true).await.unwrap();
    assert!(
        matches!(found, Found::Settled(epoch, verdict) if epoch == ended.epoch && verdict.outcome == Outcome::Complete)
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_changes_nothing() {
    for (what, mode, pace) in paces() {
        for host in ["", "b"] {
            let (group, conducted) = under_way(mode, pace).await;
            match host {
                "" => conducted.link.lose_commits(1),
                host => group.hosts[host].link.lose_commits(1),
            }
            let ended = conducted.ended().await.unwrap();
            let verdict = &ended.verdict;
            assert_eq!(verdict.outcome, Outcome::Complete, "{what}, {host}: {:?}", verdict.reason);
            assert_eq!(group.verdict(ended.epoch).await.as_ref(), Some(verdict));
            group.settled().await;
            group.check_gates();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_verdict_whose_answer_never_comes_is_the_verdict_all_the_same() {
    let mut group = Group::of(2).await;
    group.host("b").host.set_pace(slow(2.0));
    let conducted = Conducted::start(&group.store, |request| request.mode = Mode::Early);
    sleep(seconds(1.0)).await;
    let id = last(&group.store).await;
    // What it asks for is done, and it hears of nothing: neither of the certificate nor of its own death.
    sleep(seconds(1.0)).await;
    conducted.link.cut_answers(true);
    sleep(seconds(3.0)).await;
    conducted.kill().await;
    sleep(seconds(60.0)).await;
    let found = recover(&group.store, false).await.unwrap();
    let (Found::Settled(_, verdict) | Found::Recovered(_, verdict)) = found else { panic!() };
    sleep(seconds(60.0)).await;
    for machine in group.hosts.values() {
        let settled =
            machine.host.happened().into_iter().filter(|one| matches!(one, Happened::Settled(..)));
        assert_eq!(Vec::from_iter(settled), [Happened::Settled(id, verdict.outcome)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_that_comes_too_late_finds_gates_that_were_opened() {
    let mut group = Group::of(2).await;
    group.host("a").host.set_pace(slow(1.0));
    let conducted = Conducted::start(&group.store, |request| {
        request.lease = seconds(60.0);
        request.limits.hold = seconds(2.0);
    });
    sleep(seconds(0.5)).await;
    // It hears of the snapshots when 2.7 s have gone, and its word arrives when hosts have been closed for 4.4 s.
    conducted.link.delay(seconds(1.7));
    let ended = conducted.ended().await.unwrap();
    assert_eq!(ended.verdict.outcome, Outcome::Aborted);
    sleep(seconds(60.0)).await;
    group.check_gates();
    for machine in group.hosts.values() {
        let happened = machine.host.happened();
        assert!(happened.contains(&Happened::Broken(ended.epoch)), "{happened:?}");
        assert_eq!(machine.host.longest(), DRAIN + seconds(2.0));
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_told_to_stop_gives_the_epoch_up() {
    let (group, conducted) = under_way(Mode::HoldAll, slow(4.0)).await;
    recover(&group.store, true).await.unwrap();
    conducted.ended().await.unwrap();
    for machine in group.hosts.values() {
        machine.host.set_pace(slow(2.0));
    }
    let link = group.store.link();
    let interrupted = async {
        sleep(seconds(1.0)).await;
        "interrupted by SIGINT".to_owned()
    };
    let ended =
        stillpoint_cluster::coordinator::run(&link, &request(), interrupted, |_| ()).await.unwrap();
    assert_eq!(ended.verdict.outcome, Outcome::Aborted);
    assert_eq!(ended.verdict.reason.unwrap().text, "interrupted by SIGINT");
    group.settled().await;
    group.check_gates();
}
