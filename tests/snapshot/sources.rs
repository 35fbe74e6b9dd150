//! A source that is not where it was: not mounted, or moved on purpose.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::{Done, Image, Mounted, must, run, subvolume};
use crate::prune::records;
use crate::scene::Scene;

/// A copy of another folder than the scene's, with more words.
fn copy(scene: &Scene, source: &Path, name: &str, words: &[&str]) -> Done {
    let mut command = scene.stillpoint();
    command.args(["snapshot", "mail", "--hold", "10", "--min-open", "0", "--name", name]);
    command.args(words).arg("--copy").arg(source).arg("--to").arg(scene.path("snapshots"));
    run(&mut command)
}

/// Taken, with nothing to complain of.
#[track_caller]
fn taken(done: Done) {
    assert_eq!((done.code(), done.stderr.as_str()), (0, ""), "{done:#?}");
}

fn use_latest(scene: &Scene) -> Done {
    let read = r#"ls "$STILLPOINT_SNAPSHOT_PATH""#;
    scene.verb(["use", "--latest", "mail", "--", "sh", "-c", read])
}

/// As every night: a snapshot, and a mirror of the newest clean one.
#[test]
fn the_empty_folder_below_a_file_system_pushes_out_nothing_and_is_not_handed_out() {
    for make in [Image::ext4, Image::xfs, Image::btrfs] {
        let Some(image) = make() else { return };
        let scene = Scene::new();
        let source = image.path();
        fs::write(source.join("letter"), "text").unwrap();
        taken(copy(&scene, &source, "full-1", &[]));
        taken(copy(&scene, &source, "full-2", &["--require-mount", source.to_str().unwrap()]));
        let image = image.remount();
        taken(copy(&scene, &source, "full-3", &["--source-changed", "fail"]));

        image.unmount();
        for name in ["empty-1", "empty-2"] {
            let done = copy(&scene, &source, name, &[]);
            done.assert_code(0);
            let said =
                ["warning: ", "when full-3 was taken; is it mounted?", "--source-changed accept"];
            assert!(said.iter().all(|said| done.stderr.contains(said)), "{done:#?}");
        }
        scene.verb(["prune", "--keep", "1"]).assert_code(0);
        assert_eq!(records(&scene), ["empty-2", "full-3"]);
        for any in [&[][..], &["--any"]] {
            let done = scene.verb([&["latest", "mail"], any].concat());
            done.assert_refused(65, "empty-2 was taken when");
            done.assert_refused(65, "than it was for full-3");
        }
        use_latest(&scene).assert_refused(65, "mount it and take another");
        let done = scene.verb(["use", "empty-2", "--", "true"]);
        assert!(done.stderr.contains("warning: empty-2: its source was on another"), "{done:#?}");
        let table = scene.verb(["list"]).stdout;
        let elsewhere = table.lines().filter(|row| row.contains("on another file system"));
        assert!(elsewhere.eq(table.lines().filter(|row| row.starts_with("empty-2"))), "{table}");

        let closed = scene.generation();
        copy(&scene, &source, "x", &["--source-changed", "fail"])
            .assert_refused(69, "is it mounted?");
        let needed = source.to_str().unwrap();
        copy(&scene, &source, "x", &["--require-mount", needed])
            .assert_refused(69, "nothing is mounted");
        copy(&scene, &source, "x", &["--require-mount", "/nowhere"]).assert_refused(69, "/nowhere");
        assert_eq!((scene.generation(), records(&scene).len()), (closed, 2));

        image.mount();
        taken(copy(&scene, &source, "full-4", &[]));
        assert_eq!(scene.latest(&["mail"]).as_deref(), Some("full-4"));
        assert!(use_latest(&scene).stdout.contains("letter\n"));
        scene.verb(["prune", "--keep", "1"]).assert_code(0);
        assert_eq!(records(&scene), ["empty-2", "full-4"]);
    }
}

/// While a barrier was dirty no snapshot was clean, but each knows where its source was.
#[test]
fn the_first_clean_snapshot_is_measured_against_those_that_are_not() {
    let Some(image) = Image::ext4() else { return };
    let scene = Scene::new();
    let source = image.path();
    taken(copy(&scene, &source, "full", &[]));
    scene.edit("full", |manifest| {
        manifest["clean"] = false.into();
        manifest["reason"] = "a writer was lost".into();
    });
    image.unmount();
    let done = copy(&scene, &source, "bare", &[]);
    assert!(done.code() == 0 && done.stderr.contains("when full was taken"), "{done:#?}");
    for any in [&[][..], &["--any"]] {
        scene.verb([&["latest"], any].concat()).assert_refused(65, "than it was for full");
    }
    image.mount();
    taken(copy(&scene, &source, "again", &[]));
    assert_eq!(scene.latest(&[]).as_deref(), Some("again"));
}

/// A copy has in it what is mounted in its source, and must not silently come to lack it.
#[test]
fn the_empty_folder_below_what_is_mounted_in_a_source_is_not_handed_out_either() {
    let (Some(disk), Some(other)) = (Image::ext4(), Image::ext4()) else { return };
    let scene = Scene::new();
    let source = scene.path("store");
    let inner = source.join("disks/inner");
    fs::create_dir_all(&inner).unwrap();
    fs::write(disk.path().join("letter"), "text").unwrap();
    fs::create_dir(disk.path().join("deeper")).unwrap();
    let mounted = Mounted::bind(&disk.path(), &inner);
    let deeper = Mounted::bind(&other.path(), &inner.join("deeper"));
    taken(copy(&scene, &source, "full-1", &[]));
    taken(copy(&scene, &source, "full-2", &["--source-changed", "fail"]));
    assert!(scene.path("snapshots/full-2/disks/inner/letter").exists());

    let missing = |name: &str, said: &str| {
        let done = copy(&scene, &source, name, &[]);
        done.assert_code(0);
        assert!(done.stderr.contains(said) && done.stderr.contains("is it mounted?"), "{done:#?}");
        scene.verb(["latest"]).assert_refused(65, &format!("{name} was taken when"));
        copy(&scene, &source, "x", &["--source-changed", "fail"]).assert_refused(69, said);
    };
    drop(deeper);
    missing("half", &format!("nothing is mounted at {}", inner.join("deeper").display()));
    drop(mounted);
    missing("bare", &format!("nothing is mounted at {}", inner.display()));
    let mounted = Mounted::bind(&other.path(), &inner);
    missing("other", &format!("{} is / of ext4", inner.display()));
    scene.verb(["prune", "--keep", "1"]).assert_code(0);
    assert!(records(&scene).contains(&"full-2".to_owned()), "{:?}", records(&scene));
    taken(copy(&scene, &source, "moved", &["--source-changed", "accept"]));
    assert_eq!(scene.latest(&[]).as_deref(), Some("moved"));
    drop(mounted);
}

#[test]
fn what_is_mounted_or_unmounted_in_a_source_in_the_meantime_is_noticed() {
    let Some(image) = Image::tmpfs(64) else { return };
    let scene = Scene::new();
    let inner = scene.path("store/inner");
    fs::create_dir(&inner).unwrap();
    let _left = Mounted::later(&inner);
    let (disk, place) = (image.path().display().to_string(), inner.display().to_string());
    let do_first = |what: &str| {
        scene.stand_in("cp", &format!(r#"case "$1" in -a) {what};; esac; exec "$REAL" "$@""#));
        let done = copy(&scene, &scene.path("store"), "x", &[]);
        done.assert_refused(69, &format!("{place}: something was mounted or unmounted there"));
        assert_eq!(scene.snapshots(), [""; 0]);
    };
    do_first(&format!("mount --bind {disk} {place}"));
    do_first(&format!("umount {place}"));
}

/// On the same file system, by who takes no share: what was copied is not what was asked for.
#[test]
fn a_folder_that_takes_the_place_of_a_source_in_the_meantime_is_noticed() {
    let scene = Scene::new();
    fs::create_dir(scene.path("other")).unwrap();
    let store = scene.path("store").display().to_string();
    let place = scene.path("").display().to_string();
    let swap = format!("mv {store} {place}/away && mv {place}/other {store}");
    for how in [format!(r#"{swap}; exec "$REAL" "$@""#), format!(r#""$REAL" "$@" && {swap}"#)] {
        scene.stand_in("cp", &format!(r#"case "$1" in -a) {how};; *) exec "$REAL" "$@";; esac"#));
        let done = copy(&scene, &scene.path("store"), "x", &[]);
        done.assert_refused(69, &format!("{store}: another folder has taken its place"));
        assert_eq!(scene.snapshots(), [""; 0]);
        fs::rename(&store, scene.path("other")).unwrap();
        fs::rename(scene.path("away"), &store).unwrap();
    }
    fs::remove_file(scene.path("bin/cp")).unwrap();
    taken(copy(&scene, &scene.path("store"), "y", &[]));
}

#[test]
fn a_source_that_has_moved_on_purpose_goes_on_with_its_series() {
    let Some(image) = Image::ext4() else { return };
    let scene = Scene::new();
    let (source, disk) = (scene.path("store"), image.path());
    fs::write(source.join("letter"), "text").unwrap();
    taken(copy(&scene, &source, "old", &[]));
    fs::write(disk.join("letter"), "text").unwrap();
    must(Command::new("mount").arg("--bind").arg(&disk).arg(&source));
    copy(&scene, &source, "first", &[]).assert_code(0);
    scene.verb(["latest"]).assert_refused(65, "first was taken when");
    taken(copy(&scene, &source, "new", &["--source-changed", "accept"]));
    taken(copy(&scene, &source, "newer", &[]));
    assert_eq!(scene.latest(&[]).as_deref(), Some("newer"));
    // What is not mounted now is the folder that was right before.
    must(Command::new("umount").arg(&source));
    let done = copy(&scene, &source, "bare", &[]);
    assert!(done.code() == 0 && done.stderr.contains("when newer was taken"), "{done:#?}");
    scene.verb(["latest"]).assert_refused(65, "than it was for newer");
    scene.verb(["prune", "--keep", "2"]).assert_code(0);
    assert_eq!(records(&scene), ["bare", "first", "new", "newer"]);
}

/// The same file system twice, but not the same folder of it; and a subvolume that was made anew.
#[test]
fn another_place_in_a_file_system_is_another_source() {
    let Some(image) = Image::btrfs() else { return };
    let scene = Scene::new();
    let (data, source) = (image.path().join("data"), image.path().join("source"));
    [&data, &source].iter().for_each(|folder| fs::create_dir(folder).unwrap());
    must(Command::new("mount").arg("--bind").arg(&data).arg(&source));
    taken(copy(&scene, &source, "bound", &[]));
    must(Command::new("umount").arg(&source));
    copy(&scene, &source, "bare", &["--source-changed", "fail"])
        .assert_refused(69, "is it mounted?");

    let mail = image.path().join("mail");
    subvolume(&mail);
    taken(copy(&scene, &mail, "mail-1", &[]));
    must(Command::new("btrfs").args(["-q", "subvolume", "delete"]).arg(&mail));
    subvolume(&mail);
    let done = copy(&scene, &mail, "mail-2", &["--source-changed", "fail"]);
    done.assert_refused(69, "when mail-1 was taken");
}

/// From before anybody looked where sources are: the first run after an upgrade goes on with them.
#[test]
fn what_an_earlier_version_took_is_of_the_same_series() {
    let scene = Scene::new();
    for name in ["old-1", "old-2"] {
        scene.take(name);
        scene.edit(name, |manifest| {
            let fields = manifest.as_object_mut().unwrap();
            assert!(
                fields.remove("origins").is_some() && fields.remove("source_changed").is_some()
            );
        });
    }
    assert_eq!(scene.latest(&[]).as_deref(), Some("old-2"));
    taken(copy(&scene, &scene.path("store"), "new-1", &["--source-changed", "fail"]));
    assert_eq!(scene.latest(&[]).as_deref(), Some("new-1"));
    scene.verb(["prune", "--keep", "2"]).assert_code(0);
    assert_eq!(records(&scene), ["new-1", "old-2"]);
}

/// It was looked at before the writers were waited for.
#[test]
fn a_source_that_is_mounted_or_unmounted_in_the_meantime_is_no_snapshot() {
    let Some(image) = Image::tmpfs(64) else { return };
    let scene = Scene::new();
    scene.stand_in("cp", &format!("umount {}; exec \"$REAL\" \"$@\"", image.path().display()));
    let done = copy(&scene, &image.path(), "x", &[]);
    done.assert_refused(69, "mounted or unmounted there in the meantime");
    assert_eq!((scene.snapshots(), &scene.manifest()["status"]), (vec![], &"failed".into()));
    image.mount_tmpfs(64);
}

/// What a command reads is known by `--sync`, and the alert of a series must not see what is not of it.
#[test]
fn metrics_know_what_was_mounted() {
    let Some(image) = Image::ext4() else { return };
    let scene = Scene::new();
    let sync = image.path().display().to_string();
    let newest = || {
        let done = scene.verb(["status", "--prometheus", "mail"]);
        let metric = "stillpoint_newest_clean_snapshot_timestamp_seconds{";
        let samples = done.stdout.lines().filter(|line| line.starts_with(metric));
        samples.map(str::to_owned).collect::<Vec<_>>()
    };
    let take = |name: &str| {
        let words = ["mail", "--min-open", "0", "--name", name, "--sync", &sync, "--", "true"];
        scene.snapshot(words).assert_code(0);
    };
    take("mounted");
    let before = newest();
    assert!(before.len() == 1 && before[0].contains(&sync), "{before:?}");
    image.unmount();
    take("bare");
    assert_eq!(newest(), before);
    image.mount();
    take("again");
    assert_ne!(newest(), before);
}
