//! `--btrfs`, on a real one.

use std::fs;
use std::process::Command;

use crate::common::{Image, must, names, run, subvolume};
use crate::scene::Scene;
use crate::writers::{Writers, torn};

#[test]
fn a_snapshot_under_load_is_whole_and_read_only() {
    let Some(image) = Image::btrfs() else { return };
    let scene = Scene::new();
    let (store, to) = (image.path().join("store"), image.path().join("snapshots"));
    subvolume(&store);
    fs::create_dir(&to).unwrap();
    let writers = Writers::start(&scene.barrier_file("mail"), &store, &store);
    for round in 0..5 {
        let mut command = scene.stillpoint();
        command
            .args(["snapshot", "mail", "--min-open", "0", "--btrfs"])
            .arg(&store)
            .arg("--to")
            .arg(&to);
        let done = run(&mut command);
        done.assert_code(0);
        assert_eq!(done.stderr, "", "nothing to say about round {round}");
        let path = done.stdout.strip_suffix('\n').expect("a line").to_owned();
        assert_eq!(torn(path.as_ref(), path.as_ref()), [0; 0], "{path}");
        assert!(fs::write(format!("{path}/a0"), "").is_err(), "{path} can be written");
        writers.wait_for_rounds();
    }
    drop(writers);
    assert_eq!(names(&to).len(), 5);
    for manifest in scene.manifests() {
        assert_eq!(manifest["status"], "complete", "{manifest:#}");
        assert_eq!(manifest["clean"], true, "{manifest:#}");
        assert_eq!(manifest["certificate"], true);
        assert_eq!(manifest["barriers"][0]["durable"], false);
        assert!(fs::metadata(manifest["path"].as_str().unwrap()).unwrap().is_dir());
    }
}

#[test]
fn several_subvolumes_are_one_moment() {
    let Some(image) = Image::btrfs() else { return };
    let scene = Scene::new();
    let (spool, index) = (image.path().join("spool"), image.path().join("index"));
    subvolume(&spool);
    subvolume(&index);
    let to = image.path().join("snapshots");
    fs::create_dir(&to).unwrap();
    let writers = Writers::start(&scene.barrier_file("mail"), &spool, &index);
    let mut command = scene.stillpoint();
    command
        .args(["snapshot", "mail", "--name", "both", "--btrfs"])
        .arg(&spool)
        .arg(&index)
        .arg("--to")
        .arg(&to);
    run(&mut command).assert_code(0);
    drop(writers);
    assert_eq!(names(&to), ["both"]);
    assert_eq!(names(&to.join("both")), ["index", "spool"]);
    assert_eq!(torn(&to.join("both/spool"), &to.join("both/index")), [0; 0]);
}

#[test]
fn nested_subvolumes_are_refused_and_named() {
    let Some(image) = Image::btrfs() else { return };
    let scene = Scene::new();
    let store = image.path().join("store");
    subvolume(&store);
    fs::create_dir(store.join("deep")).unwrap();
    subvolume(&store.join("deep/nested"));
    let before = scene.generation();
    let mut command = scene.stillpoint();
    command.args(["snapshot", "mail", "--btrfs"]).arg(&store).arg("--to").arg(image.path());
    let done = run(&mut command);
    done.assert_refused(69, &store.join("deep/nested").display().to_string());
    assert_eq!(scene.generation(), before, "the gate was touched");
    assert_eq!(scene.manifests().len(), 0);

    // Asked for, they are part of the snapshot.
    let mut command = scene.stillpoint();
    command.args(["snapshot", "mail", "--name", "x", "--btrfs"]);
    command.args([&store, &store.join("deep/nested")]);
    run(command.arg("--to").arg(image.path())).assert_code(0);
    assert_eq!(names(&image.path().join("x")), ["nested", "store"]);
}

#[test]
fn snapshots_may_be_kept_inside_the_subvolume() {
    let Some(image) = Image::btrfs() else { return };
    let scene = Scene::new();
    let store = image.path();
    let to = store.join(".snapshots");
    fs::create_dir(&to).unwrap();
    fs::write(store.join("letter"), "text").unwrap();
    for name in ["first", "second"] {
        let mut command = scene.stillpoint();
        command
            .args(["snapshot", "mail", "--name", name, "--btrfs"])
            .arg(&store)
            .arg("--to")
            .arg(&to);
        run(&mut command).assert_code(0);
        assert_eq!(fs::read_to_string(to.join(name).join("letter")).unwrap(), "text");
    }
}

#[test]
fn what_is_no_subvolume_and_what_is_elsewhere_is_refused() {
    let Some(image) = Image::btrfs() else { return };
    let scene = Scene::new();
    let (store, folder) = (image.path().join("store"), image.path().join("folder"));
    subvolume(&store);
    fs::create_dir(&folder).unwrap();
    let snapshot = |source: &std::path::Path, to: &std::path::Path| {
        let mut command = scene.stillpoint();
        command.args(["snapshot", "mail", "--btrfs"]).arg(source).arg("--to").arg(to);
        run(&mut command)
    };
    snapshot(&folder, &folder).assert_refused(69, "not a btrfs subvolume");
    snapshot(&scene.path("store"), &folder).assert_refused(69, "not a btrfs subvolume");
    snapshot(&store, &scene.path("snapshots")).assert_refused(73, "cannot leave its file system");
    snapshot(&store, &store).assert_refused(73, "is the subvolume itself");
    snapshot(&store, &folder.join("missing")).assert_refused(73, "name a folder that exists");
    assert_eq!(scene.manifests().len(), 0);
}

#[test]
fn a_snapshot_that_comes_too_late_is_deleted() {
    let Some(image) = Image::btrfs() else { return };
    let scene = Scene::new();
    let store = image.path().join("store");
    subvolume(&store);
    // Succeeds, but after the hold limit.
    scene.stand_in(
        "btrfs",
        r#"case "$2" in snapshot) "$REAL" "$@"; trap "" TERM; sleep 1; exit 0;; esac; exec "$REAL" "$@""#,
    );
    let mut command = scene.stillpoint();
    command
        .args(["snapshot", "mail", "--hold", "0.3", "--btrfs"])
        .arg(&store)
        .arg("--to")
        .arg(image.path());
    run(&mut command).assert_refused(124, "hold limit");
    assert_eq!(names(&image.path()), ["store"]);
    assert_eq!(scene.manifest()["status"], "revoked");
    scene.assert_writers_go_on();
}

#[test]
fn the_second_of_two_subvolumes_failing_removes_the_first() {
    let Some(image) = Image::btrfs() else { return };
    let scene = Scene::new();
    for name in ["one", "two"] {
        subvolume(&image.path().join(name));
    }
    scene.stand_in(
        "btrfs",
        r#"case "$2 $5" in "snapshot "*/two) echo "ERROR: no luck" >&2; exit 1;; esac; exec "$REAL" "$@""#,
    );
    let mut command = scene.stillpoint();
    command.args(["snapshot", "mail", "--btrfs"]);
    command
        .args([image.path().join("one"), image.path().join("two")])
        .arg("--to")
        .arg(image.path());
    run(&mut command).assert_refused(73, "btrfs: no luck");
    assert_eq!(names(&image.path()), ["one", "two"]);
    assert_eq!(scene.manifest()["status"], "failed");
}

#[test]
fn failed_data_is_kept_when_asked_for_under_a_name_of_its_own() {
    let Some(image) = Image::btrfs() else { return };
    let scene = Scene::new();
    let store = image.path().join("store");
    subvolume(&store);
    scene.stand_in(
        "btrfs",
        r#"case "$2" in snapshot) "$REAL" "$@"; exit 1;; esac; exec "$REAL" "$@""#,
    );
    let mut command = scene.stillpoint();
    command.args(["snapshot", "mail", "--keep-failed", "--name", "x", "--btrfs"]);
    command.arg(&store).arg("--to").arg(image.path());
    run(&mut command).assert_refused(73, "x.failed");
    assert_eq!(names(&image.path()), ["store", "x.failed"]);
    assert_eq!(scene.manifest()["kept"], image.path().join("x.failed").to_str().unwrap());
    must(Command::new("btrfs").args(["subvolume", "delete"]).arg(image.path().join("x.failed")));
}

#[test]
fn what_is_mounted_inside_is_named_as_it_is_not_in_the_snapshot() {
    let Some(image) = Image::btrfs() else { return };
    let scene = Scene::new();
    let (store, data, to) =
        (image.path().join("store"), image.path().join("data"), image.path().join("snapshots"));
    subvolume(&store);
    subvolume(&data);
    fs::create_dir(&to).unwrap();
    let place = store.join("data");
    fs::create_dir(&place).unwrap();
    must(Command::new("mount").args(["--bind"]).arg(&data).arg(&place));
    let mut command = scene.stillpoint();
    let done = run(command.args(["snapshot", "mail", "--btrfs"]).arg(&store).arg("--to").arg(&to));
    must(Command::new("umount").arg(&place));
    done.assert_code(0);
    let said = format!("is not in its snapshot: {}", place.display());
    assert!(done.stderr.contains(&said), "{done:#?}");
}
