//! `stillpoint latest`: which one is the newest, and which is clean.

use std::fs;
use std::process::Command;

use crate::common::run;
use crate::scene::Scene;

const LOST_WRITER: &str =
    r#""$STILLPOINT" run -s mail sh -c 'kill -9 $PPID $$' 9>&1 >/dev/null 2>&1 | cat"#;

#[test]
fn it_prints_what_snapshot_printed() {
    let scene = Scene::new();
    let path = scene.take("x");
    assert_eq!(scene.verb(["latest"]).stdout, format!("{}\n", path.display()));
    let printed = scene.snapshot(["mail", "--min-open", "0", "--name", "y", "--", "true"]);
    assert_eq!(printed.stdout, "y\n");
    let of_commands = ["latest", "--provider", "command"];
    assert_eq!(scene.verb(of_commands).stdout, "y\n");
    let manifest: serde_json::Value =
        serde_json::from_str(&scene.verb([&of_commands[..], &["--json"]].concat()).stdout).unwrap();
    assert_eq!((&manifest["name"], &manifest["pinned"]), (&"y".into(), &false.into()));
}

#[test]
fn one_that_is_not_clean_is_named_only_if_any_will_do() {
    let scene = Scene::new();
    scene.take("clean");
    run(scene.environment(Command::new("sh")).args(["-c", LOST_WRITER]));
    scene.take("dirty");
    assert_eq!(scene.latest(&[]).as_deref(), Some("clean"));
    assert_eq!(scene.latest(&["--any"]).as_deref(), Some("dirty"));

    // Acknowledging repairs the store, never an old snapshot.
    scene.verb(["recover", "mail", "--acknowledge"]).assert_code(0);
    assert_eq!(scene.latest(&[]).as_deref(), Some("clean"));
    scene.take("clean-again");
    assert_eq!(scene.latest(&[]).as_deref(), Some("clean-again"));
}

/// Who was not looked at is not called covered.
#[test]
fn only_one_that_is_known_to_be_covered_is_named_if_that_is_asked_for() {
    let scene = Scene::new();
    let take = |name: &str, covered: Option<bool>| {
        scene.take(name);
        scene.edit(name, |manifest| manifest["covered"] = covered.into());
    };
    take("unknown", None);
    take("uncovered", Some(false));
    let done = scene.verb(["latest", "--covered"]);
    done.assert_refused(66, "no clean and covered snapshot, only 2 clean of which it is not known");
    take("covered", Some(true));
    take("later", Some(false));
    take("dirty", Some(true));
    scene.edit("dirty", |manifest| manifest["clean"] = false.into());
    assert_eq!(scene.latest(&[]).as_deref(), Some("later"));
    assert_eq!(scene.latest(&["--covered"]).as_deref(), Some("covered"));
    assert_eq!(scene.latest(&["--covered", "--any"]).as_deref(), Some("dirty"));
    let shown = ["sh", "-c", "echo $STILLPOINT_SNAPSHOT_NAME"];
    let used = scene.verb([&["use", "--latest", "--covered", "--"][..], &shown].concat());
    assert_eq!(used.stdout, "covered\n");
    scene.verb(["use", "--covered", "later", "--", "true"]).assert_refused(64, "with --latest");
}

#[test]
fn without_one_it_says_what_there_is_instead() {
    let scene = Scene::new();
    scene.verb(["latest"]).assert_refused(66, "nothing else either");
    scene.take("dirty");
    scene.edit("dirty", |manifest| manifest["clean"] = false.into());
    scene.take("gone");
    fs::remove_dir(scene.path("snapshots/gone")).unwrap();
    scene.snapshot(["mail", "--min-open", "0", "--", "false"]).assert_code(1);
    let done = scene.verb(["latest"]);
    done.assert_refused(66, "1 complete but not clean, which --any would take");
    done.assert_refused(66, "1 whose data is gone or replaced, 1 failed or revoked");
    assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
    assert_eq!(scene.latest(&["--any"]).as_deref(), Some("dirty"));
}

#[test]
fn a_partial_or_failed_one_is_never_named() {
    for status in ["begun", "certified", "failed", "revoked", "pruning"] {
        let scene = Scene::new();
        scene.take("good");
        scene.take("other");
        scene.edit("other", |manifest| manifest["status"] = status.into());
        for words in [&[][..], &["--any"]] {
            assert_eq!(scene.latest(words).as_deref(), Some("good"), "{status}");
        }
    }
}

/// The clock stands in the manifests only: they are written anew with the times of one that jumped.
#[test]
fn a_clock_that_jumps_makes_no_old_one_the_newest() {
    let scene = Scene::new();
    for (name, year) in [("first", "2038"), ("second", "1970"), ("third", "2026")] {
        scene.take(name);
        scene.edit(name, |manifest| {
            for key in ["began", "quiet", "ended"] {
                manifest[key] = format!("{year}-01-01T00:00:00.000Z").into();
            }
        });
        assert_eq!(scene.latest(&[]).as_deref(), Some(name));
    }
    let sequences: Vec<u64> = ["first", "second", "third"]
        .iter()
        .zip(scene.manifests())
        .map(|(_, manifest)| manifest["sequence"].as_u64().unwrap())
        .collect();
    assert_eq!(sequences, [1, 2, 3]);
    let table = scene.verb(["list"]).stdout;
    assert!(table.lines().nth(1).unwrap().contains("in the future"), "{table}");

    // Nor does pruning go by it.
    scene.verb(["prune", "--keep-within", "1d"]).assert_refused(0, "first and 1 more are kept");
    assert_eq!(scene.snapshots(), ["first", "second", "third"]);
}

#[test]
fn a_name_that_is_used_again_moves_to_the_end() {
    let scene = Scene::new();
    scene.snapshot(["mail", "--name", "a", "--", "false"]).assert_code(1);
    scene.take("b");
    scene.take("a");
    assert_eq!(scene.latest(&[]).as_deref(), Some("a"));
}
