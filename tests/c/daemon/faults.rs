//! A share that is forgotten, and the assertions that find it.

use super::scene::{Kind, Scene};
use crate::common::root;
use std::fs;

#[test]
fn a_leaked_share_ends_the_child_that_leaked_it() {
    let scene = Scene::new();
    for (kind, epoch) in [(Kind::Prefork, 1), (Kind::Threads, 2)] {
        let daemon = scene.daemon_with(kind, |command| {
            command.args(["--leak", "carol"]);
        });
        let before = daemon.all_children();
        let mut client = daemon.client();
        client.deliver("alice", "Subject: no leak");
        client.deliver("carol", "Subject: a leak");
        client.expect_end();
        let said = daemon.hear("a share is held here (depth 1), taken at ");
        assert_stands_at(&said, "lmtp.c", "stillpoint_assert_not_held(");
        let taken = said.split("taken at ").nth(1).unwrap();
        assert_stands_at(taken, "mailbox.c", "stillpoint_timedlock_shared(");
        let pid = said.split(['[', ']']).nth(1).unwrap().parse().unwrap();
        assert!(before.contains(&pid), "{before:?} {said}");
        daemon.hear(&format!("child {pid} was ended by signal 6"));
        daemon.client().deliver("bob", "Subject: the next one");
        assert!(!daemon.all_children().contains(&pid));
        assert_eq!(scene.epoch(), epoch);
        daemon.stop();
    }
    scene.assert_consistent();
}

#[test]
fn a_leaked_share_that_is_only_logged_shows_in_the_status() {
    let scene = Scene::new();
    for kind in [Kind::Prefork, Kind::Threads] {
        let daemon = scene.daemon_with(kind, |command| {
            command.args(["--leak", "carol"]).env("STILLPOINT_ASSERT", "log");
        });
        let mut client = daemon.client();
        client.deliver("carol", "Subject: a leak");
        client.expect("NOOP", "250 ");
        daemon.hear("taken at ");
        let leaker = scene.inside(1)[0];
        assert!(daemon.all_children().contains(&leaker));

        let taken =
            scene.snapshot(["--attempts", "1", "--patience", "0", "--drain", "0.2", "--", "true"]);
        assert_eq!(taken.status.code(), Some(75), "{taken:?}");
        let said = String::from_utf8(taken.stderr).unwrap();
        assert!(said.contains(&leaker.to_string()) && said.contains("maildropd"), "{said}");

        client.expect("QUIT", "221 ");
        let check = match kind {
            Kind::Prefork => "stillpoint_assert_not_held(",
            Kind::Threads => "stillpoint_assert_idle(",
        };
        assert_stands_at(&daemon.hear("server.c:"), "server.c", check);
        daemon.stop();
    }
    scene.assert_consistent();
}

/// The text begins with the place of a line of the daemon's source, in which this stands.
#[track_caller]
fn assert_stands_at(text: &str, file: &str, what: &str) {
    let mut place = text.split([':', ' ']);
    let (path, line) = (place.next().unwrap(), place.next().unwrap());
    assert_eq!(path.rsplit('/').next().unwrap(), file, "{text}");
    let source = fs::read_to_string(root().join("tests/c/daemon").join(file)).unwrap();
    let line: usize = line.parse().unwrap();
    let found = source.lines().nth(line - 1).unwrap();
    assert!(found.contains(what), "{file}:{line}: {found}");
}
