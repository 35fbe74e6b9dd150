//! How an epoch goes when nothing goes wrong.

use std::time::Duration;

use stillpoint_cluster::coordinator::Request;
use stillpoint_cluster::host::simulated::{Happened, Pace};
use stillpoint_cluster::record::epoch::Mode;
use stillpoint_cluster::record::verdict::Outcome;

use crate::group::{Group, seconds};

#[tokio::test(start_paused = true)]
async fn every_host_has_its_certificate_and_the_verdict_is_complete() {
    for mode in [Mode::HoldAll, Mode::Early] {
        let group = Group::of(3).await;
        let ended = group.conduct(|request| request.mode = mode).await.unwrap();
        assert_eq!(ended.verdict.outcome, Outcome::Complete, "{:?}", ended.verdict.reason);
        assert_eq!(ended.verdict.members.len(), 3);
        for part in ended.verdict.members.values() {
            assert!(part.certificate.is_some());
            assert_eq!(part.snapshot.as_ref().unwrap().name, format!("mail-{}", ended.epoch));
        }
        assert_eq!(group.verdict(ended.epoch).await.unwrap(), ended.verdict);
        group.settled().await;
        let id = ended.epoch;
        for machine in group.hosts.values() {
            assert_eq!(
                machine.host.happened(),
                [
                    Happened::Prepared(id),
                    Happened::Closed(id),
                    Happened::Snapped(id),
                    Happened::Released(id),
                    Happened::Settled(id, Outcome::Complete),
                ]
            );
        }
        group.check_gates();
    }
}

#[tokio::test(start_paused = true)]
async fn an_epoch_takes_three_transactions_of_each_host_and_four_of_its_coordinator() {
    for (mode, count) in [(Mode::HoldAll, 3), (Mode::Early, 3), (Mode::HoldAll, 10)] {
        assert_eq!(transactions(mode, count, seconds(60.0)).await, 3 * count as u64 + 4, "{mode}");
    }
}

/// Each host speaks once before the release and once after it; beginning, release and verdict are written.
#[tokio::test(start_paused = true)]
async fn without_a_phase_of_preparing_it_takes_two_and_three() {
    for (mode, count) in [(Mode::HoldAll, 3), (Mode::Early, 3), (Mode::HoldAll, 10)] {
        assert_eq!(transactions(mode, count, seconds(0.0)).await, 2 * count as u64 + 3, "{mode}");
    }
}

async fn transactions(mode: Mode, count: usize, prepare: Duration) -> u64 {
    let group = Group::of(count).await;
    let change = |request: &mut Request| {
        request.mode = mode;
        request.limits.prepare = prepare;
    };
    // The first report of an agent's life reads what there is.
    group.conduct(change).await.unwrap();
    group.settled().await;
    let before = group.store.transactions();
    let ended = group.conduct(change).await.unwrap();
    assert_eq!(ended.verdict.outcome, Outcome::Complete, "{:?}", ended.verdict.reason);
    group.settled().await;
    group.check_gates();
    group.store.transactions() - before
}

/// It costs what the phase is for: who is prepared holds its gate until the last one is.
#[tokio::test(start_paused = true)]
async fn without_a_phase_of_preparing_gates_wait_for_it() {
    let mut group = Group::of(3).await;
    group.host("b").host.set_pace(Pace { prepare: seconds(1.5), ..Pace::default() });
    let ended = group.conduct(|request| request.limits.prepare = seconds(0.0)).await.unwrap();
    assert_eq!(ended.verdict.outcome, Outcome::Complete, "{:?}", ended.verdict.reason);
    assert_eq!(group.host("a").host.longest().as_millis() / 100, 15);
    assert!(group.host("b").host.longest() < seconds(0.1));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_held_while_another_one_prepares() {
    let mut group = Group::of(3).await;
    let slow = Pace { prepare: Duration::from_secs(20), ..Pace::default() };
    group.host("b").host.set_pace(slow);
    let ended = group.snapshot().await.unwrap();
    assert_eq!(ended.verdict.outcome, Outcome::Complete);
    for machine in group.hosts.values() {
        assert!(machine.host.longest() < Duration::from_secs(1));
    }
}

#[tokio::test(start_paused = true)]
async fn all_are_held_until_the_last_has_its_snapshot_unless_the_mode_is_early() {
    for (mode, longest) in [(Mode::HoldAll, 3_000..3_100), (Mode::Early, 0..100)] {
        let mut group = Group::of(3).await;
        group.host("b").host.set_pace(Pace { snapshot: Duration::from_secs(3), ..Pace::default() });
        let ended = group.conduct(|request| request.mode = mode).await.unwrap();
        assert_eq!(ended.verdict.outcome, Outcome::Complete);
        let held = group.host("a").host.longest().as_millis();
        assert!(longest.contains(&held), "{mode}: {held}");
        group.check_gates();
    }
}
