//! Hosts whose part is made by the command `stillpoint`: real barriers, real children, a store in memory.

pub mod machine;

use std::future::pending;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use stillpoint_cluster::agent::notebook::{MemoryNotebook, Remembered};
use stillpoint_cluster::agent::settings::{Log, Settings};
use stillpoint_cluster::agent::{self, Totals};
use stillpoint_cluster::coordinator;
use stillpoint_cluster::host::{Host, Session};
use stillpoint_cluster::record::epoch::Mode;
use stillpoint_cluster::record::identity::{EpochId, Incarnation};
use stillpoint_cluster::record::verdict::Outcome;
use stillpoint_cluster::roster;
use stillpoint_cluster::store::fake::Fake;

use self::machine::{Machine, verdict};
use crate::group::{change, keys, name, request, seconds};

#[tokio::test]
async fn a_part_goes_all_its_steps() {
    let machine = Machine::new("a");
    let order = machine.order(7);
    let mut session = machine.host().prepare(&order).await.unwrap();
    session.freeze().await.unwrap();
    assert!(machine.is_closed());
    let taken = session.snapshot().await.unwrap();
    assert_eq!(taken.name, "mail-7");
    let certificate = session.release().await.unwrap();
    assert!(!machine.is_closed());
    assert!(certificate.clean && certificate.generations == [1], "{certificate:?}");
    assert!(certificate.pause_ms >= certificate.hold_ms && certificate.hold_ms > 0);
    assert_eq!(certificate.more["snapshot"], "mail-7");
    assert_eq!(machine.latest(), None);
    session.settle(&verdict(7, Outcome::Complete)).await.unwrap();
    assert_eq!(machine.latest().as_deref(), Some("mail-7"));
    let manifest = machine.manifest("mail-7");
    assert_eq!(manifest["group"]["members"]["a"]["name"], "mail-7");
    assert_eq!(manifest["group"]["nonce"], "nonce-7");
}

/// Whoever drops it, or dies, leaves an open gate at once, and nothing that could be taken for a snapshot.
#[tokio::test]
async fn a_session_that_is_dropped_opens_its_gate() {
    let machine = Machine::new("a");
    for step in 0..3 {
        let order = machine.order(step);
        let mut session = machine.host().prepare(&order).await.unwrap();
        if step > 0 {
            session.freeze().await.unwrap();
        }
        if step > 1 {
            session.snapshot().await.unwrap();
        }
        let dropped = Instant::now();
        drop(session);
        machine.until_open().await;
        assert!(dropped.elapsed() < seconds(5.0), "{:?}", dropped.elapsed());
        machine.until_ended(&order.name()).await;
        // Which is what its host is told of it.
        machine.host().settle(order.epoch, &verdict(step, Outcome::Aborted)).await.unwrap();
    }
    assert_eq!(machine.snapshots(), [""; 0]);
}

#[tokio::test]
async fn a_child_that_dies_or_stops_is_a_failure_in_time() {
    let machine = Machine::new("a");
    let mut session = machine.host().prepare(&machine.order(1)).await.unwrap();
    session.freeze().await.unwrap();
    kill(machine.child("mail-1"), Signal::SIGKILL).unwrap();
    let failed = session.snapshot().await.unwrap_err();
    assert!(failed.text.contains("signal: 9"), "{failed:?}");
    // Whoever comes first opens what a dead one has closed.
    machine.write();
    let order = machine.order(2);
    let mut session = machine.host().prepare(&order).await.unwrap();
    session.freeze().await.unwrap();
    let child = machine.child("mail-2");
    kill(child, Signal::SIGSTOP).unwrap();
    assert!(timeout(seconds(0.3), session.snapshot()).await.is_err());
    drop(session);
    // Nobody of it can run; those who wait open the gate at the limit.
    let waited = Instant::now();
    machine.write();
    assert!(waited.elapsed() < order.drain + order.hold + seconds(5.0));
    kill(child, Signal::SIGCONT).unwrap();
    machine.until_ended("mail-2").await;
    assert_eq!(machine.snapshots(), [""; 0]);
}

#[tokio::test]
async fn what_was_certified_is_told_its_verdict_later() {
    let machine = Machine::new("a");
    for (epoch, outcome) in [(1, Outcome::Complete), (2, Outcome::Aborted), (3, Outcome::Partial)] {
        machine.certify(epoch).await;
        let host = machine.host();
        host.settle(EpochId(epoch), &verdict(epoch, outcome)).await.unwrap();
        // As often as it is said.
        host.settle(EpochId(epoch), &verdict(epoch, outcome)).await.unwrap();
        let other = if outcome == Outcome::Aborted { Outcome::Complete } else { Outcome::Aborted };
        let failed = host.settle(EpochId(epoch), &verdict(epoch, other)).await.unwrap_err();
        assert_eq!(failed.exit, 65, "{failed:?}");
        let manifest = machine.manifest(&format!("mail-{epoch}"));
        assert_eq!(manifest["clean"], outcome == Outcome::Complete);
    }
    assert_eq!(machine.snapshots(), ["mail-1", "mail-3"]);
    let host = machine.host();
    host.settle(EpochId(9), &verdict(9, Outcome::Aborted)).await.unwrap();
    let failed = host.settle(EpochId(9), &verdict(9, Outcome::Complete)).await.unwrap_err();
    assert_eq!(failed.exit, 66, "{failed:?}");
}

#[tokio::test]
async fn a_failure_says_who_and_why() {
    let machine = Machine::new("a");
    let writer = machine.writer();
    let mut order = machine.order(1);
    order.drain = seconds(0.1);
    let mut session = machine.host().prepare(&order).await.unwrap();
    let failed = session.freeze().await.unwrap_err();
    assert!(failed.text.contains("slowpoke") && failed.exit == 75, "{failed:?}");
    drop((session, writer));
    let failed = machine.job("nothing").prepare(&machine.order(2)).await.unwrap_err();
    assert!(failed.text.contains("nothing") && failed.exit == 66, "{failed:?}");
    let failed = machine.by("/no/such/program").prepare(&machine.order(3)).await.unwrap_err();
    assert!(failed.text.contains("/no/such/program") && failed.exit == 69, "{failed:?}");
    // It is no command of ours, and says nothing.
    let failed = machine.by("/bin/true").prepare(&machine.order(4)).await.unwrap_err();
    assert!(failed.text.contains("`prepared` was expected"), "{failed:?}");
    let failed = machine.by("/bin/echo").prepare(&machine.order(5)).await.unwrap_err();
    assert!(failed.text.contains("said \"snapshot --coordinated"), "{failed:?}");
}

#[tokio::test]
async fn barriers_are_counted_by_name() {
    let machine = Machine::new("a");
    let writer = machine.writer();
    for host in [machine.host(), machine.job("mail")] {
        let counted = host.counts().await;
        let [count] = counted.as_slice() else { panic!("{counted:?}") };
        assert!(count.barrier.ends_with("mail.barrier"), "{count:?}");
        assert_eq!((count.closed, count.shares, count.error.as_deref()), (false, 1, None));
    }
    drop(writer);
}

/// Three machines, their agents, and who conducts them.
#[tokio::test]
async fn a_group_has_one_snapshot_of_one_moment() {
    let store = Fake::new();
    let machines = ["a", "b", "c"].map(Machine::new);
    let mut agents = Vec::new();
    for (number, machine) in machines.iter().enumerate() {
        let (host, uuid) = (name(&machine.name), format!("uuid-{number}"));
        roster::join(&store, &change(&machine.name), &uuid, &machine.name).await.unwrap();
        let settings = Settings {
            group: name("mail"),
            keys: keys(),
            host: host.clone(),
            machine: machine.name.clone(),
            incarnation: Incarnation { boot: "boot".to_owned(), agent: machine.name.clone() },
            lease: seconds(10.0),
            drain: seconds(10.0),
            hold: seconds(10.0),
            min_open: Duration::ZERO,
            counts: None,
            totals: Totals::default(),
            log: Log::none(),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let remembered = Remembered::new(uuid, name("mail"), host);
        // One of them by a job: what is configured is the host's own.
        let own = if number == 1 { machine.job("mail") } else { machine.host() };
        let task = tokio::spawn(agent::run(
            store.link(),
            own,
            MemoryNotebook::default(),
            remembered,
            settings,
            async move { drop(stopped.await) },
        ));
        agents.push((task, stop));
    }
    sleep(seconds(0.5)).await;
    for (mode, outcome) in [
        (Mode::HoldAll, Outcome::Complete),
        (Mode::Early, Outcome::Complete),
        (Mode::HoldAll, Outcome::Aborted),
    ] {
        let writer = (outcome == Outcome::Aborted).then(|| machines[2].writer());
        let mut request = request();
        request.mode = mode;
        let ended = coordinator::run(&store.link(), &request, pending(), |_| ()).await.unwrap();
        assert_eq!(ended.verdict.outcome, outcome, "{:?}", ended.verdict.reason);
        drop(writer);
        let snapshot = format!("mail-{}", ended.epoch);
        for machine in &machines {
            machine.until_ended(&snapshot).await;
            machine.until_open().await;
            let is_there = machine.snapshots().contains(&snapshot);
            assert_eq!(is_there, outcome == Outcome::Complete, "{mode}");
            if is_there {
                assert_eq!(machine.latest(), Some(snapshot.clone()));
                let group = &machine.manifest(&snapshot)["group"];
                assert_eq!(group["members"].as_object().unwrap().len(), 3, "{group}");
            }
        }
    }
    for (task, stop) in agents {
        let _ = stop.send(());
        task.await.unwrap().unwrap();
    }
}
