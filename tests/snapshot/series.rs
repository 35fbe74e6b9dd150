//! Several series under one barrier: each is named, used, pruned and counted by itself.

use std::fs;

use serde_json::Value;

use crate::common::{Done, run};
use crate::prune::records;
use crate::scene::Scene;

/// A copy of the store, with more words.
fn copy(scene: &Scene, name: &str, words: &[&str]) {
    let named = ["--hold", "10", "--min-open", "0", "--name", name];
    run(&mut scene.copy(&[&named[..], words].concat())).assert_code(0);
}

/// A command, with more words.
fn command(scene: &Scene, name: &str, words: &[&str]) {
    let named = ["mail", "--min-open", "0", "--name", name];
    scene.snapshot([&named[..], words, &["--", "true"]].concat()).assert_code(0);
}

/// Two folders by copy, one of them also for another tool, and a command that is run most often.
fn scene() -> Scene {
    let scene = Scene::new();
    fs::create_dir(scene.path("other")).unwrap();
    copy(&scene, "store-1", &[]);
    copy(&scene, "store-2", &[]);
    copy(&scene, "tool-1", &["--label", "tool"]);
    copy(&scene, "tool-2", &["--label", "tool"]);
    let mut other = scene.stillpoint();
    other.args(["snapshot", "mail", "--hold", "10", "--min-open", "0", "--name", "other-1"]);
    other.arg("--copy").arg(scene.path("other")).arg("--to").arg(scene.path("snapshots"));
    run(&mut other).assert_code(0);
    command(&scene, "dump-1", &[]);
    command(&scene, "dump-2", &["--label", "dump"]);
    scene
}

fn listed(scene: &Scene, words: &[&str]) -> Vec<String> {
    let done = scene.verb([&["list", "--json"], words].concat());
    done.assert_code(0);
    let rows: Vec<Value> = serde_json::from_str(&done.stdout).unwrap();
    rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
}

/// A link that is led elsewhere, a link in the place of a folder, a folder in the place of a link, and a link on the way.
#[test]
fn a_source_whose_path_leads_elsewhere_begins_no_series_unseen() {
    let scene = Scene::new();
    let path = |name: &str| scene.path(name);
    for folder in ["a/mail", "b/mail"] {
        fs::create_dir_all(path(folder)).unwrap();
    }
    let (link, on_the_way) = (path("mail"), path("way"));
    let snapshot = |source: &std::path::Path, name: &str, words: &[&str]| {
        let mut command = scene.stillpoint();
        command.args(["snapshot", "mail", "--hold", "10", "--min-open", "0", "--name", name]);
        command.args(words).arg("--copy").arg(source).arg("--to").arg(path("snapshots"));
        run(&mut command)
    };
    let lead = |link: &std::path::Path, to: &str| {
        let _ = fs::remove_file(link);
        std::os::unix::fs::symlink(path(to), link).unwrap();
    };
    let check = || run(scene.stillpoint().args(["check", "mail"])).stdout;
    let quiet = |source: &std::path::Path, name: &str, words: &[&str]| {
        let done = snapshot(source, name, words);
        done.assert_code(0);
        assert!(!done.stderr.contains("leads to"), "{name}: {done:?}");
    };
    lead(&link, "a/mail");
    lead(&on_the_way, "a");
    quiet(&link, "1", &[]);
    quiet(&link, "2", &[]);
    assert!(!check().contains("leads to"), "{}", check());
    lead(&link, "b/mail");
    let moved = format!(
        "{} leads to {}, and led to {}, when 2 was taken",
        link.display(),
        path("b/mail").display(),
        path("a/mail").display()
    );
    snapshot(&link, "no", &["--source-changed", "fail"]).assert_refused(69, &moved);
    let done = snapshot(&link, "3", &[]);
    done.assert_code(0);
    assert!(done.stderr.contains(&format!("{moved}: a series of its own begins")), "{done:?}");
    quiet(&link, "4", &["--source-changed", "fail"]);
    let said = check();
    assert!(said.starts_with("STILLPOINT WARNING"), "{said}");
    assert!(said.contains("a/mail by copy: ended with 2, as its source is another"), "{said}");
    assert_eq!(scene.latest(&[]).as_deref(), Some("4"));
    lead(&link, "a/mail");
    quiet(&link, "5", &["--source-changed", "accept"]);
    // By another link, and with another label, it is nothing of these.
    quiet(&on_the_way.join("mail"), "6", &[]);
    lead(&on_the_way, "b");
    quiet(&on_the_way.join("mail"), "7", &["--label", "other"]);
    let done = snapshot(&on_the_way.join("mail"), "8", &[]);
    assert!(done.code() == 0 && done.stderr.contains("leads to"), "{done:?}");
    // A folder that has moved, and left a link; and the other way round.
    let folder = path("folder");
    fs::create_dir(&folder).unwrap();
    quiet(&folder, "9", &[]);
    fs::rename(&folder, path("c")).unwrap();
    lead(&folder, "c");
    let done = snapshot(&folder, "10", &[]);
    assert!(done.code() == 0 && done.stderr.contains("when 9 was taken"), "{done:?}");
    fs::remove_file(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    let done = snapshot(&folder, "11", &[]);
    assert!(done.code() == 0 && done.stderr.contains("when 10 was taken"), "{done:?}");
}

#[test]
fn each_verb_keeps_to_what_was_asked_for() {
    let scene = scene();
    let store = scene.path("store").display().to_string();
    let link = scene.path("link").display().to_string();
    std::os::unix::fs::symlink(&store, &link).unwrap();
    for (words, names) in [
        (&["--source", &store][..], &["store-1", "store-2", "tool-1", "tool-2"][..]),
        (&["--source", &link, "--label", ""], &["store-1", "store-2"]),
        (&["--label", "tool"], &["tool-1", "tool-2"]),
        (&["--provider", "copy", "--label", ""], &["store-1", "store-2", "other-1"]),
        (&["--provider", "command", "mail"], &["dump-1", "dump-2"]),
        (&["--provider", "command", "--label", "dump"], &["dump-2"]),
    ] {
        assert_eq!(listed(&scene, words), names, "{words:?}");
        assert_eq!(scene.latest(words).as_deref(), names.last().copied(), "{words:?}");
    }
    let used = |words: &[&str]| -> Done {
        let command = ["--", "printenv", "STILLPOINT_SNAPSHOT_NAME"];
        scene.verb([&["use", "--latest"], words, &command].concat())
    };
    assert_eq!(used(&["--label", "tool", "mail"]).stdout, "tool-2\n");
    assert_eq!(used(&["--source", &store, "--label", ""]).stdout, "store-2\n");

    scene.verb(["prune", "--keep", "1", "--label", "tool", "mail"]).assert_code(0);
    scene.verb(["prune", "--keep", "1", "--provider", "command"]).assert_code(0);
    let left = ["dump-1", "dump-2", "other-1", "store-1", "store-2", "tool-2"];
    assert_eq!(records(&scene), left);

    for words in [
        &["list", "--provider", "tar"][..],
        &["use", "--label", "tool", "store-1", "--", "true"],
        &["status", "--label", "tool"],
    ] {
        scene.verb(words).assert_refused(64, "--");
    }
}

/// What a command made would be handed on as a word that is no path, or as none at all: `"$P/"` is `/`.
#[test]
fn a_snapshot_without_data_is_named_only_when_asked_for_and_never_used() {
    let scene = scene();
    assert_eq!(scene.latest(&[]).as_deref(), Some("other-1"));
    assert_eq!(scene.latest(&["--any", "mail"]).as_deref(), Some("other-1"));
    let print = ["--", "printenv", "STILLPOINT_SNAPSHOT_PATH"];
    let done = scene.verb([&["use", "--latest", "mail"][..], &print].concat());
    assert_eq!(done.stdout, format!("{}\n", scene.path("snapshots/other-1").display()));

    let said = "a command made it, and it has no data of its own";
    scene.verb([&["use", "dump-2"][..], &print].concat()).assert_refused(66, said);
    for words in
        [&["--label", "dump"][..], &["--provider", "command"], &["--label", "dump", "--any"]]
    {
        let words = [&["use", "--latest"], words, &print].concat();
        scene.verb(&words).assert_refused(66, "made by a command, without data to read");
    }
    let only = Scene::new();
    command(&only, "dump", &[]);
    only.verb(["latest"]).assert_refused(66, "only 1 made by a command, without data to read");
    only.verb(["latest", "--any"]).assert_refused(66, "there is no complete snapshot");
}

/// A series that goes well says nothing of another one.
#[test]
fn metrics_are_of_one_series() {
    let scene = scene();
    let metric = "stillpoint_newest_clean_snapshot_timestamp_seconds{";
    let series = |text: &str| -> Vec<String> {
        let samples = text.lines().filter_map(|line| line.strip_prefix(metric));
        let labels = samples.map(|sample| sample.split_once('}').unwrap().0);
        let without_barrier = labels.map(|labels| labels.split_once(',').unwrap().1.to_owned());
        without_barrier.collect()
    };
    let prometheus = |words: &[&str]| {
        let done = scene.verb([&["status", "--prometheus"], words, &["mail"]].concat());
        done.assert_code(0);
        series(&done.stdout)
    };
    let (store, to) = (scene.path("store"), scene.path("snapshots"));
    let (store, to) = (store.display(), to.display());
    let store = format!("provider=\"copy\",source=\"{store}\",target=\"{to}\"");
    let of_tool = format!("{store},label=\"tool\"");
    assert_eq!(prometheus(&["--label", "tool"]), [of_tool.as_str()]);
    let mut all = prometheus(&[]);
    all.sort();
    let other = store.replace("/store", "/other");
    let dump = "provider=\"command\"".to_owned();
    assert_eq!(all, [dump.clone(), dump + ",label=\"dump\"", other, store.clone(), of_tool]);

    // The cheap command is well; the copy has never succeeded.
    let scene = Scene::new();
    let file = scene.path("metrics.prom").display().to_string();
    scene.stand_in("cp", "exit 1");
    let copy = ["--hold", "10", "--min-open", "0", "--metrics-textfile", &file];
    run(&mut scene.copy(&copy)).assert_code(73);
    command(&scene, "dump", &[]);
    run(&mut scene.copy(&copy)).assert_code(73);
    let success = || {
        let text = fs::read_to_string(&file).unwrap();
        let name = "stillpoint_snapshot_last_success_timestamp_seconds{";
        let mut samples = text.lines().filter(|line| line.starts_with(name));
        let (labels, time) = samples.next().unwrap().rsplit_once(' ').unwrap();
        assert_eq!(samples.next(), None, "{text}");
        (labels.contains("\"command\""), time.parse::<f64>().unwrap() > 1e9)
    };
    assert_eq!(success(), (false, false));
    command(&scene, "dump-2", &["--metrics-textfile", &file]);
    assert_eq!(success(), (true, true));
}

#[test]
fn a_barrier_that_no_manifest_names_is_said_to_be_unknown() {
    let scene = Scene::new();
    let verbs = [
        &["list", "nosuch"][..],
        &["latest", "nosuch"],
        &["prune", "--keep", "1", "nosuch"],
        &["use", "--latest", "nosuch", "--", "true"],
    ];
    for words in verbs {
        scene.verb(words).assert_refused(66, "nosuch.barrier, nor under any other barrier");
    }
    scene.take("x");
    let mail = scene.barrier_file("mail").display().to_string();
    for words in verbs {
        scene.verb(words).assert_refused(66, &format!("nosuch.barrier, only under {mail}\n"));
    }
    assert_eq!(scene.snapshots(), ["x"]);
    // Nothing of what was asked for is no error, and no secret.
    for words in [
        &["list", "--label", "none", "mail"][..],
        &["prune", "--keep", "1", "--label", "none", "mail"],
    ] {
        scene.verb(words).assert_refused(0, "of mail labelled \"none\": there are no snapshots");
    }
    fs::remove_file(scene.path("catalog/x.json")).unwrap();
    scene.verb(["list"]).assert_refused(0, "there are no snapshots");
}
