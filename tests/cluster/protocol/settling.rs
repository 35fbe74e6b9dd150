//! What each host does when there is a verdict, and that others hear of it.

use stillpoint_cluster::coordinator::settled::until_settled;
use stillpoint_cluster::record::verdict::Outcome;

use crate::group::{Group, keys, name, seconds};

/// Hosts that say what their barriers look like, as those of the command do.
async fn telling(names: &[&str], count: usize) -> Group {
    let mut group = Group::of(count).await;
    for host in names {
        let machine = group.host(host);
        machine.stop().await;
        machine.counts = Some(seconds(15.0));
        machine.start();
    }
    group.settled().await;
    group
}

/// It comes with what the host says anyway, and no sooner the next time: nothing is asked of it for that.
#[tokio::test(start_paused = true)]
async fn that_a_part_has_its_name_is_one_sign_of_life_of_each_host() {
    let group = telling(&["a", "b", "c"], 3).await;
    // The first report of an agent's life reads what there is.
    group.snapshot().await.unwrap();
    group.settled().await;
    let before = group.store.transactions();
    let ended = group.snapshot().await.unwrap();
    assert_eq!(ended.verdict.outcome, Outcome::Complete, "{:?}", ended.verdict.reason);
    let members = || ended.verdict.members.keys().cloned();
    let behind = until_settled(&group.store, &keys(), ended.epoch, members(), seconds(1.0)).await;
    assert!(behind.is_empty(), "{behind:?}");
    tokio::time::sleep(seconds(14.0)).await;
    assert_eq!(group.store.transactions() - before, (3 * 3 + 4) + 3);
    // Who asks later hears it at once, and an older one is settled too.
    let first = until_settled(&group.store, &keys(), ended.epoch, members(), seconds(0.1)).await;
    assert!(first.is_empty(), "{first:?}");
}

/// Who does not say it is named, whatever else he says, and the next agent says it for the one before.
#[tokio::test(start_paused = true)]
async fn who_has_not_settled_is_named_until_his_next_agent_says_so() {
    let mut group = telling(&["a"], 2).await;
    let ended = group.snapshot().await.unwrap();
    let members = || ended.verdict.members.keys().cloned();
    let store = group.store.clone();
    let keys = keys();
    let behind = || until_settled(&store, &keys, ended.epoch, members(), seconds(30.0));
    assert_eq!(Vec::from_iter(behind().await), [name("b")]);
    group.host("b").counts = Some(seconds(15.0));
    group.host("b").restart(&store).await;
    assert!(behind().await.is_empty());
    // Nobody can answer: the limit is one all the same.
    let silent = group.store.link();
    silent.cut_requests(true);
    let behind = until_settled(&silent, &keys, ended.epoch, members(), seconds(3.0)).await;
    assert_eq!(behind.len(), 2);
}
