//! Who belongs to the group, and when that changes.

use stillpoint_cluster::host::simulated::Pace;
use stillpoint_cluster::record::verdict::Outcome;
use stillpoint_cluster::roster::{self, Changed};
use stillpoint_cluster::words::exit::Exit;
use tokio::time::{Instant, sleep};

use crate::group::{Conducted, Group, Machine, change, join, name, seconds, slow};

#[tokio::test(start_paused = true)]
async fn an_epoch_keeps_the_members_that_it_began_with() {
    let mut group = Group::of(2).await;
    group.host("b").host.set_pace(slow(2.0));
    let mut late = Machine::new(&group.store, "late");
    late.start();
    let conducted = Conducted::start(&group.store, |_| ());
    sleep(seconds(1.0)).await;
    let mut now = change("late");
    now.wait = seconds(0.0);
    let refused = roster::join(&group.store, &now, "u", "m").await.unwrap_err();
    assert_eq!(refused.exit, Exit::CONFLICT);
    assert!(
        refused.text.ends_with("is under way, and the roster changes only when none is; try again")
    );
    let (joined, ended) = tokio::join!(join(&group.store, &late), conducted.ended());
    assert_eq!(joined.unwrap(), Changed::Done);
    let ended = ended.unwrap();
    assert_eq!(ended.verdict.outcome, Outcome::Complete);
    assert_eq!(ended.verdict.members.len(), 2);
    assert!(late.host.happened().is_empty());
    group.settled().await;
    let ended = group.snapshot().await.unwrap();
    assert_eq!(ended.verdict.outcome, Outcome::Complete);
    assert_eq!(ended.verdict.members.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn to_join_and_to_leave_twice_is_to_do_it_once() {
    let mut group = Group::of(2).await;
    assert_eq!(join(&group.store, &group.hosts["a"]).await.unwrap(), Changed::WasSo);
    let leave = change("b");
    let uuid = group.host("b").uuid.clone();
    let other = roster::leave(&group.store, &leave, Some("another")).await.unwrap_err();
    assert_eq!(other.exit, Exit::USAGE);
    assert_eq!(roster::leave(&group.store, &leave, Some(&uuid)).await.unwrap(), Changed::Done);
    assert_eq!(roster::leave(&group.store, &leave, Some(&uuid)).await.unwrap(), Changed::WasSo);
    group.settled().await;
    let ended = group.snapshot().await.unwrap();
    assert_eq!(Vec::from_iter(ended.verdict.members.keys()), [&name("a")]);
    assert!(group.host("b").host.happened().is_empty());
}

/// The agent of the new number may be there, the one of the old number may not; and the group is never without the name.
#[tokio::test(start_paused = true)]
async fn who_takes_the_place_of_a_machine_has_it_in_one_step() {
    let mut group = Group::of(2).await;
    let store = group.store.clone();
    let take_over = |uuid: &'static str| {
        let store = store.clone();
        async move { roster::take_over(&store, &change("b"), uuid, "b.example.org").await }
    };
    let alive = take_over("another").await.unwrap_err();
    assert_eq!(alive.exit, Exit::CONFLICT);
    assert!(alive.text.contains("its agent is there"), "{alive}");
    group.host("b").kill().await;
    // As long as its lease runs, nobody knows that it is dead.
    assert_eq!(take_over("another").await.unwrap_err().exit, Exit::CONFLICT);
    group.host("b").uuid = "another".to_owned();
    group.host("b").notebook = Default::default();
    group.host("b").restart(&store).await;
    sleep(seconds(11.0)).await;
    assert_eq!(group.snapshot().await.unwrap_err().exit, Exit::CONFLICT);
    assert_eq!(take_over("another").await.unwrap(), Changed::Done);
    assert_eq!(take_over("another").await.unwrap(), Changed::WasSo);
    group.settled().await;
    let ended = group.snapshot().await.unwrap();
    assert_eq!(ended.verdict.outcome, Outcome::Complete, "{:?}", ended.verdict.reason);
    assert_eq!(ended.verdict.members.len(), 2);
    // Of a name that nobody has it is a joining like any other.
    let new = roster::take_over(&store, &change("new"), "u", "m").await.unwrap();
    assert_eq!(new, Changed::Done);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_nobody_knows_is_not_put_out() {
    let group = Group::of(2).await;
    let unknown = roster::evict(&group.store, &change("typo")).await.unwrap_err();
    assert_eq!(unknown.exit, Exit::MISSING);
    assert_eq!(unknown.text, "typo: there is no host of this name in the group; members are a, b");
}

#[tokio::test(start_paused = true)]
async fn a_name_is_one_machine_s() {
    let mut group = Group::of(2).await;
    // Installed anew, with the disk of nobody.
    group.host("b").kill().await;
    group.host("b").uuid = "another".to_owned();
    group.host("b").notebook = Default::default();
    let store = group.store.clone();
    let taken = join(&store, group.host("b")).await.unwrap_err();
    assert_eq!(taken.exit, Exit::CANNOT_CREATE);
    assert!(
        taken.text.starts_with("b: b.example.org joined by this name on now, and what it must")
    );
    sleep(seconds(11.0)).await;
    group.host("b").restart(&store).await;
    group.settled().await;
    let refused = group.snapshot().await.unwrap_err();
    assert!(
        refused.text.contains("does not have the number of the machine that joined"),
        "{refused}"
    );
    assert!(refused.text.contains("`join --fenced` takes its place"), "{refused}");
    // Not while its agent is there, which is no fenced host's.
    let alive = roster::evict(&store, &change("b")).await.unwrap_err();
    assert_eq!(alive.exit, Exit::CONFLICT);
    assert!(alive.text.contains("its agent is there"), "{alive}");
    group.host("b").stop().await;
    assert_eq!(roster::evict(&store, &change("b")).await.unwrap(), Changed::Done);
    assert_eq!(join(&store, group.host("b")).await.unwrap(), Changed::Done);
    group.host("b").start();
    group.settled().await;
    assert_eq!(group.snapshot().await.unwrap().verdict.outcome, Outcome::Complete);
}

#[tokio::test(start_paused = true)]
async fn who_is_not_there_is_missed_before_anybody_does_anything() {
    let mut group = Group::of(3).await;
    group.host("b").stop().await;
    let start = Instant::now();
    let missed = group.snapshot().await.unwrap_err();
    assert_eq!(missed.exit, Exit::CONFLICT);
    assert!(missed.text.starts_with("b: its agent is not there"), "{missed}");
    assert!(start.elapsed() < seconds(0.1));
    assert!(group.host("a").host.happened().is_empty());
    // What does without is never called complete.
    let ended = group.conduct(|request| request.allow_missing = true).await.unwrap();
    assert_eq!(ended.verdict.outcome, Outcome::Partial);
    assert_eq!(ended.verdict.missing, [name("b")]);
    assert_eq!(ended.verdict.members.len(), 2);
    // It comes back in the middle of one that does without it.
    group.host("c").host.set_pace(slow(2.0));
    let conducted = Conducted::start(&group.store, |request| request.allow_missing = true);
    sleep(seconds(1.0)).await;
    group.host("b").start();
    assert_eq!(conducted.ended().await.unwrap().verdict.outcome, Outcome::Partial);
    assert!(group.host("b").host.happened().is_empty());
    group.settled().await;
    assert_eq!(group.snapshot().await.unwrap().verdict.outcome, Outcome::Complete);
    // With nobody there it is no snapshot at all.
    for host in ["a", "b", "c"] {
        group.host(host).stop().await;
    }
    let nobody = group.conduct(|request| request.allow_missing = true).await.unwrap_err();
    assert!(nobody.text.ends_with("(and 2 more hosts)"), "{nobody}");
}

#[tokio::test(start_paused = true)]
async fn a_group_without_members_has_no_snapshots() {
    let group = Group::of(0).await;
    let empty = group.snapshot().await.unwrap_err();
    assert_eq!(empty.exit, Exit::MISSING);
    assert!(empty.text.contains("stillpoint-cluster join"), "{empty}");
}

#[tokio::test(start_paused = true)]
async fn a_dead_host_is_a_member_until_it_is_put_out() {
    let mut group = Group::of(2).await;
    group.host("b").host.set_pace(Pace::default());
    group.host("b").kill().await;
    sleep(seconds(600.0)).await;
    assert!(group.snapshot().await.is_err());
    assert_eq!(roster::evict(&group.store, &change("b")).await.unwrap(), Changed::Done);
    let ended = group.snapshot().await.unwrap();
    assert_eq!(ended.verdict.outcome, Outcome::Complete);
    // It was not dead after all: it is out, and learns that.
    let store = group.store.clone();
    group.host("b").restart(&store).await;
    group.settled().await;
    let ended = group.snapshot().await.unwrap();
    assert_eq!(ended.verdict.members.len(), 1);
    assert!(group.host("b").host.happened().is_empty());
}
