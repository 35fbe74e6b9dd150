//! What a snapshot shows while mail is delivered.

use super::oracle::contradictions;
use super::scene::{Daemon, Kind, MAILBOXES, Scene, path_of};
use crate::common::{Image, must, subvolume, until};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How many snapshots without the barrier are taken until one is torn; the first nearly always is.
const TRIES: usize = 50;

#[test]
fn copies_show_whole_deliveries_of_processes() {
    copies_show_whole_deliveries(Kind::Prefork);
}

#[test]
fn copies_show_whole_deliveries_of_threads() {
    copies_show_whole_deliveries(Kind::Threads);
}

fn copies_show_whole_deliveries(kind: Kind) {
    let scene = Scene::new();
    snapshots_show_whole_deliveries(&scene, kind, |round| match round {
        Some(round) if round % 2 == 0 => scene.copy(),
        Some(round) => {
            let target = scene.path(&format!("copy{round}"));
            path_of(&scene.snapshot(arguments(&["--", "cp", "-a"], &[&scene.store, &target])));
            target
        }
        None => {
            let target = scene.path("torn");
            must(Command::new("cp").arg("-a").args([&scene.store, &target]));
            target
        }
    });
}

#[test]
fn btrfs_shows_whole_deliveries() {
    let Some(image) = Image::btrfs() else { return };
    let [store, target] = ["store", "snapshots"].map(|name| image.path().join(name));
    subvolume(&store);
    fs::create_dir(&target).unwrap();
    let scene = Scene::with(&[], Some(store));
    snapshots_show_whole_deliveries(&scene, Kind::Threads, |round| match round {
        Some(round) => {
            let mut arguments = arguments(&["--btrfs"], &[&scene.store]);
            if round % 2 == 1 {
                arguments[0] = "--reflink".into();
            }
            arguments.extend(["--to".into(), target.clone().into_os_string()]);
            path_of(&scene.snapshot(arguments))
        }
        None => {
            let target = target.join("torn");
            let mut btrfs = Command::new("btrfs");
            must(btrfs.args(["subvolume", "snapshot"]).args([&scene.store, &target]));
            target
        }
    });
}

/// Takes snapshots while clients deliver, which must show whole deliveries; and some without the
/// barrier (no round), one of which does not.
fn snapshots_show_whole_deliveries(
    scene: &Scene,
    kind: Kind,
    take: impl Fn(Option<usize>) -> PathBuf,
) {
    let daemon = scene.daemon_with(kind, |command| {
        command.args(["--slow", "10"]);
    });
    let seen = under_load(scene, &daemon, || {
        let go_on = || {
            let goal = messages(&scene.store) + 8;
            until("deliveries going on", || messages(&scene.store) >= goal);
        };
        let seen = [0, 1, 2, 3, 4, 5].map(|round| {
            go_on();
            let snapshot = take(Some(round));
            assert_eq!(contradictions(&snapshot), [""; 0], "round {round}");
            messages(&snapshot)
        });
        let torn = (0..TRIES).any(|_| {
            go_on();
            let snapshot = take(None);
            let torn = !contradictions(&snapshot).is_empty();
            fs::remove_dir_all(&snapshot).unwrap();
            torn
        });
        assert!(torn, "{TRIES} snapshots without the barrier were whole");
        seen
    });
    assert!(seen.is_sorted_by(|before, after| before < after), "{seen:?}");
    daemon.stop();
    scene.assert_consistent();
    let status = scene.status();
    assert_eq!((&status["gate"], &status["writers"]), (&"open".into(), &serde_json::json!([])));
    assert_eq!(scene.epoch(), 0);
}

fn arguments(words: &[&str], paths: &[&Path]) -> Vec<OsString> {
    let words = words.iter().map(OsString::from);
    words.chain(paths.iter().map(OsString::from)).collect()
}

#[test]
fn a_snapshot_does_not_wait_for_clients() {
    let scene = Scene::new();
    for kind in [Kind::Prefork, Kind::Threads] {
        let daemon = scene.daemon(kind);
        let mut idle = daemon.client();
        let mut stalled = daemon.client();
        stalled.begin(&["alice"]).unwrap();
        stalled.write("Subject: half a mess").unwrap();
        let mut deaf = daemon.client();
        deaf.begin(&["bob", "carol"]).unwrap();
        deaf.finish("Subject: nobody reads the replies").unwrap();
        until("the delivery", || scene.copies("carol", "Subject: nobody reads the replies") > 0);
        // One drain, which is far shorter than any of them is patient.
        let mut words =
            arguments(&["--attempts", "1", "--patience", "0", "--copy"], &[&scene.store]);
        words.extend(arguments(&["--to"], &[&scene.path("snapshots")]));
        let snapshot = path_of(&scene.snapshot(words));
        assert_eq!(contradictions(&snapshot), [""; 0]);
        idle.expect("NOOP", "250 ");
        stalled.finish("age").unwrap();
        assert!(stalled.hear().unwrap().starts_with("250 "));
        daemon.stop();
        fs::remove_dir_all(scene.store.join("carol")).unwrap();
        must(scene.maildropd().args(["--add", "carol"]).arg(&scene.store).arg("mail"));
    }
}

/// Does something while clients deliver; then all that was answered 250 is there.
fn under_load<T>(scene: &Scene, daemon: &Daemon, act: impl FnOnce() -> T) -> T {
    let (result, answered) = daemon.under_load(|_| act());
    for number in 0..4 {
        let its_own = format!("Message-ID: <{number}.");
        assert!(
            answered.iter().any(|(_, line)| line.starts_with(&its_own)),
            "{number} did nothing"
        );
    }
    scene.assert_delivered(&answered);
    result
}

/// How many messages a snapshot shows.
fn messages(snapshot: &Path) -> usize {
    let count = |name| fs::read_dir(snapshot.join(name).join("messages")).unwrap().count();
    MAILBOXES.into_iter().map(count).sum()
}
