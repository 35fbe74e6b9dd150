//! The checker, and the epochs of a group that nothing happens to.

use super::scene::{Scene, faults};
use crate::servers::Servers;

#[tokio::test]
async fn what_is_complete_shows_one_moment() {
    let Some(scene) = Scene::start().await else { return };
    for mode in ["hold-all", "early"].repeat(10) {
        assert_eq!(scene.conduct(mode).end(), "verdict complete");
    }
    assert_eq!(scene.check().await, (20, 0));
}

/// The negative control: the same, with gates that stay open.
#[tokio::test]
async fn without_gates_it_is_torn_and_that_is_noticed() {
    let Some(servers) = Servers::start() else { return };
    let scene = Scene::of(servers, "without-gate", None).await;
    scene.pace("b", 100);
    for _ in 0..5 {
        assert_eq!(scene.conduct("hold-all").end(), "verdict complete");
    }
    let (mut torn, mut orphans) = (0, 0);
    for (_, verdict) in scene.verdicts().await {
        let faults = faults(&verdict);
        torn += faults.iter().filter(|fault| fault.contains("torn")).count();
        orphans += faults.iter().filter(|fault| fault.contains("never sent")).count();
    }
    assert!(torn > 0 && orphans > 0, "{torn} {orphans}");
}
