//! What has the temporary name of a snapshot that was begun, and was not made by its run; and what another
//! run makes, whatever record there is of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;

use crate::common::{Done, Image, Running, must, names, run, start, subvolume, until};
use crate::scene::Scene;
use crate::subvolumes::Subvolumes;

/// The manifest of a run that died when it had made nothing yet.
fn died_early(scene: &Scene, name: &str) -> PathBuf {
    let made = scene.take(name);
    scene.edit(name, |manifest| {
        manifest["status"] = "begun".into();
        manifest["identity"] = serde_json::json!([]);
    });
    fs::remove_dir_all(made).unwrap();
    scene.partial(name)
}

fn sweep(scene: &Scene, catalogue: &Path) -> Done {
    let mut command = scene.stillpoint();
    command.args(["prune", "--keep", "9", "--catalog"]).arg(catalogue);
    run(&mut command)
}

#[test]
fn a_folder_that_was_made_after_the_run_died_is_left_and_named() {
    let scene = Scene::new();
    let partial = died_early(&scene, "x");
    fs::create_dir(&partial).unwrap();
    for precious in [None, Some("precious")] {
        if let Some(precious) = precious {
            fs::write(partial.join(precious), "text").unwrap();
        }
        scene.edit("x", |manifest| manifest["status"] = "begun".into());
        let done = sweep(&scene, &scene.path("catalog"));
        let said = format!("x: was interrupted; {} is left, as nothing tells", partial.display());
        assert!(done.stderr.contains(&said), "{done:#?}");
        assert!(partial.exists() && precious.is_none_or(|file| partial.join(file).exists()));
        let manifest = scene.manifest();
        assert_eq!(manifest["status"], "failed");
        assert!(manifest["reason"].as_str().unwrap().contains("remove it yourself"), "{manifest}");
    }
    // It is said once; and who wants the name is told what has it.
    assert_eq!(sweep(&scene, &scene.path("catalog")).stderr, "");
    run(&mut scene.copy(&["--hold", "10", "--name", "x"])).assert_refused(73, ".x.partial: exists");
}

/// Nothing was written into it, as the manifest did not say yet which one it is.
#[test]
fn the_empty_folder_of_a_run_that_died_at_once_goes() {
    use std::os::unix::fs::DirBuilderExt;
    let scene = Scene::new();
    let partial = died_early(&scene, "x");
    fs::DirBuilder::new().mode(0o700).create(&partial).unwrap();
    sweep(&scene, &scene.path("catalog")).assert_code(0);
    assert_eq!(scene.snapshots(), [""; 0]);
}

/// A snapshot x in its pause, with this catalogue, that goes on when it is let.
fn making(scene: &Scene, catalogue: &Path, source: &[&str], to: &Path) -> Running {
    let script = r#"here=${0%/*}
        case "$*" in
        "-a "* | "subvolume snapshot "*) "$REAL" "$@" || exit; echo >"$here/made"
            until [ -e "$here/go" ]; do sleep 0.01; done; exit 0;;
        esac; exec "$REAL" "$@""#;
    scene.stand_in("cp", script);
    scene.stand_in("btrfs", script);
    let mut command = scene.stillpoint();
    command.args(["snapshot", "mail", "--hold", "60", "--name", "x", "--catalog"]).arg(catalogue);
    let running = start(command.args(source).arg("--to").arg(to));
    until("data", || scene.path("bin/made").exists());
    running
}

fn go_on(scene: &Scene, running: Running) -> Done {
    fs::write(scene.path("bin/go"), "").unwrap();
    running.wait()
}

#[test]
fn what_a_run_with_another_catalogue_makes_is_not_removed() {
    let scene = Scene::new();
    fs::write(scene.path("store/letter"), "text").unwrap();
    died_early(&scene, "x");
    let store = scene.path("store").display().to_string();
    let other = scene.path("other");
    let running = making(&scene, &other, &["--copy", &store], &scene.path("snapshots"));
    let done = sweep(&scene, &scene.path("catalog"));
    assert!(done.stderr.contains(".x.partial is left"), "{done:#?}");
    go_on(&scene, running).assert_code(0);
    assert!(scene.path("snapshots/x/letter").exists());
}

/// As a backup of the catalogue does, or who tries something on a copy of it.
#[test]
fn what_a_live_run_makes_is_not_removed_by_a_copy_of_its_record() {
    let scene = Scene::new();
    fs::write(scene.path("store/letter"), "text").unwrap();
    let image = Image::btrfs();
    let store = scene.path("store").display().to_string();
    let mut plays = vec![(vec!["--copy".to_owned(), store], scene.path("snapshots"))];
    if let Some(image) = &image {
        let source = image.path().join("store");
        subvolume(&source);
        fs::write(source.join("letter"), "text").unwrap();
        plays.push((vec!["--btrfs".to_owned(), source.display().to_string()], image.path()));
    }
    for (source, to) in plays {
        let source: Vec<&str> = source.iter().map(String::as_str).collect();
        let (catalogue, copied) = (scene.path("of-the-run"), scene.path("copied"));
        let running = making(&scene, &catalogue, &source, &to);
        must(Command::new("cp").arg("-a").arg(&catalogue).arg(&copied));
        let done = sweep(&scene, &copied);
        assert!(done.stderr.contains("begun in another folder than this"), "{done:#?}");
        go_on(&scene, running).assert_code(0);
        assert!(to.join("x/letter").exists());
        for what in [&catalogue, &copied, &scene.path("bin/made"), &scene.path("bin/go")] {
            let _ = fs::remove_file(what);
            let _ = fs::remove_dir_all(what);
        }
    }
}

/// What a tool makes has a name of its own, by which it is known although the run could not look at it.
#[test]
fn a_subvolume_goes_that_the_tool_made_for_a_run_that_died() {
    let Some(Subvolumes { scene, image, to }) = Subvolumes::named(&["store"]) else { return };
    // Somebody's own, of the name that anybody could think of.
    fs::create_dir(to.join(".x.partial")).unwrap();
    let source = image.path().join("store").display().to_string();
    let running = making(&scene, &scene.path("catalog"), &["--btrfs", &source], &to);
    running.signal(Signal::SIGKILL);
    go_on(&scene, running);
    assert_eq!(names(&to).len(), 2);
    until("end of the tool", || {
        sweep(&scene, &scene.path("catalog"));
        names(&to) == [".x.partial"]
    });
}

/// Renamed, and another one made in its place, or removed: there is no data without a record.
#[test]
fn a_catalogue_that_goes_elsewhere_takes_the_record_with_it() {
    for made_again in [false, true] {
        let scene = Scene::new();
        let (catalogue, moved) = (scene.path("catalog"), scene.path("moved"));
        let store = scene.path("store").display().to_string();
        let running = making(&scene, &catalogue, &["--copy", &store], &scene.path("snapshots"));
        fs::rename(&catalogue, &moved).unwrap();
        if made_again {
            fs::create_dir(&catalogue).unwrap();
        }
        let done = go_on(&scene, running);
        done.assert_code(0);
        let said = format!("was moved in the meantime; the record of x is in {}", moved.display());
        assert!(done.stderr.contains(&said), "{done:#?}");
        assert_eq!((names(&moved), scene.snapshots()), (vec!["x.json".into()], vec!["x".into()]));
        assert!(!made_again || names(&catalogue).is_empty());
        scene.verb(["use", "--catalog", moved.to_str().unwrap(), "x", "--", "true"]).assert_code(0);
    }
    let scene = Scene::new();
    let store = scene.path("store").display().to_string();
    let running =
        making(&scene, &scene.path("catalog"), &["--copy", &store], &scene.path("snapshots"));
    fs::remove_dir_all(scene.path("catalog")).unwrap();
    let done = go_on(&scene, running);
    done.assert_refused(73, "was removed in the meantime, and with it the record of x");
    assert_eq!(scene.snapshots(), [""; 0]);
}

/// Whatever another catalogue knows of it, and even if its records seem to be its own.
#[test]
fn what_is_made_or_read_is_locked_itself() {
    let scene = Scene::new();
    fs::write(scene.path("store/letter"), "text").unwrap();
    let copied = scene.path("copied");
    let copy = || {
        let _ = fs::remove_dir_all(&copied);
        must(Command::new("cp").arg("-a").arg(scene.path("catalog")).arg(&copied));
    };
    let store = scene.path("store").display().to_string();
    let to = scene.path("snapshots");
    let running = making(&scene, &scene.path("catalog"), &["--copy", &store], &to);
    copy();
    let record = copied.join("x.json");
    let text = fs::read_to_string(&record).unwrap();
    let mut manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    manifest["catalog"] = serde_json::Value::Null;
    fs::write(&record, manifest.to_string()).unwrap();
    let done = sweep(&scene, &copied);
    assert!(done.stderr.contains(".x.partial: somebody makes or reads it"), "{done:#?}");
    go_on(&scene, running).assert_code(0);

    scene.take("y");
    copy();
    let reading = scene.path("reading");
    let script = format!("touch {}; exec sleep 600", reading.display());
    let reader = start(scene.stillpoint().args(["use", "x", "--", "sh", "-c", &script]));
    until("reader", || reading.exists());
    let prune = |dry: &[&str]| {
        let mut command = scene.stillpoint();
        run(command.args(["prune", "--keep", "1", "--catalog"]).arg(&copied).args(dry))
    };
    for dry in [&["--dry-run"][..], &[]] {
        let done = prune(dry);
        assert!(done.code() == 0 && done.stderr.contains("x is in use"), "{done:#?}");
        assert!(to.join("x/letter").exists());
    }
    drop(reader);
    until("end of the reader", || prune(&[]).stdout.starts_with("removed "));
    assert_eq!(scene.snapshots(), ["y"]);
}

/// From before anybody noted what data is known by.
#[test]
fn what_has_the_temporary_name_of_a_snapshot_that_is_pruned_is_not_taken_for_it() {
    let scene = Scene::new();
    for name in ["x", "y"] {
        scene.take(name);
    }
    scene.edit("x", |manifest| manifest["identity"] = serde_json::json!([]));
    let partial = scene.partial("x");
    fs::create_dir(&partial).unwrap();
    fs::write(partial.join("precious"), "text").unwrap();
    let done = scene.verb(["prune", "--keep", "1"]);
    done.assert_refused(71, "something else is in the way");
    // Its place is empty, so nothing tells any more.
    scene.edit("x", |manifest| manifest["identity"] = serde_json::json!([]));
    fs::remove_dir_all(scene.path("snapshots/x")).unwrap();
    let done = scene.verb(["prune", "--keep", "1"]);
    done.assert_refused(71, "nothing tells that it is this snapshot");
    // Nor does it get the name of one.
    scene.edit("x", |manifest| manifest["status"] = "certified".into());
    let done = scene.verb(["prune", "--keep", "1"]);
    assert!(done.stderr.contains("is left, as nothing tells"), "{done:#?}");
    assert!(partial.join("precious").exists());
    assert_eq!(scene.latest(&["--any"]).as_deref(), Some("y"));
}

/// Renamed, and another one made in its place.
#[test]
fn what_was_made_in_a_folder_that_goes_elsewhere_is_found_when_it_is_back() {
    for killed in [false, true] {
        let scene = Scene::new();
        let (to, moved) = (scene.path("snapshots"), scene.path("moved"));
        let store = scene.path("store").display().to_string();
        let running = making(&scene, &scene.path("catalog"), &["--copy", &store], &to);
        fs::rename(&to, &moved).unwrap();
        fs::create_dir(&to).unwrap();
        let said = format!("{} is not the folder that the data is in", to.display());
        if killed {
            running.signal(Signal::SIGKILL);
            go_on(&scene, running);
        } else {
            let done = go_on(&scene, running);
            assert!(done.code() != 0 && done.stderr.contains(&said), "{done:#?}");
        }
        until("end of the tool", || {
            let done = sweep(&scene, &scene.path("catalog"));
            done.code() == 71 && done.stderr.contains(&said)
        });
        assert_eq!(scene.manifest()["status"], "begun");
        assert_eq!((names(&moved), names(&to)), (vec![".x.partial".into()], vec![]));
        fs::remove_dir(&to).unwrap();
        fs::rename(&moved, &to).unwrap();
        sweep(&scene, &scene.path("catalog")).assert_code(0);
        assert_eq!(
            (scene.snapshots(), scene.manifest()["status"].clone()),
            (vec![], "failed".into())
        );
    }
}

#[test]
fn what_was_made_and_moved_away_is_not_called_removed() {
    let scene = Scene::new();
    let store = scene.path("store").display().to_string();
    let running =
        making(&scene, &scene.path("catalog"), &["--copy", &store], &scene.path("snapshots"));
    fs::rename(scene.partial("x"), scene.path("moved")).unwrap();
    let done = go_on(&scene, running);
    assert_ne!(done.code(), 0, "{done:#?}");
    assert!(done.stderr.contains(".x.partial: what was made there is there no more"), "{done:#?}");
}

/// As after a crash whose cause was the disk, or before a slow one is mounted.
#[test]
fn the_data_of_a_run_that_died_waits_for_its_file_system() {
    let Some(image) = Image::ext4() else { return };
    let scene = Scene::new();
    for (status, becomes) in [("certified", "complete"), ("pruning", ""), ("begun", "failed")] {
        let mut command = scene.stillpoint();
        command.args(["snapshot", "mail", "--hold", "10", "--min-open", "0", "--name", status]);
        command.arg("--copy").arg(scene.path("store")).arg("--to").arg(image.path());
        run(&mut command).assert_code(0);
        scene.edit(status, |manifest| manifest["status"] = status.into());
        let (place, partial) = (image.path().join(status), scene.partial(status));
        fs::rename(&place, &partial).unwrap();
        image.unmount();
        let done = sweep(&scene, &scene.path("catalog"));
        done.assert_refused(71, "mount it, or move it back");
        let record = scene.path("catalog").join(format!("{status}.json"));
        assert!(record.exists());
        image.mount();
        sweep(&scene, &scene.path("catalog")).assert_code(0);
        assert_eq!((partial.exists(), place.exists()), (false, becomes == "complete"));
        let text = fs::read_to_string(&record).unwrap_or_default();
        assert!(text.contains(becomes) && record.exists() != becomes.is_empty(), "{text}");
    }
}
