//! `--current`: one path to the newest clean snapshot; and that a backup tool finds again what it has saved.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::common::{Done, has, is_root, must, names, run};
use crate::scene::Scene;

fn take(scene: &Scene, name: &str, words: &[&str]) -> Done {
    let link = scene.path("current").display().to_string();
    let given = ["--hold", "10", "--min-open", "0", "--name", name, "--current", &link];
    run(&mut scene.copy(&[&given, words].concat()))
}

fn leads_to(scene: &Scene) -> PathBuf {
    fs::read_link(scene.path("current")).unwrap()
}

#[test]
fn it_leads_to_the_newest_clean_one() {
    let scene = Scene::new();
    fs::write(scene.path("store/letter"), "first").unwrap();
    take(&scene, "a", &[]).assert_code(0);
    assert_eq!(leads_to(&scene), scene.path("snapshots/a"));
    fs::write(scene.path("store/letter"), "second").unwrap();
    take(&scene, "b", &[]).assert_code(0);
    assert_eq!(fs::read_to_string(scene.path("current/letter")).unwrap(), "second");
    run(scene.stillpoint().args(["run", "-s", "mail", "sh", "-c", "kill -KILL $$"]))
        .assert_code(137);
    take(&scene, "dirty", &[]).assert_code(0);
    take(&scene, "no", &["--dry-run"]).assert_code(0);
    assert_eq!(leads_to(&scene), scene.path("snapshots/b"));
    assert!(names(&scene.path("")).iter().all(|name| !name.starts_with('.')));
}

#[test]
fn what_is_no_link_of_ours_stays() {
    let scene = Scene::new();
    let link = scene.path("current");
    let refused = |scene: &Scene| {
        let before = scene.generation();
        take(scene, "x", &[])
            .assert_refused(73, "is something else than a link to a snapshot there");
        assert_eq!(scene.generation(), before);
        assert!(scene.manifests().is_empty());
    };
    fs::write(&link, "mine").unwrap();
    refused(&scene);
    fs::remove_file(&link).unwrap();
    symlink(scene.path("store/letter"), &link).unwrap();
    refused(&scene);
    fs::remove_file(&link).unwrap();
    fs::create_dir(&link).unwrap();
    refused(&scene);
    fs::remove_dir(&link).unwrap();
    // One whose snapshot is gone is still ours.
    symlink("snapshots/gone", &link).unwrap();
    take(&scene, "x", &[]).assert_code(0);
    assert_eq!(leads_to(&scene), scene.path("snapshots/x"));
    let mut command = scene.stillpoint();
    command.args(["snapshot", "mail", "--current", "x", "--", "true"]);
    run(&mut command).assert_refused(64, "--current");
}

/// By `use --at`, and in what the link leads to: two backups each, of which one is to be left.
#[test]
fn a_backup_tool_finds_again_what_it_has_saved() {
    if !has(&["restic"]) || !is_root() {
        return;
    }
    let scene = Scene::new();
    let (store, link) = (scene.path("store"), scene.path("current"));
    let at = store.to_str().unwrap();
    let restic = |mut command: Command| {
        command.env("RESTIC_PASSWORD", "x").env("HOME", scene.path(""));
        command.env("RESTIC_REPOSITORY", scene.path("repository"));
        must(&mut command)
    };
    let ask = |words: &[&str]| {
        let mut command = Command::new("restic");
        command.args(["--no-cache", "--json"]).args(words);
        restic(command)
    };
    ask(&["init"]);
    for name in ["one", "two"] {
        fs::write(store.join("letter"), name).unwrap();
        take(&scene, name, &[]).assert_code(0);
        let mut shown = scene.stillpoint();
        shown.args([
            "use",
            "--latest",
            "--at",
            at,
            "mail",
            "--",
            "restic",
            "--no-cache",
            "backup",
            at,
        ]);
        restic(shown);
        let mut linked = scene.stillpoint();
        let script = r#"cd "$0" && exec restic --no-cache backup ."#;
        linked.args(["use", "--latest", "mail", "--", "sh", "-c", script]).arg(&link);
        restic(linked);
    }
    ask(&["forget", "--keep-last", "1"]);
    let left: Vec<Value> = serde_json::from_slice(&ask(&["snapshots"]).stdout).unwrap();
    assert_eq!(left.len(), 2, "the first are not forgotten: {left:#?}");
    for (path, left) in [&store, &link].into_iter().zip(&left) {
        assert_eq!(left["paths"], serde_json::json!([path]));
        assert!(left["parent"].is_string(), "it read everything again: {left:#}");
    }
}
