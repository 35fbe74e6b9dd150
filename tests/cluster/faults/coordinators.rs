//! Coordinators that die or hang, and who cleans up behind them.

use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::sleep;

use super::scene::{PHASES, SLOW, Scene};

#[tokio::test]
async fn a_coordinator_that_dies_leaves_nothing_that_is_called_complete() {
    let Some(scene) = Scene::start().await else { return };
    scene.pace("b", SLOW);
    for mode in ["hold-all", "early"] {
        for place in PHASES {
            let mut conducted = scene.conduct(mode);
            let begun = conducted.until("begun").unwrap();
            if place.0 != "begun" && !conducted.is_at(place).await {
                continue;
            }
            conducted.kill();
            let id: u64 = begun.trim_start_matches("begun ").parse().unwrap();
            let verdicts = scene.verdicts().await;
            let early = verdicts.iter().find(|(one, _)| *one == id);
            scene.recover().await;
            scene.recover().await;
            let verdicts = scene.verdicts().await;
            let verdict = &verdicts.iter().find(|(one, _)| *one == id).unwrap().1;
            match early {
                // It was done when it was killed.
                Some((_, early)) => assert_eq!(early, verdict),
                None => assert_eq!(verdict.outcome.word(), "aborted", "{mode}, {place:?}"),
            }
            scene.succeeds(mode).await;
        }
    }
    scene.check().await;
}

#[tokio::test]
async fn a_coordinator_that_sleeps_finds_out_that_it_is_over() {
    let Some(scene) = Scene::start().await else { return };
    scene.pace("b", SLOW);
    for place in PHASES {
        let mut conducted = scene.conduct("hold-all");
        if !conducted.is_at(place).await {
            continue;
        }
        conducted.signal(Signal::SIGSTOP);
        // Its lease is of two seconds, and half a second more at most.
        sleep(Duration::from_secs(5)).await;
        conducted.signal(Signal::SIGCONT);
        let last = conducted.end();
        assert_ne!(last, "verdict complete", "{place:?}");
        scene.recover().await;
        scene.succeeds("hold-all").await;
    }
    scene.check().await;
}
