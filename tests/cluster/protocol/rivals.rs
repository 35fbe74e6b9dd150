//! Two machines that want to be one host: one was cloned from the other, with its disk.

use stillpoint_cluster::record::verdict::Outcome;
use stillpoint_cluster::words::exit::Exit;
use tokio::time::sleep;

use crate::group::{Conducted, Group, Machine, seconds, slow};

fn clone_of(group: &Group, host: &str) -> Machine {
    let original = &group.hosts[host];
    let mut clone = Machine::new(&group.store, host);
    clone.boot = "another".to_owned();
    clone.machine = "clone.example.org".to_owned();
    let kept = original.notebook.kept.lock().unwrap().clone();
    *clone.notebook.kept.lock().unwrap() = kept;
    clone
}

#[tokio::test(start_paused = true)]
async fn neither_takes_part_until_one_is_stopped() {
    for stops_the_clone in [true, false] {
        let mut group = Group::of(2).await;
        let mut clone = clone_of(&group, "b");
        clone.start();
        group.settled().await;
        let refused = group.snapshot().await.unwrap_err();
        assert_eq!(refused.exit, Exit::CONFLICT);
        assert!(refused.text.starts_with("b: two machines have this name: b.example.org"));
        assert!(refused.text.contains(" and clone.example.org "), "{refused}");
        // However long they wait.
        sleep(seconds(120.0)).await;
        assert!(group.snapshot().await.is_err());
        let partial = group.conduct(|request| request.allow_missing = true).await.unwrap();
        assert_eq!(partial.verdict.outcome, Outcome::Partial);
        assert!(group.host("b").host.happened().is_empty());
        assert!(clone.host.happened().is_empty());
        match stops_the_clone {
            true => clone.stop().await,
            false => group.host("b").stop().await,
        }
        group.settled().await;
        assert_eq!(group.snapshot().await.unwrap().verdict.outcome, Outcome::Complete);
        assert_eq!(group.host("b").host.happened().is_empty(), !stops_the_clone);
        assert_eq!(clone.host.happened().is_empty(), stops_the_clone);
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_appears_in_the_middle_ends_the_epoch() {
    let mut group = Group::of(2).await;
    group.host("a").host.set_pace(slow(4.0));
    let conducted = Conducted::start(&group.store, |_| ());
    sleep(seconds(1.0)).await;
    let mut clone = clone_of(&group, "b");
    clone.start();
    let ended = conducted.ended().await.unwrap();
    assert_eq!(ended.verdict.outcome, Outcome::Aborted);
    let reason = ended.verdict.reason.unwrap().text;
    assert!(reason.starts_with("b: two machines have this name"), "{reason}");
    group.settled().await;
    group.check_gates();
}

#[tokio::test(start_paused = true)]
async fn a_host_that_booted_again_waits_for_its_own_old_place() {
    let mut group = Group::of(2).await;
    group.host("b").kill().await;
    group.host("b").boot = "another".to_owned();
    let store = group.store.clone();
    group.host("b").link = store.link();
    group.host("b").start();
    group.settled().await;
    let early = group.snapshot().await.unwrap_err();
    assert!(early.text.contains("it has it in a few seconds"), "{early}");
    sleep(seconds(11.0)).await;
    assert_eq!(group.snapshot().await.unwrap().verdict.outcome, Outcome::Complete);
}
