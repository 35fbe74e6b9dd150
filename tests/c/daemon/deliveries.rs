//! Deliveries that are cut short: by SIGKILL, and by a shutdown.

use super::scene::{Answered, Kind, Scene, send};
use crate::common::{at_once, ms, must, until};
use nix::sys::signal::Signal;
use std::fs;
use std::io::Write;
use stillpoint::Barrier;

#[test]
fn a_child_killed_inside_is_noticed_and_replaced() {
    let scene = Scene::new();
    for (kind, epoch) in [(Kind::Prefork, 1), (Kind::Threads, 2)] {
        let daemon = scene.daemon(kind);
        let mut other = (kind == Kind::Prefork).then(|| daemon.client());
        let lock = scene.lock("alice");
        let mut client = daemon.client();
        client.begin(&["alice"]).unwrap();
        client.finish("Subject: never").unwrap();
        let inside = scene.inside(1);
        send(inside[0], Signal::SIGKILL);
        client.expect_end();
        daemon.hear(&format!("child {} was ended by signal 9", inside[0]));
        assert_eq!(scene.epoch(), epoch);
        if let Some(other) = &mut other {
            other.deliver("bob", "Subject: the others go on");
        }
        drop(lock);
        daemon.client().deliver("alice", "Subject: once more");
        scene.assert_consistent();
        assert_eq!(scene.copies("alice", "Subject: never"), 0);
        assert!(!daemon.all_children().contains(&inside[0]));

        let mut recover = scene.stillpoint();
        recover.args(["recover", "mail", "--"]).arg(scene.maildropd().get_program());
        must(recover.arg("--repair").arg(&scene.store).arg("mail"));
        assert_eq!(scene.status()["dirty"]["acknowledged"], epoch);
        daemon.stop();
    }
}

#[test]
fn nothing_answered_is_lost_in_a_storm_of_kills() {
    let scene = Scene::new();
    for kind in [Kind::Prefork, Kind::Threads] {
        let daemon = scene.daemon(kind);
        // However long that takes on a busy machine.
        let storm = |answered: &Answered| {
            let mut round = 0;
            until("twelve kills, and twenty answers", || {
                std::thread::sleep(ms(50 + round * 7));
                let children = daemon.children();
                // The master may be about to start the next one.
                if let Some(pid) = children.get(round as usize % children.len().max(1)) {
                    send(*pid, Signal::SIGKILL);
                }
                round += 1;
                round >= 12 && answered.lock().unwrap().len() > 20
            });
        };
        let ((), answered) = daemon.under_load(storm);
        scene.assert_delivered(&answered);
        let mut recover = scene.stillpoint();
        recover.args(["recover", "mail", "--"]).arg(scene.maildropd().get_program());
        must(recover.arg("--repair").arg(&scene.store).arg("mail"));
        scene.assert_consistent();
        scene.assert_delivered(&answered);
        daemon.stop();
    }
}

#[test]
fn the_next_delivery_sets_right_what_one_has_left() {
    let scene = Scene::new();
    let daemon = scene.daemon(Kind::Prefork);
    let mut client = daemon.client();
    let alice = scene.store.join("alice");
    let append = |text: &str| {
        let mut index = fs::File::options().append(true).open(alice.join("index")).unwrap();
        index.write_all(text.as_bytes()).unwrap();
    };
    client.deliver("alice", "Subject: 1");
    fs::write(alice.join("messages/2"), "a message that the index does not know").unwrap();
    client.deliver("alice", "Subject: 2");
    scene.assert_consistent();

    append("half a line");
    fs::write(alice.join("messages/3"), "another").unwrap();
    client.deliver("alice", "Subject: 3");
    scene.assert_consistent();

    let index = fs::read_to_string(alice.join("index")).unwrap();
    fs::copy(alice.join("messages/3"), alice.join("messages/4")).unwrap();
    append(&index.lines().last().unwrap().replacen("0000000003", "0000000004", 1));
    append("\n");
    client.deliver("alice", "Subject: 5");
    scene.assert_consistent();
    assert_eq!(scene.copies("alice", "Subject: 3"), 2);
    daemon.stop();
}

#[test]
fn a_shutdown_finishes_deliveries_and_waits_for_nobody() {
    let scene = Scene::new();
    for kind in [Kind::Prefork, Kind::Threads] {
        let daemon = scene.daemon(kind);
        let mut idle = daemon.client();
        let mut stalled = daemon.client();
        stalled.begin(&["bob"]).unwrap();
        stalled.write("Subject: half a mess").unwrap();
        let lock = scene.lock("alice");
        let mut client = daemon.client();
        client.begin(&["alice"]).unwrap();
        client.finish("Subject: in time").unwrap();
        scene.inside(1);
        daemon.signal(Signal::SIGTERM);
        for client in [&mut idle, &mut stalled] {
            assert!(client.hear().unwrap().starts_with("421 4.3.2"));
            client.expect_end();
        }
        drop(lock);
        assert!(client.hear().unwrap().starts_with("250 "));
        assert!(client.hear().unwrap().starts_with("421 4.3.2"));
        let status = daemon.wait();
        assert!(status.success(), "{status}");
        scene.assert_consistent();
        assert_eq!(scene.copies("alice", "Subject: in time"), 1);
        assert_eq!(scene.copies("bob", "Subject: half a mess"), 0);
        fs::remove_dir_all(scene.store.join("alice")).unwrap();
        must(scene.maildropd().args(["--add", "alice"]).arg(&scene.store).arg("mail"));
    }
    assert_eq!(scene.status()["writers"], serde_json::json!([]));
    assert_eq!(scene.epoch(), 0);
}

#[test]
fn a_shutdown_does_not_wait_for_the_end_of_a_snapshot() {
    let scene = Scene::new();
    let daemon = scene.daemon(Kind::Threads);
    let mut client = daemon.client();
    client.deliver("alice", "Subject: before");
    let barrier = Barrier::open(scene.path("mail.barrier")).unwrap();
    let pause = barrier.exclusive(&mut at_once(1000)).unwrap();
    client.begin(&["alice"]).unwrap();
    client.finish("Subject: meanwhile").unwrap();
    until("a writer waiting", || {
        let status = scene.status();
        status["writers"].as_array().unwrap().iter().any(|writer| !writer["waiting_ms"].is_null())
    });
    daemon.signal(Signal::SIGTERM);
    assert_eq!(client.hear().unwrap(), "451 4.3.2 closed for a snapshot, come back");
    let status = daemon.wait();
    assert!(status.success(), "{status}");
    pause.release().unwrap();
    assert_eq!(scene.copies("alice", "Subject: meanwhile"), 0);
    scene.assert_consistent();
    assert_eq!(scene.epoch(), 0);
}

#[test]
fn children_end_with_their_master() {
    let scene = Scene::new();
    for kind in [Kind::Prefork, Kind::Threads] {
        let daemon = scene.daemon(kind);
        let mut client = daemon.client();
        client.deliver("alice", "Subject: before");
        daemon.signal(Signal::SIGKILL);
        assert!(client.hear().unwrap().starts_with("421 "));
        drop(daemon);
        until("no writers", || scene.status()["writers"] == serde_json::json!([]));
        assert_eq!(scene.epoch(), 0);
    }
    scene.assert_consistent();
}
