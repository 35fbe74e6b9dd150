//! The engine: leaders and quorums that are lost, and an old backup that is restored.

use std::time::Duration;

use nix::sys::signal::Signal;
use stillpoint_cluster::store::Store;
use tokio::time::sleep;

use super::scene::{PHASES, SLOW, Scene};

/// Nothing is called complete that is not, and the group goes on. Whether it outlasts the election depends on the
/// limit.
#[tokio::test]
async fn a_leader_may_be_lost_in_every_phase() {
    let Some(mut scene) = Scene::start().await else { return };
    scene.pace("b", SLOW);
    for how in [Signal::SIGKILL, Signal::SIGSTOP, Signal::SIGTERM] {
        for place in PHASES {
            let leader = scene.servers.wait_for_leader();
            let mut conducted = scene.conduct("hold-all");
            if !conducted.is_at(place).await {
                continue;
            }
            scene.servers.signal(leader, how);
            let last = conducted.end();
            assert!(last.starts_with("verdict "), "{how}, {place:?}: {last}");
            match how {
                Signal::SIGSTOP => scene.servers.signal(leader, Signal::SIGCONT),
                _ => {
                    scene.servers.kill(leader);
                    scene.servers.start_member(leader);
                }
            }
            scene.succeeds("hold-all").await;
        }
    }
    scene.check().await;
}

/// Gates open at the limit; facts that are durable are taken up when there is a quorum again.
#[tokio::test]
async fn without_a_quorum_gates_open_and_with_one_the_group_goes_on() {
    let Some(mut scene) = Scene::start().await else { return };
    scene.pace("b", SLOW);
    for place in PHASES {
        let mut conducted = scene.conduct("hold-all");
        if !conducted.is_at(place).await {
            continue;
        }
        scene.servers.kill(0);
        scene.servers.kill(1);
        sleep(Duration::from_secs(5)).await;
        scene.servers.start_member(0);
        scene.servers.start_member(1);
        let last = conducted.end();
        // Nobody was closed yet, or everybody had been: the facts are there when the quorum is.
        let may_be_whole = ["begun", "phase release"].contains(&place.0);
        assert!(last != "verdict complete" || may_be_whole, "{place:?}: {last}");
        scene.servers.wait_for_leader();
        scene.recover().await;
        scene.succeeds("hold-all").await;
    }
    scene.check().await;
}

/// The numbers of epochs go back: agents obey none of them twice.
#[tokio::test]
async fn after_an_old_backup_no_number_is_obeyed_again() {
    let Some(mut scene) = Scene::start().await else { return };
    scene.succeeds("hold-all").await;
    let backup = scene.folder().join("backup");
    scene.servers.save(&backup);
    for _ in 0..10 {
        assert_eq!(scene.conduct("hold-all").end(), "verdict complete");
    }
    let before: Vec<u64> = ids(&scene).await;
    let greatest = *before.iter().max().unwrap();
    scene.servers.restore(&backup);
    scene.all_are_there().await;
    let mut conducted = scene.conduct("hold-all");
    let begun = conducted.until("begun").unwrap();
    let id: u64 = begun.trim_start_matches("begun ").parse().unwrap();
    assert!(id < greatest, "{id}: nothing was restored");
    assert_eq!(conducted.end(), "verdict aborted");
    // Once the count is beyond what they have obeyed, they go on.
    while scene.store.range("none").await.unwrap().revision <= greatest as i64 {
        scene.servers.ctl(&["put", "count", "on"]);
    }
    scene.succeeds("hold-all").await;
}

async fn ids(scene: &Scene) -> Vec<u64> {
    scene.verdicts().await.iter().map(|(id, _)| *id).collect()
}
