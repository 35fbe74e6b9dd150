//! `stillpoint prune`, on real data.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::common::{Image, must, names, run, start, until};
use crate::scene::Scene;
use crate::subvolumes::Subvolumes;

pub fn records(scene: &Scene) -> Vec<String> {
    let manifests = scene.manifests();
    manifests.iter().map(|manifest| manifest["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn without_a_rule_nothing_is_removed() {
    let scene = Scene::new();
    scene.take("a");
    scene.verb(["prune"]).assert_refused(64, "--keep");
    scene.verb(["prune", "--keep", "0"]).assert_refused(64, "--keep");
    assert_eq!(scene.snapshots(), ["a"]);
}

#[test]
fn the_newest_are_kept_and_the_others_go_with_their_records() {
    let scene = Scene::new();
    for name in ["d", "c", "b", "a"] {
        scene.take(name);
    }
    let removed = |name| format!("removed {}\n", scene.path("snapshots").join(name).display());
    let planned = scene.verb(["prune", "--keep", "2", "--dry-run"]);
    planned.assert_code(0);
    let would = format!("{}{}", removed("d"), removed("c")).replace("removed", "would remove");
    assert_eq!(planned.stdout, would);
    assert_eq!(scene.snapshots(), ["a", "b", "c", "d"]);

    let done = scene.verb(["prune", "--keep", "2"]);
    done.assert_code(0);
    assert_eq!(done.stdout, removed("d") + &removed("c"));
    assert_eq!(scene.snapshots(), ["a", "b"]);
    assert_eq!(names(&scene.path("catalog")), ["a.json", "b.json"]);
    assert_eq!(scene.verb(["prune", "--keep", "2"]).stdout, "");
}

/// Of two that prune at once, the one that has removed it says so.
#[test]
fn what_went_is_said_once() {
    let scene = Scene::new();
    let all: Vec<String> = (0..40).map(|number| format!("n{number:02}")).collect();
    for name in &all {
        scene.take(name);
    }
    let prune = || {
        let mut command = scene.stillpoint();
        start(command.args(["prune", "--keep", "1"]))
    };
    let said: Vec<String> = [prune(), prune(), prune()].map(|one| one.wait().stdout).into();
    assert_eq!(scene.snapshots(), ["n39"]);
    for name in &all[..39] {
        let times = said.concat().lines().filter(|line| line.contains(name.as_str())).count();
        assert_eq!(times, 1, "{name}: {said:?}");
    }
}

#[test]
fn what_failed_never_pushes_out_what_is_clean() {
    let scene = Scene::new();
    scene.take("good");
    for name in ["f1", "f2", "f3"] {
        // As after a lost writer, and as after a run that died.
        scene.take(&format!("{name}-dirty"));
        scene.edit(&format!("{name}-dirty"), |manifest| manifest["clean"] = false.into());
        let mut copy = scene.copy(&["--hold", "10", "--min-open", "0", "--name", name]);
        scene.stand_in("cp", "exit 1");
        run(&mut copy).assert_code(73);
        fs::remove_file(scene.path("bin/cp")).unwrap();
    }
    scene.verb(["prune", "--keep", "1"]).assert_code(0);
    assert_eq!(scene.latest(&[]).as_deref(), Some("good"));
    assert_eq!(scene.snapshots(), ["f3-dirty", "good"]);
    assert_eq!(records(&scene), ["f3", "f3-dirty", "good"]);
    // Once there is a newer clean one, all of that goes.
    scene.take("better");
    scene.verb(["prune", "--keep", "1"]).assert_code(0);
    assert_eq!(
        (scene.snapshots(), records(&scene)),
        (vec!["better".into()], vec!["better".into()])
    );
}

#[test]
fn every_series_keeps_its_newest_clean_one() {
    let scene = Scene::new();
    scene.create("news");
    let other = scene.path("other");
    fs::create_dir(&other).unwrap();
    scene.take("store");
    let copy = |barrier: &str, source: &str, name: &str| {
        let mut command = scene.stillpoint();
        command.args(["snapshot", barrier, "--min-open", "0", "--hold", "10", "--name", name]);
        command.arg("--copy").arg(scene.path(source)).arg("--to").arg(scene.path("snapshots"));
        run(&mut command).assert_code(0);
    };
    copy("news", "store", "store-of-news");
    copy("mail", "other", "other");
    let command = |name| {
        scene.snapshot(["mail", "--min-open", "0", "--name", name, "--", "true"]).assert_code(0);
    };
    command("tool-1");
    command("tool-2");
    let done = scene.verb(["prune", "--keep", "1"]);
    done.assert_code(0);
    assert_eq!(done.stdout, "removed the record of tool-1; what its command made is left\n");
    assert_eq!(records(&scene), ["other", "store", "store-of-news", "tool-2"]);
    copy("mail", "other", "other-2");
    copy("mail", "store", "store-2");
    scene.verb(["prune", "--keep", "1", "news"]).assert_code(0);
    assert_eq!(records(&scene).len(), 6);
    scene.verb(["prune", "--keep", "1", "mail"]).assert_code(0);
    assert_eq!(scene.snapshots(), ["other-2", "store-2", "store-of-news"]);
}

#[test]
fn one_that_is_read_or_made_is_left_alone() {
    let scene = Scene::new();
    scene.take("a");
    scene.take("b");
    let reader = start(scene.stillpoint().args(["use", "a", "--", "sleep", "600"]));
    until("pin", || is_pinned(&scene, "a"));
    let json = |words: &[&str]| -> Value {
        let done = scene.verb([&["prune", "--keep", "1", "--json"], words].concat());
        done.assert_code(0);
        serde_json::from_str(&done.stdout).unwrap()
    };
    assert_eq!(json(&["--dry-run"])[0]["outcome"], "in use");
    assert_eq!(json(&[])[0]["outcome"], "in use");
    let done = scene.verb(["prune", "--keep", "1"]);
    assert!(done.stderr.contains("snapshots/a is in use"), "{done:?}");
    assert_eq!(scene.snapshots(), ["a", "b"]);
    drop(reader);
    let removed = json(&[]);
    assert_eq!((&removed[0]["name"], &removed[0]["outcome"]), (&"a".into(), &"removed".into()));
    assert_eq!(scene.snapshots(), ["b"]);

    let making =
        start(scene.stillpoint().args(["snapshot", "mail", "--name", "x", "--", "sleep", "600"]));
    until("manifest", || scene.path("catalog/x.json").exists());
    scene.verb(["prune", "--keep", "1"]).assert_code(0);
    assert_eq!(scene.manifests()[1]["status"], "begun");
    drop(making);
}

pub fn is_pinned(scene: &Scene, name: &str) -> bool {
    let done = scene.verb(["list", "--json"]);
    let rows: Vec<Value> = serde_json::from_str(&done.stdout).unwrap();
    rows.iter().any(|row| row["name"] == name && row["pinned"] == true)
}

#[test]
fn what_was_kept_of_a_failed_one_goes_with_its_record() {
    let scene = Scene::new();
    scene.stand_in("cp", r#"case "$1" in -a) exit 1;; esac; exec "$REAL" "$@""#);
    for name in ["a", "b"] {
        let keep = ["--hold", "10", "--min-open", "0", "--keep-failed", "--name", name];
        run(&mut scene.copy(&keep)).assert_code(73);
    }
    assert_eq!(scene.snapshots(), ["a.failed", "b.failed"]);
    // Somebody's own, under the name that the failed one would have had.
    fs::create_dir(scene.path("snapshots/a")).unwrap();
    scene.verb(["prune", "--keep", "1"]).assert_code(0);
    assert_eq!(
        (scene.snapshots(), records(&scene)),
        (vec!["a".into(), "b.failed".into()], vec!["b".into()])
    );
}

#[test]
fn data_that_cannot_be_removed_is_kept_in_mind() {
    let scene = Scene::new();
    scene.take("a");
    scene.take("b");
    // Something else has the temporary name.
    let partial = scene.partial("a");
    fs::create_dir(&partial).unwrap();
    let done = scene.verb(["prune", "--keep", "1"]);
    done.assert_refused(71, "a: cannot be removed");
    assert!(done.stderr.contains(".partial: something else is in the way"), "{done:?}");
    assert_eq!(scene.latest(&["--any"]).as_deref(), Some("b"));
    assert_eq!(scene.manifests()[0]["status"], "pruning");
    scene.verb(["use", "a", "--", "true"]).assert_refused(66, "is being removed");
    for words in [&["prune", "--keep", "1"][..], &["prune", "--keep", "1", "--json"]] {
        let done = scene.verb(words);
        done.assert_code(71);
        assert!(done.stderr.contains(".partial: something else is in the way"), "{done:?}");
        assert_eq!(words.len() == 4, done.stdout.contains("\"outcome\": \"failed\""), "{done:?}");
    }
    fs::remove_dir(&partial).unwrap();
    let done = scene.verb(["prune", "--keep", "1"]);
    assert!(done.stderr.contains("a: was being pruned; the rest of it is removed"), "{done:?}");
    assert_eq!((scene.snapshots(), records(&scene)), (vec!["b".into()], vec!["b".into()]));
}

#[test]
fn a_read_only_catalogue_loses_nothing() {
    let Some(image) = Image::tmpfs(512) else { return };
    let scene = Scene::new();
    let catalog = image.path().to_str().unwrap().to_owned();
    let take = |name: &str| {
        let named = ["--hold", "10", "--min-open", "0", "--catalog", &catalog, "--name", name];
        run(&mut scene.copy(&named))
    };
    take("a").assert_code(0);
    take("b").assert_code(0);
    must(Command::new("mount").args(["-o", "remount,ro"]).arg(image.path()));
    let before = scene.generation();
    take("c").assert_refused(73, "Read-only file system");
    assert_eq!(scene.generation(), before, "the gate was closed for nothing");
    let done = scene.verb(["prune", "--keep", "1", "--catalog", &catalog]);
    done.assert_refused(71, "Read-only file system");
    assert_eq!(scene.snapshots(), ["a", "b"]);
    // Reading goes on, and so does using.
    assert_eq!(scene.latest(&["--catalog", &catalog]).as_deref(), Some("b"));
    scene.verb(["use", "--catalog", &catalog, "--latest", "--", "true"]).assert_code(0);
    scene.verb(["list", "--catalog", &catalog]).assert_code(0);
    must(Command::new("mount").args(["-o", "remount,rw"]).arg(image.path()));
}

#[test]
fn a_full_catalogue_can_be_pruned() {
    let Some(image) = Image::tmpfs(512) else { return };
    let scene = Scene::new();
    let catalog = image.path().to_str().unwrap().to_owned();
    for name in ["a", "b", "c"] {
        let named = ["--hold", "10", "--min-open", "0", "--catalog", &catalog, "--name", name];
        run(&mut scene.copy(&named)).assert_code(0);
    }
    let filler = image.path().join("filler");
    let _ = fs::write(&filler, vec![1; 1 << 20]);
    let done = scene.verb(["prune", "--keep", "1", "--catalog", &catalog]);
    done.assert_code(0);
    assert_eq!(scene.snapshots(), ["c"]);
    assert_eq!(names(&image.path()), ["c.json", "filler"]);
}

#[test]
fn snapshots_of_subvolumes_are_removed_too() {
    let Some(disk) = Subvolumes::named(&["spool", "index"]) else { return };
    fs::write(disk.path("spool/letter"), "text").unwrap();
    for number in 1..4 {
        disk.take(&format!("one-{number}"), &["spool"]);
        disk.take(&format!("both-{number}"), &["spool", "index"]);
    }
    let done = disk.scene.verb(["prune", "--keep", "1"]);
    done.assert_code(0);
    assert_eq!(names(&disk.to), ["both-3", "one-3"]);
    assert_eq!(records(&disk.scene), ["both-3", "one-3"]);
    let list = tool_says(Command::new("btrfs").args(["subvolume", "list"]).arg(disk.path("")));
    assert_eq!(list.lines().count(), 5, "{list}");
}

fn tool_says(command: &mut Command) -> String {
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}
