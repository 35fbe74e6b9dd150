//! The engine in memory: it does what every engine must, and fails as it is told to.

use std::time::Duration;

use stillpoint_cluster::store::fake::Fake;
use stillpoint_cluster::store::{Event, Guard, Store, StoreError, Txn};
use tokio::time::timeout;

use crate::conformance::{Engine, SOON, all_told, next, told};

fn engine() -> Engine<Fake> {
    Engine { store: Fake::new(), root: "/stillpoint/test/".to_string() }
}

with_demands!(test_each, tokio::test(start_paused = true), engine());

/// Puts `value` where nothing is yet.
fn first(it: &Engine<Fake>, name: &str, value: &str) -> Txn {
    Txn::new().guard(Guard::Absent(it.key(name))).put(it.key(name), value)
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_got_lost_is_found_out() {
    let it = engine();
    for losses in 1..4 {
        it.store.lose_answers(losses);
        let name = format!("verdict/{losses}");
        let outcome = it.commit(first(&it, &name, "mine").read(it.key(&name))).await;
        assert!(outcome.committed, "its own writing was taken for that of another");
        assert_eq!(outcome.views.len(), 1);
        assert_eq!(outcome.views[0].entries.len(), 1);
    }
    // Where another one was first, that is the truth, whatever got lost.
    it.put("verdict/9", "another's").await;
    it.store.lose_answers(2);
    assert!(!it.commit(first(&it, "verdict/9", "mine")).await.committed);
    // An equal value that was there before is not ours either.
    it.put("verdict/10", "mine").await;
    it.store.lose_answers(2);
    assert!(!it.commit(first(&it, "verdict/10", "mine")).await.committed);
    // Of a deletion there is nothing to see but that it is done.
    it.put("epoch", "1").await;
    let created = it.view("epoch").await.entries[0].created;
    it.store.lose_answers(1);
    let end = Txn::new().guard(Guard::Created(it.key("epoch"), created)).delete(it.key("epoch"));
    assert!(it.commit(end).await.committed);
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_it_is_said_whether_it_may_have_been_done() {
    let mut it = engine();
    it.store = it.store.patient(Duration::from_secs(3));
    it.store.refuse(true);
    let refused = it.store.commit(first(&it, "a", "1")).await;
    assert!(matches!(refused, Err(StoreError::Unreachable(_))), "{refused:?}");
    it.store.refuse(false);
    it.store.cut_answers(true);
    let cut = it.store.commit(first(&it, "b", "1")).await;
    assert!(matches!(cut, Err(StoreError::Unknown(_))), "{cut:?}");
    let only_read = it.store.commit(Txn::new().read(it.key("b"))).await;
    assert!(matches!(only_read, Err(StoreError::Unreachable(_))), "{only_read:?}");
    it.store.cut_answers(false);
    assert_eq!((it.value("a").await, it.value("b").await), (None, Some("1".to_string())));
}

#[tokio::test(start_paused = true)]
async fn a_watch_goes_on_after_a_partition() {
    let it = engine();
    let other = Engine { store: it.store.link(), root: it.root.clone() };
    let before = it.put("h/a", "0").await;
    let mut watch = other.store.watch(&it.key("h/"), before);
    it.put("h/a", "1").await;
    assert_eq!(all_told(&mut watch, 1).await, ["a=1"]);
    for cut in [Fake::cut_answers, Fake::cut_requests, Fake::refuse] {
        cut(&other.store, true);
        it.put("h/a", "2").await;
        it.put("h/a", "3").await;
        assert!(timeout(Duration::from_secs(60), watch.next()).await.is_err());
        cut(&other.store, false);
        assert_eq!(all_told(&mut watch, 2).await, ["a=2", "a=3"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_forgotten_is_told_as_a_whole() {
    let it = engine();
    let other = it.store.link();
    let before = it.put("h/a", "0").await;
    let mut watch = other.watch(&it.key("h/"), before);
    timeout(SOON, watch.opened()).await.unwrap();
    other.cut_answers(true);
    it.put("h/a", "1").await;
    it.put("h/b", "1").await;
    it.store.compact();
    other.cut_requests(true);
    other.cut_answers(false);
    it.commit(Txn::new().delete(it.key("h/a"))).await;
    it.store.compact();
    other.cut_requests(false);
    let mut last = next(&mut watch).await;
    while !matches!(last, Event::Resynced(_)) {
        last = next(&mut watch).await;
    }
    assert_eq!(told(&last), "all: b=1");
    it.put("h/c", "2").await;
    assert_eq!(all_told(&mut watch, 1).await, ["c=2"]);
}

#[tokio::test(start_paused = true)]
async fn a_restored_backup_is_told_as_a_whole() {
    let it = engine();
    it.put("h/a", "old").await;
    let backup = it.store.backup();
    let before = it.put("h/a", "new").await;
    let mut watch = it.store.watch(&it.key("h/"), before);
    timeout(SOON, watch.opened()).await.unwrap();
    it.store.restore(&backup);
    assert_eq!(all_told(&mut watch, 1).await, ["all: a=old"]);
    assert!(it.put("h/a", "newer").await <= before, "the revision went back");
    assert_eq!(all_told(&mut watch, 1).await, ["a=newer"]);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ran_out_is_lost_only_when_the_engine_says_so() {
    let it = engine();
    let other = it.store.link();
    let lease = other.lease(Duration::from_secs(2)).await.unwrap();
    it.commit(Txn::new().put_leased(it.key("live"), "1", &lease)).await;
    other.cut_answers(true);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(it.value("live").await.is_some(), "what is asked for arrives, and is not heard of");
    other.cut_requests(true);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(it.value("live").await, None);
    assert!(timeout(Duration::from_secs(60), lease.lost()).await.is_err());
    other.cut_requests(false);
    other.cut_answers(false);
    timeout(SOON, lease.lost()).await.unwrap();
    lease.revoke().await.unwrap();
}

/// What is on its way when its sender gives up may still be done, unless its lease is revoked first.
#[tokio::test(start_paused = true)]
async fn what_was_sent_may_arrive_later() {
    let it = engine();
    let slow = it.store.link();
    let lease = slow.lease(Duration::from_secs(60)).await.unwrap();
    slow.delay(Duration::from_secs(2));
    let begin = Txn::new().put_leased(it.key("epoch"), "1", &lease);
    let hurried = slow.patient(Duration::from_millis(500));
    let unknown = hurried.commit(begin.clone()).await;
    assert!(matches!(unknown, Err(StoreError::Unknown(_))), "{unknown:?}");
    assert_eq!(it.value("epoch").await, None);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(it.value("epoch").await.unwrap(), "1");

    it.commit(Txn::new().delete(it.key("epoch"))).await;
    let unknown = hurried.commit(begin).await;
    assert!(matches!(unknown, Err(StoreError::Unknown(_))), "{unknown:?}");
    slow.delay(Duration::ZERO);
    lease.revoke().await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(it.value("epoch").await, None);
}
