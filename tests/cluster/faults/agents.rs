//! Agents that die, hang, or come back in the midst of it.

use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::sleep;

use super::scene::{PHASES, SLOW, Scene};

#[tokio::test]
async fn an_agent_that_dies_has_the_snapshot_aborted_in_every_phase() {
    let Some(mut scene) = Scene::start().await else { return };
    scene.pace("b", SLOW);
    for mode in ["hold-all", "early"] {
        for place in PHASES {
            let mut conducted = scene.conduct(mode);
            if !conducted.is_at(place).await {
                continue;
            }
            scene.agent_of("b").kill();
            let last = conducted.end();
            // Behind its certificate there is nothing more that it has to do.
            let done = place.0 == "phase release" && last == "verdict complete";
            assert!(last == "verdict aborted" || done, "{mode}, {place:?}: {last}");
            scene.restart("b");
            scene.succeeds(mode).await;
        }
    }
    scene.check().await;
}

/// A new life in the midst of it: what the old one promised is void.
#[tokio::test]
async fn an_agent_that_comes_back_in_the_midst_of_it_is_another_one() {
    let Some(mut scene) = Scene::start().await else { return };
    scene.pace("b", SLOW);
    for place in &PHASES[..3] {
        let mut conducted = scene.conduct("hold-all");
        assert!(conducted.is_at(*place).await);
        scene.restart("b");
        assert_eq!(conducted.end(), "verdict aborted", "{place:?}");
        scene.succeeds("hold-all").await;
    }
    scene.check().await;
}

#[tokio::test]
async fn an_agent_that_hangs_costs_the_snapshot_and_no_more() {
    let Some(mut scene) = Scene::start().await else { return };
    scene.pace("b", SLOW);
    for place in &PHASES[1..] {
        for seconds in [1, 6] {
            let mut conducted = scene.conduct("hold-all");
            if !conducted.is_at(*place).await {
                continue;
            }
            scene.agent_of("b").signal(Signal::SIGSTOP);
            sleep(Duration::from_secs(seconds)).await;
            scene.agent_of("b").signal(Signal::SIGCONT);
            let last = conducted.end();
            let may_be_whole = seconds == 1 || place.0 == "phase release";
            assert!(
                last == "verdict aborted" || (may_be_whole && last == "verdict complete"),
                "{place:?}, {seconds} s: {last}"
            );
            scene.succeeds("hold-all").await;
        }
    }
    scene.check().await;
}
