//! Many epochs, with trouble in half of them, each time at another moment. Every kind comes once in 44 of them, and so
//! many begin unless STILLPOINT_EPOCHS says more.

use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::sleep;

use super::scene::{HOSTS, Scene};

const EVERY_KIND: u64 = 44;

#[derive(Clone, Copy, Debug)]
enum Trouble {
    None,
    AgentDies,
    AgentHangs(u64),
    CoordinatorDies,
    CoordinatorHangs(u64),
    LeaderDies,
    LeaderHangs(u64),
}

/// One in each twenty or so takes seconds.
fn trouble(epoch: u64) -> Trouble {
    match epoch % 44 {
        7 | 29 => Trouble::AgentDies,
        11 => Trouble::AgentHangs(5000),
        17 => Trouble::LeaderDies,
        23 => Trouble::CoordinatorHangs(3500),
        37 => Trouble::LeaderHangs(1500),
        other => match other % 6 {
            1 => Trouble::CoordinatorDies,
            3 => Trouble::AgentHangs(150),
            5 => Trouble::LeaderHangs(100),
            _ => Trouble::None,
        },
    }
}

#[tokio::test]
async fn whatever_is_complete_is_whole() {
    let Some(mut scene) = Scene::start().await else { return };
    let epochs = std::env::var("STILLPOINT_EPOCHS").map_or(EVERY_KIND, |n| n.parse().unwrap());
    let (mut begun, mut complete, mut aborted, mut endless, mut refused) = (0, 0, 0, 0, 0);
    for epoch in 0.. {
        if begun == epochs {
            break;
        }
        let mode = ["hold-all", "early"][(epoch / 3 % 2) as usize];
        let host = HOSTS[(epoch % 3) as usize];
        let trouble = trouble(epoch);
        let mut conducted = scene.conduct(mode);
        if conducted.until("begun").is_err() {
            // Too early for those who were put out before: no epoch.
            refused += 1;
            assert!(refused <= epochs, "nothing begins any more");
            scene.recover().await;
            scene.all_are_there().await;
            continue;
        }
        begun += 1;
        sleep(Duration::from_millis(epoch * 37 % 70)).await;
        match trouble {
            Trouble::None => {}
            Trouble::AgentDies => scene.agent_of(host).kill(),
            Trouble::AgentHangs(ms) => {
                scene.agent_of(host).signal(Signal::SIGSTOP);
                sleep(Duration::from_millis(ms)).await;
                scene.agent_of(host).signal(Signal::SIGCONT);
            }
            Trouble::CoordinatorDies => conducted.kill(),
            Trouble::CoordinatorHangs(ms) => {
                conducted.signal(Signal::SIGSTOP);
                sleep(Duration::from_millis(ms)).await;
                conducted.signal(Signal::SIGCONT);
            }
            Trouble::LeaderDies => {
                let leader = scene.servers.wait_for_leader();
                scene.servers.kill(leader);
                scene.servers.start_member(leader);
            }
            Trouble::LeaderHangs(ms) => {
                let leader = scene.servers.wait_for_leader();
                scene.servers.signal(leader, Signal::SIGSTOP);
                sleep(Duration::from_millis(ms)).await;
                scene.servers.signal(leader, Signal::SIGCONT);
            }
        }
        match conducted.end().as_str() {
            "verdict complete" => complete += 1,
            "verdict aborted" => aborted += 1,
            _ => endless += 1,
        }
        if let Trouble::AgentDies = trouble {
            scene.restart(host);
        }
        scene.recover().await;
        scene.all_are_there().await;
        // Verdicts and snapshots are not kept for ever.
        if epoch % 40 == 39 {
            scene.check().await;
        }
    }
    scene.check().await;
    let counts = format!(
        "{begun} begun: {complete} complete, {aborted} aborted, {endless} whose coordinator did not see the end; {refused} refused"
    );
    println!("{counts}");
    assert!(complete >= begun / 2, "{counts}");
    assert!(aborted + endless > 5, "nothing ever happened: {counts}");
    scene.succeeds("hold-all").await;
}
