//! What a store may do to those who use it: forget, go back, answer late, hold values of another version.

use stillpoint_cluster::coordinator::recover::recent;
use stillpoint_cluster::host::simulated::{Happened, Pace};
use stillpoint_cluster::record::epoch::Mode;
use stillpoint_cluster::record::verdict::Outcome;
use stillpoint_cluster::store::{Store, Txn};
use stillpoint_cluster::words::exit::Exit;
use tokio::time::sleep;

use crate::group::{Conducted, Group, keys, last, seconds, slow};

#[tokio::test(start_paused = true)]
async fn a_store_that_went_back_cannot_have_an_epoch_obeyed_twice() {
    for is_restarted in [false, true] {
        let mut group = Group::of(2).await;
        let backup = group.store.backup();
        for _ in 0..3 {
            assert_eq!(group.snapshot().await.unwrap().verdict.outcome, Outcome::Complete);
        }
        group.settled().await;
        let before = group.host("a").host.happened();
        group.store.restore(&backup);
        if is_restarted {
            let store = group.store.clone();
            for name in ["a", "b"] {
                group.host(name).restart(&store).await;
            }
        }
        // Agents register again when they find their leases gone.
        sleep(seconds(30.0)).await;
        let ended = group.snapshot().await.unwrap();
        assert_eq!(ended.verdict.outcome, Outcome::Aborted);
        let reason = ended.verdict.reason.unwrap();
        assert!(reason.text.contains("which was obeyed before"), "{}", reason.text);
        assert!(reason.text.contains("--bump-revision"), "{}", reason.text);
        assert_eq!(group.host("a").host.happened(), before);
    }
}

/// Leases are in a backup too, and with them each host's sign of life, as it was then.
#[tokio::test(start_paused = true)]
async fn who_lives_on_in_a_store_that_went_back_takes_part_in_it() {
    let mut group = Group::of(2).await;
    let store = group.store.clone();
    for name in ["a", "b"] {
        group.host(name).counts = Some(seconds(0.5));
        group.host(name).restart(&store).await;
    }
    sleep(seconds(30.0)).await;
    let backup = store.backup();
    // Its agent counts a gate that is closed, and then one that is open.
    group.host("b").host.set_pace(slow(2.0));
    let last = group.snapshot().await.unwrap();
    assert_eq!(last.verdict.outcome, Outcome::Complete);
    group.settled().await;
    sleep(seconds(5.0)).await;
    store.restore_whole(&backup);
    sleep(seconds(5.0)).await;
    for count in 0..60 {
        let txn = Txn::new().put("elsewhere", count.to_string());
        let revision = store.commit(txn).await.unwrap().revision;
        if revision > last.epoch.0 as i64 {
            break;
        }
    }
    for _ in 0..2 {
        let ended = group.snapshot().await.unwrap();
        assert_eq!(ended.verdict.outcome, Outcome::Complete, "{:?}", ended.verdict.reason);
    }
}

#[tokio::test(start_paused = true)]
async fn changes_that_were_forgotten_are_made_up_for() {
    for at in [0.5, 1.5, 2.5] {
        let mut group = Group::of(3).await;
        group.host("b").host.set_pace(slow(2.0));
        let conducted = Conducted::start(&group.store, |_| ());
        sleep(seconds(at)).await;
        // Nobody hears of anything for a while, and then only what there is.
        for link in group.hosts.values().map(|machine| &machine.link).chain([&conducted.link]) {
            link.cut_answers(true);
        }
        sleep(seconds(0.3)).await;
        group.store.compact();
        for link in group.hosts.values().map(|machine| &machine.link).chain([&conducted.link]) {
            link.cut_answers(false);
        }
        let ended = conducted.ended().await;
        if at < 2.0 {
            let verdict = ended.unwrap().verdict;
            assert_eq!(verdict.outcome, Outcome::Complete, "{at}: {:?}", verdict.reason);
        }
        group.settled().await;
        group.check_gates();
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_answers_slowly_is_slow_and_no_more() {
    let group = Group::of(3).await;
    for machine in group.hosts.values() {
        machine.link.delay(seconds(0.2));
    }
    let ended = group.snapshot().await.unwrap();
    assert_eq!(ended.verdict.outcome, Outcome::Complete, "{:?}", ended.verdict.reason);
    sleep(seconds(5.0)).await;
    group.check_gates();
}

#[tokio::test(start_paused = true)]
async fn what_another_version_wrote_is_refused_and_not_guessed_at() {
    for protocol in [1, 3] {
        let mut group = Group::of(2).await;
        // A host of another version.
        let key = keys().live(&group.host("b").name.clone());
        let live = group.store.range(&key).await.unwrap().entries.remove(0).value;
        let foreign = String::from_utf8(live).unwrap();
        let foreign =
            foreign.replace("\"protocol\":2", &format!("\"protocol\":{protocol}")).into_bytes();
        group.store.commit(Txn::new().put(key, foreign)).await.unwrap();
        let refused = group.snapshot().await.unwrap_err();
        let said = format!("it speaks protocol {protocol}, and this version 2");
        assert!(refused.text.starts_with(&format!("b: {said}")), "{refused}");
        assert!(refused.text.contains("install the same version"), "{refused}");
        assert!(group.host("a").host.happened().is_empty());
        // A coordinator of one, in a phase that there was or will be.
        let group = Group::of(2).await;
        let epoch = format!(
            r#"{{"protocol":{protocol},"phase":"snap","mode":"early","prepare_ms":1,"drain_ms":1,"hold_ms":1,"coordinator":"x","nonce":"y"}}"#
        );
        group.store.commit(Txn::new().put(keys().epoch(), epoch)).await.unwrap();
        assert_eq!(group.snapshot().await.unwrap_err().exit, Exit::CONFLICT);
        group.settled().await;
        let hosts = group.store.range(&keys().hosts()).await.unwrap();
        let reports = hosts.entries.iter().filter(|entry| entry.key.ends_with("/rep"));
        let reports: Vec<String> =
            reports.map(|entry| String::from_utf8_lossy(&entry.value).into()).collect();
        assert_eq!(reports.len(), 2);
        for report in reports {
            assert!(report.contains("\"step\":\"f\"") && report.contains(&said), "{report}");
        }
        assert!(group.hosts["a"].host.happened().is_empty());
    }
}

/// What an agent of another version reports ends the epoch before any gate is closed.
#[tokio::test(start_paused = true)]
async fn a_report_of_another_version_ends_the_epoch() {
    let mut group = Group::of(2).await;
    let preparing = Pace { prepare: seconds(5.0), ..Pace::default() };
    group.host("b").host.set_pace(preparing);
    let conducted = Conducted::start(&group.store, |_| ());
    sleep(seconds(1.0)).await;
    let key = keys().report(&group.host("b").name.clone());
    let report = r#"{"protocol":1,"epoch":7,"phase":"p","ok":true}"#;
    group.store.commit(Txn::new().put(key, report)).await.unwrap();
    let verdict = conducted.ended().await.unwrap().verdict;
    assert_eq!(verdict.outcome, Outcome::Aborted);
    let reason = verdict.reason.unwrap().text;
    assert!(reason.starts_with("b: its report: it speaks protocol 1"), "{reason}");
    assert_eq!(group.host("a").host.longest(), seconds(0.0));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ran_out_wrongly_ends_the_epoch_and_no_more() {
    let mut group = Group::of(2).await;
    group.host("b").host.set_pace(slow(4.0));
    let conducted = Conducted::start(&group.store, |_| ());
    sleep(seconds(1.0)).await;
    let id = last(&group.store).await;
    // That of the coordinator: its key goes, and nobody else notices anything.
    let deleted = Txn::new().delete(keys().epoch());
    group.store.commit(deleted).await.unwrap();
    let ended = conducted.ended().await.unwrap();
    assert_eq!(ended.verdict.outcome, Outcome::Aborted);
    assert_eq!(ended.verdict.reason.unwrap().exit, Exit::CONFLICT.code());
    group.settled().await;
    group.check_gates();
    assert!(!group.host("b").host.happened().contains(&Happened::Released(id)));
    // That of an agent.
    let conducted = Conducted::start(&group.store, |_| ());
    sleep(seconds(1.0)).await;
    let live = keys().live(&group.host("b").name.clone());
    group.store.commit(Txn::new().delete(live)).await.unwrap();
    let ended = conducted.ended().await.unwrap();
    assert_eq!(ended.verdict.outcome, Outcome::Aborted);
    // It registers again.
    group.settled().await;
    assert_eq!(group.snapshot().await.unwrap().verdict.outcome, Outcome::Complete);
}

#[tokio::test(start_paused = true)]
async fn who_has_a_certificate_waits_for_no_verdict_that_cannot_come() {
    for is_lost in [false, true] {
        let mut group = Group::of(2).await;
        let backup = group.store.backup();
        group.host("b").host.set_pace(slow(4.0));
        let conducted = Conducted::start(&group.store, |request| request.mode = Mode::Early);
        sleep(seconds(1.0)).await;
        let id = last(&group.store).await;
        assert!(group.host("a").host.happened().contains(&Happened::Released(id)));
        conducted.kill().await;
        if is_lost {
            group.store.restore(&backup);
        }
        sleep(seconds(120.0)).await;
        assert!(group.verdict(id).await.is_none());
        // The coordinator's key is gone, and took all verdicts but one with it. A store that never heard of the epoch
        // may have forgotten any: then nothing is thrown away.
        let settled = Happened::Settled(id, Outcome::Aborted);
        assert_eq!(group.host("a").host.happened().contains(&settled), !is_lost);
        assert_eq!(group.host("a").remembered().waiting.is_empty(), !is_lost);
        group.check_gates();
    }
}

#[tokio::test(start_paused = true)]
async fn the_verdicts_of_the_last_hundred_epochs_are_kept() {
    let group = Group::of(1).await;
    let mut epochs = Vec::new();
    for _ in 0..104 {
        epochs.push(group.snapshot().await.unwrap().epoch);
    }
    let verdicts = group.store.range(&keys().verdicts()).await.unwrap().entries.len();
    assert_eq!(verdicts, 101);
    assert!(group.verdict(epochs[2]).await.is_none());
    assert!(group.verdict(epochs[3]).await.is_some());
    epochs.reverse();
    epochs.truncate(101);
    assert_eq!(recent(&group.store, &keys()).await.unwrap(), epochs);
}
