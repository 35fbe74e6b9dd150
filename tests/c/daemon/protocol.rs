//! LMTP as clients speak it, and as they should not.

use super::scene::{Kind, Scene};
use super::{client::Client, oracle};
use crate::common::{is_root, must, until};
use nix::unistd::{User, chown};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

/// The daemon under gcc's sanitizers; `Daemon::wait` looks for what they say.
fn sanitized() -> Scene {
    Scene::with(&["-fsanitize=address,undefined"], None)
}

#[test]
fn a_session_as_it_should_be() {
    let scene = sanitized();
    let daemon = scene.daemon(Kind::Threads);
    let mut client = Client::connect(daemon.port()).unwrap();
    client.expect("MAIL FROM:<a@example.org>", "503 5.5.1");
    client.expect("lhlo client.example.org", "250 SIZE ");
    client.expect("DATA", "503 5.5.1");
    client.expect("RCPT TO:<alice>", "503 5.5.1");
    client.expect("MAIL FROM:<> SIZE=100 BODY=8BITMIME", "250 2.1.0");
    client.expect("MAIL FROM:<b@example.org>", "503 5.5.1");
    client.expect("RCPT TO:<nobody@example.org>", "550 5.1.1");
    client.expect("DATA", "503 5.5.1 no valid recipients");
    client.expect("RCPT TO:<alice@example.org>", "250 2.1.5");
    client.expect("RCPT TO:<alice@example.org>", "250 2.1.5");
    client.expect("VRFY alice", "252 ");
    client.expect("NOOP", "250 ");
    client.expect("DATA", "354 ");
    // A line of any length, dots that are protected, line ends that are none.
    let long = "x".repeat(100_000);
    client
        .finish(&format!("Subject: dots\r\n\r\n..\r\n...\r\n..x\r\n\n.\n\r.\r\r\n{long}"))
        .unwrap();
    // One reply for each recipient, the same one twice included.
    for _ in 0..2 {
        assert!(client.hear().unwrap().starts_with("250 2.0.0"));
    }
    for message in oracle::messages(&scene.store, "alice") {
        let (head, text) = message.split_once("Subject: dots\r\n\r\n").unwrap();
        assert!(
            head.starts_with("Return-Path: <>\r\nReceived: by maildropd with LMTP; "),
            "{head}"
        );
        assert_eq!(text, format!(".\r\n..\r\n.x\r\n\n.\n\r.\r\r\n{long}\r\n"));
    }
    client.expect("RSET", "250 ");
    client.expect("DATA", "503 5.5.1");
    // Commands of two messages at once.
    client
        .write(
            "MAIL FROM:<a@b>\r\nRCPT TO:<bob>\r\nDATA\r\nSubject: 1\r\n.\r\n\
             MAIL FROM:<a@b>\r\nRCPT TO:<bob>\r\nRCPT TO:<zoe>\r\nDATA\r\n.\r\nQUIT\r\n",
        )
        .unwrap();
    let replies = [250, 250, 354, 250, 250, 250, 550, 354, 250, 221];
    for reply in replies {
        let found = client.hear().unwrap();
        assert!(found.starts_with(&reply.to_string()), "{found}");
    }
    client.expect_end();
    scene.assert_consistent();
    assert_eq!(oracle::messages(&scene.store, "bob").len(), 2);
    daemon.stop();
}

#[test]
fn clients_that_misbehave() {
    let scene = sanitized();
    let daemon = scene.daemon_with(Kind::Prefork, |command| {
        command.args(["--size", "5000", "--quota", "7000"]);
    });
    let mut client = daemon.client();
    for (command, reply) in [
        ("EHLO me", "500 5.5.1"),
        ("LHLO", "501 5.5.4"),
        ("", "500 5.5.1"),
        ("MAILFROM:<a@b>", "500 5.5.1"),
        ("MAIL FROM:a@b", "501 5.5.4"),
        ("MAIL FROM:<a@b", "501 5.5.4"),
        ("MAIL FROM:<a<b>", "501 5.5.4"),
        ("MAIL FROM:<a@b> NONSENSE", "555 5.5.4"),
        ("MAIL FROM:<a@b> SIZE=5001", "552 5.3.4"),
        ("MAIL FROM:<a@b> SIZE=5000", "250 "),
        ("RCPT TO:<>", "550 5.1.1"),
        ("RCPT TO:<../alice>", "550 5.1.1"),
        ("RCPT TO:<.>", "550 5.1.1"),
        ("RCPT TO:<alice/messages>", "550 5.1.1"),
        ("RCPT TO:<alice> ORCPT=x", "555 5.5.4"),
        ("RSET", "250 "),
    ] {
        client.expect(command, reply);
    }
    let long = "x".repeat(100_000);
    client.expect(&format!("MAIL FROM:<{long}>"), "500 5.5.2");
    client.expect("NOOP \0", "500 5.5.2");
    client.expect(&format!("RCPT TO:<{}>", "y".repeat(1000)), "503 ");

    // Too long, for both; then nearly too long; then too much.
    let too_long = client.send(&["alice", "bob"], &"a line\r\n".repeat(1000)).unwrap();
    assert!(too_long.iter().all(|reply| reply.starts_with("552 5.3.4")), "{too_long:?}");
    client.deliver("alice", &"z".repeat(4998));
    let full = client.send(&["alice", "bob"], &"z".repeat(4998)).unwrap();
    assert!(full[0].starts_with("552 5.2.2") && full[1].starts_with("250 "), "{full:?}");
    client.deliver("alice", "Subject: a short one still fits");

    // As many recipients as there may be, and one more.
    client.expect("MAIL FROM:<a@b>", "250 ");
    for _ in 0..100 {
        client.expect("RCPT TO:<carol>", "250 ");
    }
    client.expect("RCPT TO:<carol>", "452 4.5.3");

    // Garbage: after so many mistakes it is left alone.
    let mut garbage = daemon.client();
    garbage.write((0..=255).rev().cycle().take(100_000).collect::<Vec<u8>>()).ok();
    let mut last = String::new();
    while let Ok(reply) = garbage.hear() {
        last = reply;
    }
    assert!(last.starts_with("421 4.7.0") || last.starts_with("500 "), "{last}");

    // Half a command, half a message, a hang-up before the reply.
    for half in ["", "MA", "MAIL FROM:<a@b>\r\nRCPT TO:<dave>\r\nDATA\r\nSubject: half\r\n."] {
        daemon.client().write(half).unwrap();
    }
    let mut gone = daemon.client();
    gone.begin(&["dave", "dave"]).unwrap();
    gone.finish("Subject: whole").unwrap();
    drop(gone);
    until("a delivery", || scene.copies("dave", "Subject: whole") > 0);
    assert_eq!(scene.copies("dave", "Subject: half"), 0);
    client.expect("QUIT", "221 ");
    daemon.stop();
    scene.assert_consistent();
    assert_eq!(scene.epoch(), 0);
}

#[test]
fn a_client_may_not_be_silent_for_ever() {
    let scene = Scene::new();
    let daemon = scene.daemon_with(Kind::Threads, |command| {
        command.args(["--timeout", "1"]);
    });
    let mut silent = daemon.client();
    let mut stalled = daemon.client();
    stalled.begin(&["alice"]).unwrap();
    stalled.write("Subject: half").unwrap();
    for client in [&mut silent, &mut stalled] {
        assert!(client.hear().unwrap().starts_with("421 4.4.2"));
        client.expect_end();
    }
    assert_eq!(oracle::messages(&scene.store, "alice").len(), 0);
    daemon.stop();
}

#[test]
fn children_that_can_no_longer_reach_the_barrier_take_part() {
    if !is_root() {
        return;
    }
    let user = User::from_name("nobody").unwrap().unwrap();
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
    for kind in [Kind::Prefork, Kind::Threads] {
        let scene = Scene::with(&[], Some(place.path().join(format!("{kind:?}"))));
        let daemon = scene.daemon_with(kind, |command| {
            command.args(["--user", "nobody"]);
        });
        must(std::process::Command::new("chown").arg("-R").arg("nobody").arg(&scene.store));
        chown(&scene.store, Some(user.uid), Some(user.gid)).unwrap();
        // The barrier's folder, which holds the snapshots as well.
        let folder = scene.path("");
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();

        let lock = scene.lock("alice");
        let mut clients = [daemon.client(), daemon.client()];
        for client in &mut clients {
            client.begin(&["alice"]).unwrap();
            client.finish("Subject: from nobody").unwrap();
        }
        let pids = scene.inside(2);
        assert!(pids.iter().all(|pid| daemon.all_children().contains(pid)));
        for pid in pids {
            let owner = fs::metadata(format!("/proc/{pid}/status")).unwrap();
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            assert!(status.contains(&format!("Uid:\t{}\t", user.uid)), "{} {status}", owner.uid());
        }
        let taken =
            scene.snapshot(["--attempts", "1", "--patience", "0", "--drain", "0.2", "--", "true"]);
        assert_eq!(taken.status.code(), Some(75), "{taken:?}");
        drop(lock);
        for client in &mut clients {
            assert!(client.hear().unwrap().starts_with("250 "));
        }
        assert_eq!(oracle::contradictions(&scene.copy()), [""; 0]);
        daemon.stop();
        assert_eq!(scene.epoch(), 0);
    }
}
