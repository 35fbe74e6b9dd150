//! Something else stands where the data of a snapshot was: it is neither named nor used, renamed or
//! removed in its stead.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Image, Mounted, must, names, run};
use crate::scene::Scene;
use crate::subvolumes::Subvolumes;

/// Somebody's own folder at this place.
fn make_another(place: &Path) {
    fs::create_dir(place).unwrap();
    fs::write(place.join("precious"), "text").unwrap();
}

fn is_whole(place: &Path) -> bool {
    fs::read_to_string(place.join("precious")).is_ok_and(|text| text == "text")
}

fn delete_subvolume(place: &Path) {
    must(Command::new("btrfs").args(["subvolume", "delete"]).arg(place));
}

/// `latest` names the one before, nothing uses this one, and `prune` leaves what is there.
fn assert_left_alone(scene: &Scene, before: &str, replaced: &Path) {
    let name = replaced.file_name().unwrap().to_str().unwrap();
    for words in [&[][..], &["--any"]] {
        assert_eq!(scene.latest(words).as_deref(), Some(before));
    }
    scene.verb(["use", name, "--", "true"]).assert_refused(66, "something else stands where");
    let list = scene.verb(["list"]).stdout;
    assert!(list.contains(&format!("{} (replaced)", replaced.display())), "{list}");
    let there = names(replaced);
    scene.verb(["prune", "--keep", "1"]).assert_code(0);
    assert_eq!(scene.latest(&[]).as_deref(), Some(before));
    assert_eq!(names(replaced), there);
    // Newer ones push the record out, and only that.
    let shown = format!("removed the record of {name}; {} is something else", replaced.display());
    scene.edit(name, |manifest| manifest["sequence"] = 0.into());
    let pruned = scene.verb(["prune", "--keep", "1"]);
    pruned.assert_code(0);
    assert!(pruned.stdout.contains(&shown), "{pruned:?}");
    assert_eq!(names(replaced), there);
    assert!(!scene.path("catalog").join(format!("{name}.json")).exists());
}

#[test]
fn a_copy_that_was_moved_away_is_not_what_has_its_place() {
    let scene = Scene::new();
    scene.take("old");
    let new = scene.take("new");
    fs::rename(&new, scene.path("moved")).unwrap();
    make_another(&new);
    assert_left_alone(&scene, "old", &new);
    assert!(is_whole(&new));
}

/// A copy that is kept on another file system.
fn take_on(scene: &Scene, image: &Image, name: &str) -> PathBuf {
    let mut command = scene.stillpoint();
    command.args(["snapshot", "mail", "--hold", "10", "--min-open", "0", "--name", name]);
    command.arg("--copy").arg(scene.path("store")).arg("--to").arg(image.path());
    run(&mut command).assert_code(0);
    image.path().join(name)
}

/// Where the new folder has the inode of the old one, and neither has a time of birth.
#[test]
fn a_copy_is_told_from_a_folder_with_its_inode() {
    let Some(image) = Image::ext4_without_births() else { return };
    let scene = Scene::new();
    let take = |name: &str| take_on(&scene, &image, name);
    take("old");
    let new = take("new");
    let inode = || fs::metadata(&new).unwrap().ino();
    let before = inode();
    fs::remove_dir_all(&new).unwrap();
    fs::create_dir(&new).unwrap();
    assert_eq!(inode(), before, "it tells nothing if it is another one anyway");
    fs::write(new.join("precious"), "text").unwrap();
    assert_left_alone(&scene, "old", &new);
    assert!(is_whole(&new));
    let image = image.remount();
    assert_eq!(scene.latest(&[]).as_deref(), Some("old"));
    drop(image);
}

/// Nor does a file system stand for it that keeps no births; there, a number has to tell.
#[test]
fn what_keeps_no_births_is_not_what_does() {
    let Some(image) = Image::tmpfs(64) else { return };
    let scene = Scene::new();
    for name in ["old", "new"] {
        scene.take(name);
    }
    must(Command::new("umount").arg(image.path()));
    must(Command::new("mount").args(["-t", "ramfs", "none"]).arg(image.path()));
    let bound = Mounted::bind(&image.path(), &scene.path("snapshots/new"));
    assert_eq!(scene.latest(&[]).as_deref(), Some("old"));
    drop(bound);
    assert_eq!(scene.latest(&[]).as_deref(), Some("new"));

    let take = |name: &str| take_on(&scene, &image, name);
    take("first");
    let second = take("second");
    fs::rename(&second, image.path().join("moved")).unwrap();
    make_another(&second);
    assert_eq!(scene.latest(&[]).as_deref(), Some("first"));
    scene.verb(["prune", "--keep", "1"]).assert_code(0);
    assert!(is_whole(&second));
}

#[test]
fn a_manifest_from_before_identities_is_believed() {
    let scene = Scene::new();
    scene.take("old");
    scene.take("new");
    scene.edit("old", |manifest| {
        assert!(manifest.as_object_mut().unwrap().remove("identity").is_some(), "always present");
    });
    scene.verb(["use", "old", "--", "true"]).assert_code(0);
    scene.verb(["prune", "--keep", "1"]).assert_code(0);
    assert_eq!(scene.snapshots(), ["new"]);
}

#[test]
fn neither_a_folder_nor_another_snapshot_stands_for_a_subvolume() {
    let Some(disk) = Subvolumes::named(&["store"]) else { return };
    let scene = &disk.scene;
    disk.take("old", &["store"]);
    let new = disk.take("new", &["store"]);
    delete_subvolume(&new);
    make_another(&new);
    assert_left_alone(scene, "old", &new);
    assert!(is_whole(&new));

    // Of the same source, and so with a root of the same birth.
    let newer = disk.take("newer", &["store"]);
    delete_subvolume(&newer);
    must(Command::new("btrfs").args(["subvolume", "snapshot"]).args([&disk.path("store"), &newer]));
    assert_left_alone(scene, "old", &newer);
    assert!(newer.exists());
}

#[test]
fn a_snapshot_of_several_subvolumes_is_all_of_them() {
    let sources = ["spool", "index"];
    let Some(disk) = Subvolumes::named(&sources) else { return };
    let scene = &disk.scene;
    disk.take("old", &sources);
    let new = disk.take("new", &sources);
    delete_subvolume(&new.join("spool"));
    assert_eq!(scene.latest(&[]).as_deref(), Some("old"));
    fs::create_dir(new.join("spool")).unwrap();
    assert_eq!(scene.latest(&[]).as_deref(), Some("old"));
    scene.verb(["use", "new", "--", "true"]).assert_refused(66, "something else stands where");
}

/// What a file system is known by is not for one boot only, as the numbers of its devices are.
#[test]
fn the_data_is_the_same_after_a_remount() {
    for make in [Image::btrfs, Image::xfs] {
        let Some(image) = make() else { return };
        let scene = Scene::new();
        let (source, to) = (image.path().join("store"), image.path().join("snapshots"));
        fs::create_dir(&to).unwrap();
        let is_btrfs = Command::new("btrfs").args(["subvolume", "create"]).arg(&source).output();
        let is_btrfs = is_btrfs.unwrap().status.success();
        let take = |name: &str, how: &str| {
            let mut command = scene.stillpoint();
            command.args(["snapshot", "mail", "--min-open", "0", "--name", name, how]);
            run(command.arg(&source).arg("--to").arg(&to)).assert_code(0);
        };
        if is_btrfs {
            take("subvolume", "--btrfs");
        } else {
            fs::create_dir(&source).unwrap();
        }
        take("folder", "--reflink");
        // The device numbers change: other file systems have them now.
        let others = (Image::tmpfs(64), image.remount());
        for name in names(&to) {
            scene.verb(["use", &name, "--", "true"]).assert_code(0);
        }
        assert_eq!(scene.latest(&[]).as_deref(), Some("folder"));
        drop(others);
    }
}

/// A certified snapshot waits to be renamed; what has taken its place is not renamed, nor removed.
#[test]
fn the_run_after_one_that_died_finishes_only_its_own_data() {
    let scene = Scene::new();
    let new = scene.take("new");
    let partial = scene.partial("new");
    for at in [&partial, &new] {
        scene.edit("new", |manifest| manifest["status"] = "certified".into());
        let _ = fs::rename(&new, scene.path("moved"));
        make_another(at);
        scene.snapshot(["mail", "--min-open", "0", "--name", "next", "--", "true"]).assert_code(0);
        assert_eq!(scene.manifests()[0]["status"], "failed");
        assert!(is_whole(at), "{at:?}");
        fs::remove_dir_all(at).unwrap();
        fs::remove_file(scene.path("catalog/next.json")).unwrap();
    }
}

#[test]
fn what_was_kept_of_a_failed_one_is_known_too() {
    let scene = Scene::new();
    scene.stand_in("cp", r#"case "$1" in -a) exit 1;; esac; exec "$REAL" "$@""#);
    for name in ["a", "b"] {
        let keep = ["--hold", "10", "--min-open", "0", "--keep-failed", "--name", name];
        run(&mut scene.copy(&keep)).assert_code(73);
    }
    let kept = scene.path("snapshots/a.failed");
    fs::remove_dir_all(&kept).unwrap();
    make_another(&kept);
    scene.verb(["prune", "--keep", "1"]).assert_code(0);
    assert!(is_whole(&kept));
    assert_eq!(scene.manifests().len(), 1);
}
