//! The real engine: three members of etcd. It does what every engine must, and the store on it outlives what goes
//! wrong with them.

use std::time::Duration;

use nix::sys::signal::Signal;
use stillpoint_cluster::store::etcd::{Etcd, Settings};
use stillpoint_cluster::store::{Event, Guard, Store, StoreError, Txn};
use tokio::time::{sleep, timeout};

use crate::conformance::{Engine, SOON, all_told, next, told};
use crate::proxy::Proxy;
use crate::servers::Servers;

fn engine(endpoints: &[String], name: &str) -> Engine<Etcd> {
    let store = Etcd::new(Settings::new(endpoints.iter().cloned())).unwrap();
    Engine { store, root: format!("/stillpoint/{name}/") }
}

#[tokio::test]
async fn it_does_what_every_engine_must() {
    let Some(servers) = Servers::start() else { return };
    let mut number = 0;
    let mut fresh = || {
        number += 1;
        engine(&servers.endpoints(), &format!("test{number}"))
    };
    let mut failed = Vec::new();
    for (demand, task) in with_demands!(spawn_all, fresh()) {
        if task.await.is_err() {
            failed.push(demand);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

/// Cut off in one direction or the other, each in turn, at one server only.
#[tokio::test]
async fn an_answer_that_got_lost_is_found_out() {
    let Some(servers) = Servers::start_with(1, &[]) else { return };
    let proxy = Proxy::to(&servers.endpoint(0)).await;
    let it = engine(std::slice::from_ref(&proxy.endpoint), "lost");
    let other = engine(&servers.endpoints(), "lost");
    it.put("begin", "1").await;
    let first = |value: &str| {
        Txn::new().guard(Guard::Absent(it.key("verdict"))).put(it.key("verdict"), value)
    };
    // The writing is done, and nobody hears of it for a while.
    proxy.cut_answers(true);
    let mend = async {
        while other.value("verdict").await.is_none() {
            sleep(Duration::from_millis(10)).await;
        }
        sleep(Duration::from_millis(1500)).await;
        proxy.cut_answers(false);
    };
    let (outcome, ()) = tokio::join!(it.commit(first("mine").read(it.key("verdict"))), mend);
    assert!(outcome.committed, "its own writing was taken for that of another");
    assert_eq!((outcome.views.len(), outcome.views[0].entries.len()), (1, 1));
    assert!(!it.commit(first("mine, again")).await.committed);

    // Nobody hears of it at all.
    it.commit(Txn::new().delete(it.key("verdict"))).await;
    let hurried = it.store.patient(Duration::from_millis(2500));
    proxy.cut_answers(true);
    let unknown = hurried.commit(first("unknown")).await;
    assert!(matches!(unknown, Err(StoreError::Unknown(_))), "{unknown:?}");
    let silent = hurried.range(&it.root).await;
    assert!(matches!(silent, Err(StoreError::Unreachable(_))), "{silent:?}");
    proxy.cut_answers(false);
    assert_eq!(other.value("verdict").await.unwrap(), "unknown");
}

#[tokio::test]
async fn a_watch_goes_on_after_a_partition() {
    let Some(servers) = Servers::start_with(1, &[]) else { return };
    let proxy = Proxy::to(&servers.endpoint(0)).await;
    let it = engine(std::slice::from_ref(&proxy.endpoint), "cut");
    let other = engine(&servers.endpoints(), "cut");
    let before = other.put("h/a", "0").await;
    let mut watch = it.store.watch(&it.key("h/"), before);
    other.put("h/a", "1").await;
    assert_eq!(all_told(&mut watch, 1).await, ["a=1"]);
    for cut in [Proxy::cut_answers, Proxy::cut_requests] {
        cut(&proxy, true);
        // It asks meanwhile, and gives up.
        sleep(Duration::from_secs(4)).await;
        other.put("h/a", "2").await;
        other.put("h/a", "3").await;
        cut(&proxy, false);
        assert_eq!(all_told(&mut watch, 2).await, ["a=2", "a=3"]);
    }
}

/// The watch is on the server that is stopped; the others elect a leader, if it was that one.
#[tokio::test]
async fn a_server_that_dies_or_hangs_has_another_one_asked() {
    let Some(mut servers) = Servers::start() else { return };
    let it = engine(&servers.endpoints(), "failover");
    let before = it.put("h/a", "0").await;
    let mut last = before;
    let mut watch = it.store.watch(&it.key("h/"), before);
    let lease = it.store.lease(Duration::from_secs(10)).await.unwrap();
    it.commit(Txn::new().put_leased(it.key("h/live"), "1", &lease)).await;
    assert_eq!(all_told(&mut watch, 1).await, ["live=1"]);
    for round in 0..4 {
        let leader = servers.wait_for_leader();
        let hangs = round % 2 == 0;
        match hangs {
            true => servers.signal(leader, Signal::SIGSTOP),
            false => servers.kill(leader),
        }
        let value = round.to_string();
        // Guarded, so that it is done once, however often it is tried.
        let put = Txn::new().guard(Guard::Modified(it.key("h/a"), last));
        let put = it.commit(put.put(it.key("h/a"), value.as_str()).read(it.key("h/a"))).await;
        assert!(put.committed);
        last = put.views[0].entries[0].modified;
        assert_eq!(all_told(&mut watch, 1).await, [format!("a={value}")]);
        match hangs {
            true => servers.signal(leader, Signal::SIGCONT),
            false => servers.start_member(leader),
        }
    }
    // No lease is lost by an election, and no event.
    assert_eq!(it.value("h/live").await.unwrap(), "1");
    lease.revoke().await.unwrap();
    assert_eq!(all_told(&mut watch, 1).await, ["live-"]);
}

#[tokio::test]
async fn without_a_quorum_nothing_is_said_and_with_one_it_goes_on() {
    let Some(mut servers) = Servers::start() else { return };
    let it = engine(&servers.endpoints(), "quorum");
    let before = it.put("h/a", "0").await;
    let mut watch = it.store.watch(&it.key("h/"), before);
    timeout(SOON, watch.opened()).await.unwrap();
    servers.kill(0);
    servers.kill(1);
    let hurried = it.store.patient(Duration::from_secs(3));
    let read = hurried.range(&it.root).await;
    assert!(matches!(read, Err(StoreError::Unreachable(_))), "{read:?}");
    let written = hurried.commit(Txn::new().put(it.key("h/a"), "1")).await;
    assert!(
        matches!(written, Err(StoreError::Unknown(_) | StoreError::Unreachable(_))),
        "{written:?}"
    );
    servers.start_member(0);
    it.put("h/a", "2").await;
    let mut last = told(&next(&mut watch).await);
    while last != "a=2" {
        assert_eq!(last, "a=1");
        last = told(&next(&mut watch).await);
    }
}

#[tokio::test]
async fn what_is_compacted_is_told_as_a_whole() {
    let Some(servers) = Servers::start_with(1, &[]) else { return };
    let it = engine(&servers.endpoints(), "compacted");
    let before = it.put("h/a", "0").await;
    it.put("h/a", "1").await;
    let last = it.put("h/b", "1").await;
    servers.ctl(&["compact", &last.to_string()]);
    let mut watch = it.store.watch(&it.key("h/"), before);
    assert_eq!(all_told(&mut watch, 1).await, ["all: a=1 b=1"]);
    it.put("h/c", "1").await;
    assert_eq!(all_told(&mut watch, 1).await, ["c=1"]);
}

#[tokio::test]
async fn a_restored_backup_is_told_as_a_whole() {
    let Some(mut servers) = Servers::start_with(1, &[]) else { return };
    let it = engine(&servers.endpoints(), "restored");
    it.put("h/a", "old").await;
    let backup = servers.folder.path().join("backup");
    servers.save(&backup);
    let mut before = 0;
    for _ in 0..50 {
        before = it.put("h/a", "new").await;
    }
    let mut watch = it.store.watch(&it.key("h/"), before);
    timeout(SOON, watch.opened()).await.unwrap();
    servers.restore(&backup);
    let told = next(&mut watch).await;
    assert!(matches!(told, Event::Resynced(_)), "{told:?}");
    assert!(it.put("h/a", "newer").await < before, "the revision went back");
    assert_eq!(all_told(&mut watch, 1).await, ["a=newer"]);
}

#[tokio::test]
async fn servers_that_are_not_there_are_waited_for_and_then_named() {
    let Some(mut servers) = Servers::start_with(1, &[]) else { return };
    servers.kill(0);
    let it = engine(&servers.endpoints(), "absent");
    let hurried = it.store.patient(Duration::from_secs(1));
    let error = hurried.range(&it.root).await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&servers.endpoint(0)) && text.contains("refused"), "{text}");
    let unsent = hurried.commit(Txn::new().put(it.key("a"), "1")).await;
    assert!(matches!(unsent, Err(StoreError::Unreachable(_))), "{unsent:?}");
    let mut watch = it.store.watch(&it.key("a"), 0);
    servers.start_member(0);
    it.put("a", "2").await;
    assert_eq!(all_told(&mut watch, 1).await, ["a=2"]);
}
