//! Runs that want one name at one moment: the clock stands still, and all have chosen before any begins.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::faketime::library;
use crate::common::{Done, Running, names, start, until};
use crate::scene::Scene;
use crate::subvolumes::Subvolumes;

/// A stand-in that waits until so many have come as far.
fn meet(scene: &Scene, tool: &str, pattern: &str, count: usize) {
    let script = format!(
        r#"case "$*" in {pattern})
            here=${{0%/*}}; echo >"$here/met-$$"
            until [ "$(find "$here" -name 'met-*' | wc -l)" -ge {count} ]; do sleep 0.01; done;;
        esac; exec "$REAL" "$@""#
    );
    scene.stand_in(tool, &script);
}

/// A run under a barrier of its own, from a store of its own.
fn snapshot(scene: &Scene, number: usize, words: &[&str]) -> Option<Command> {
    let barrier = format!("b{number}");
    scene.create(&barrier);
    let mut command = scene.stillpoint();
    command
        .args(["snapshot", &barrier, "--min-open", "0", "--hold", "60"])
        .args(words)
        .env("LD_PRELOAD", library()?)
        .env("FAKETIME", "2026-01-01 00:00:00")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    Some(command)
}

fn store(scene: &Scene, number: usize) -> PathBuf {
    let store = scene.path(&format!("store-{number}"));
    fs::create_dir(&store).unwrap();
    fs::write(store.join(format!("letter-{number}")), "text").unwrap();
    store
}

fn copies(scene: &Scene, count: usize, words: &[&str]) -> Option<Vec<Done>> {
    meet(scene, "du", "*--inodes*", count);
    let copy = |number| {
        let mut command = snapshot(scene, number, words)?;
        command.arg("--copy").arg(store(scene, number)).arg("--to").arg(scene.path("snapshots"));
        Some(command)
    };
    let commands: Option<Vec<Command>> = (0..count).map(copy).collect();
    Some(together(commands?))
}

fn together(mut commands: Vec<Command>) -> Vec<Done> {
    let running: Vec<Running> = commands.iter_mut().map(start).collect();
    running.into_iter().map(Running::wait).collect()
}

/// Each is its own, and nothing else.
fn assert_each_has_its_own(scene: &Scene, done: &[Done]) {
    for (number, done) in done.iter().enumerate() {
        done.assert_code(0);
        let path = Path::new(done.stdout.trim_end());
        assert_eq!(names(path), [format!("letter-{number}")], "{done:?}");
    }
    assert_eq!(scene.snapshots().len(), done.len());
}

#[test]
fn a_name_that_we_chose_is_chosen_anew() {
    let scene = Scene::new();
    let Some(done) = copies(&scene, 8, &[]) else { return };
    assert_each_has_its_own(&scene, &done);
    assert_eq!(scene.manifests().len(), 8);
}

#[test]
fn a_name_that_the_user_chose_is_refused() {
    let scene = Scene::new();
    let Some(done) = copies(&scene, 4, &["--name", "x"]) else { return };
    let (made, refused): (Vec<_>, Vec<_>) = done.iter().partition(|done| done.code() == 0);
    assert_eq!(made.len(), 1);
    for done in refused {
        done.assert_refused(73, "give another --name");
    }
    assert_eq!(scene.snapshots(), ["x"]);
    assert_eq!(names(&scene.path("snapshots/x")).len(), 1);
}

/// Their catalogues know nothing of each other: the folder decides.
#[test]
fn two_catalogues_may_share_a_folder_of_snapshots() {
    for named in [false, true] {
        let scene = Scene::new();
        meet(&scene, "du", "*--inodes*", 3);
        let copy = |number| {
            let catalog = scene.path(&format!("catalog-{number}"));
            let mut command = snapshot(&scene, number, &[])?;
            command.arg("--catalog").arg(catalog).arg("--copy").arg(store(&scene, number));
            command.arg("--to").arg(scene.path("snapshots"));
            if named {
                command.args(["--name", "x"]);
            }
            Some(command)
        };
        let commands: Option<Vec<Command>> = (0..3).map(copy).collect();
        let Some(commands) = commands else { return };
        let done = together(commands);
        if named {
            let (made, refused): (Vec<_>, Vec<_>) = done.iter().partition(|done| done.code() == 0);
            assert_eq!(made.len(), 1, "{done:#?}");
            for done in refused {
                done.assert_refused(73, "exists already; give another --name");
            }
            assert_eq!(scene.snapshots(), ["x"]);
            assert_eq!(names(&scene.path("snapshots/x")).len(), 1);
        } else {
            assert_each_has_its_own(&scene, &done);
        }
    }
}

/// Neither takes what the other has made under a temporary name for its own, and one of them gets the name.
#[test]
fn a_subvolume_that_another_catalogue_has_begun_is_not_removed() {
    let Some(disk) = Subvolumes::named(&["store"]) else { return };
    let scene = &disk.scene;
    // Both have looked for the name; then one has its subvolume while the other waits for a writer.
    let script = r#"here=${0%/*}
        case "$*" in
        "subvolume list "*) echo >"$here/met-$$"
            until [ "$(find "$here" -name 'met-*' | wc -l)" -ge 2 ]; do sleep 0.01; done;;
        "subvolume snapshot "*) "$REAL" "$@" || exit; echo >"$here/made"
            until [ -e "$here/go" ]; do sleep 0.01; done; exit 0;;
        esac; exec "$REAL" "$@""#;
    scene.stand_in("btrfs", script);
    let take = |number| {
        let mut command = snapshot(scene, number, &["--name", "x", "--btrfs"])?;
        command.arg(disk.path("store")).arg("--to").arg(&disk.to);
        command.arg("--catalog").arg(scene.path(&format!("catalog-{number}")));
        Some(command)
    };
    let (Some(mut first), Some(mut second)) = (take(0), take(1)) else { return };
    let until_made = r#"until [ -e "$0" ]; do sleep 0.01; done"#;
    let mut writer = scene.stillpoint();
    writer.args(["run", "-s", "b1", "sh", "-c", until_made]).arg(scene.path("bin/made"));
    let writer = start(&mut writer);
    until("writer", || scene.status("b1")["writers"].as_array().unwrap().len() == 1);
    let (first, second) = (start(&mut first), start(&mut second));
    fs::write(scene.path("bin/go"), "").unwrap();
    let mut done = [first.wait(), second.wait()];
    done.sort_by_key(Done::code);
    done[0].assert_code(0);
    done[1].assert_refused(73, "x");
    writer.wait().assert_code(0);
    assert_eq!(names(&disk.to), ["x"]);
}
