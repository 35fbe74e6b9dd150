//! The folder of manifests.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::common::{Image, is_root, must, names, run, start, until};
use crate::scene::Scene;

#[test]
fn garbage_in_the_catalogue_is_left_alone() {
    let scene = Scene::new();
    let catalog = scene.path("catalog");
    let garbage = [
        ("empty.json", ""),
        ("cut.json", "{\"schema\":1,\"name\":\"cut\","),
        ("other.json", "[1]"),
    ];
    let foreign = r#"{"schema":99,"name":"later","status":"begun","partial":"/"}"#;
    for (name, text) in garbage.iter().chain(&[("later.json", foreign), ("notes.txt", "x")]) {
        fs::write(catalog.join(name), text).unwrap();
    }
    scene.snapshot(["mail", "--name", "mine", "--", "true"]).assert_code(0);
    let expected = ["cut.json", "empty.json", "later.json", "mine.json", "notes.txt", "other.json"];
    assert_eq!(names(&catalog), expected);
    assert_eq!(fs::read_to_string(catalog.join("later.json")).unwrap(), foreign);
}

#[test]
fn a_manifest_that_names_what_cannot_be_its_own_is_not_believed() {
    let scene = Scene::new();
    run(&mut scene.copy(&["--hold", "10", "--name", "x"])).assert_code(0);
    let mut manifest = scene.manifest();
    manifest["status"] = "begun".into();
    manifest["partial"] = scene.path("store").to_str().into();
    for name in ["x", "copied"] {
        fs::write(scene.path("catalog").join(format!("{name}.json")), manifest.to_string())
            .unwrap();
    }
    scene.snapshot(["mail", "--name", "y", "--", "true"]).assert_code(0);
    assert!(scene.path("store").is_dir(), "somebody's data was removed");
}

#[test]
fn texts_written_aside_by_a_run_that_died_are_removed() {
    let scene = Scene::new();
    File::create(scene.path("catalog/.old.json.new")).unwrap();
    scene.snapshot(["mail", "--name", "mine", "--", "true"]).assert_code(0);
    assert_eq!(names(&scene.path("catalog")), ["mine.json"]);
}

#[test]
fn the_folder_is_made_and_the_option_goes_first() {
    let scene = Scene::new();
    let elsewhere = scene.path("deep/elsewhere");
    let done = scene.snapshot([
        "mail".as_ref(),
        "--catalog".as_ref(),
        elsewhere.as_os_str(),
        "--".as_ref(),
        "true".as_ref(),
    ]);
    done.assert_code(0);
    assert_eq!(names(&elsewhere).len(), 1);
    assert_eq!(scene.manifests().len(), 0);
}

#[test]
fn default_names_are_unique() {
    let scene = Scene::new();
    for _ in 0..3 {
        scene.snapshot(["mail", "--min-open", "0", "--", "true"]).assert_code(0);
    }
    let manifests = scene.manifests();
    assert_eq!(manifests.len(), 3);
    for manifest in manifests {
        let name = manifest["name"].as_str().unwrap();
        // 2026-11-21T07-45-12.345Z
        assert!(name.len() >= 24 && name.contains('Z') && !name.contains(':'), "{name}");
    }
}

#[test]
fn of_two_at_once_with_one_name_there_is_one_snapshot() {
    let scene = Scene::new();
    fs::write(scene.path("store/letter"), "text").unwrap();
    for round in 0..5 {
        let name = format!("x{round}");
        let words = ["--hold", "10", "--min-open", "0", "--attempts", "9", "--name", &name];
        let running: Vec<_> = (0..4).map(|_| start(&mut scene.copy(&words))).collect();
        let done: Vec<_> = running.into_iter().map(|running| running.wait()).collect();
        let made = done.iter().filter(|done| done.code() == 0).count();
        assert_eq!(made, 1, "{done:#?}");
        assert!(done.iter().all(|done| matches!(done.code(), 0 | 73)), "{done:#?}");
        let letter = scene.path("snapshots").join(&name).join("letter");
        assert_eq!(fs::read_to_string(letter).unwrap(), "text");
        assert_eq!(scene.latest(&[]), Some(name));
    }
    assert_eq!(scene.snapshots().len(), 5);
}

#[test]
fn of_many_at_once_each_has_its_place_in_the_order() {
    let scene = Scene::new();
    let running: Vec<_> = (0..6)
        .map(|number| {
            let name = number.to_string();
            start(scene.stillpoint().args([
                "snapshot",
                "mail",
                "--min-open",
                "0",
                "--attempts",
                "9",
                "--name",
                &name,
                "--",
                "true",
            ]))
        })
        .collect();
    for running in running {
        running.wait().assert_code(0);
    }
    let mut sequences: Vec<u64> =
        scene.manifests().iter().map(|manifest| manifest["sequence"].as_u64().unwrap()).collect();
    sequences.sort();
    assert_eq!(sequences, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn whoever_locks_the_folder_stops_no_snapshot() {
    let scene = Scene::new();
    let ready = scene.path("ready");
    let script = format!("echo > {}; exec sleep 600", ready.display());
    let mut holder = std::process::Command::new("flock");
    holder.arg("--no-fork").arg(scene.path("catalog")).args(["sh", "-c", &script]);
    let holder = start(&mut holder);
    until("lock on the folder", || ready.exists());
    scene.take("x");
    scene.take("y");
    assert_eq!(scene.latest(&[]).as_deref(), Some("y"));
    drop(holder);
}

#[test]
fn a_full_catalogue_is_refused_before_the_gate_closes() {
    let Some(image) = Image::tmpfs(64) else {
        return;
    };
    let scene = Scene::new();
    let before = scene.generation();
    // As much as fits.
    let _ = fs::write(image.path().join("filler"), vec![1; 1 << 20]);
    let mut command = scene.stillpoint();
    command.arg("snapshot").arg("mail").arg("--catalog");
    let done = run(command.arg(image.path()).args(["--", "true"]));
    done.assert_refused(73, "No space left on device");
    assert_eq!(scene.generation(), before);
    assert_eq!(names(&image.path()), ["filler"]);
}

#[test]
fn a_catalogue_that_fills_up_in_the_pause_never_has_a_complete_one() {
    let Some(image) = Image::tmpfs(64) else {
        return;
    };
    let scene = Scene::new();
    let catalog = image.path();
    let fill = format!(
        r#"case "$1" in -a) cat /dev/zero > '{}/filler';; esac; exec "$REAL" "$@""#,
        catalog.display()
    );
    scene.stand_in("cp", &fill);
    let catalog = catalog.to_str().unwrap();
    let copy =
        |name: &str| run(&mut scene.copy(&["--hold", "10", "--catalog", catalog, "--name", name]));
    copy("x").assert_refused(73, "No space left on device");
    assert_eq!(scene.snapshots(), [""; 0]);
    let read = |name: &str| {
        let text = fs::read_to_string(image.path().join(name)).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    assert_eq!(read("x.json")["status"], "begun");

    fs::remove_file(image.path().join("filler")).unwrap();
    fs::remove_file(scene.path("bin/cp")).unwrap();
    copy("y").assert_code(0);
    assert_eq!(
        (read("x.json")["status"].as_str(), read("y.json")["status"].as_str()),
        (Some("failed"), Some("complete"))
    );
    assert_eq!(scene.snapshots(), ["y"]);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Whoever may read a manifest may use its snapshot, and no umask of root's decides who that is.
#[test]
fn everybody_may_read_what_is_made_whatever_the_umask() {
    for umask in ["000", "027", "077"] {
        let scene = Scene::new();
        let catalog = scene.path("deep/catalog");
        let metrics = scene.path("metrics");
        let store = scene.path("store");
        fs::set_permissions(&store, fs::Permissions::from_mode(0o750)).unwrap();
        let script = format!("umask {umask}; exec \"$STILLPOINT\" \"$@\"");
        let mut shell = scene.environment(Command::new("sh"));
        shell.args(["-c", &script, "sh", "snapshot", "mail", "--hold", "10", "--name", "x"]);
        shell.arg("--catalog").arg(&catalog).arg("--metrics-textfile").arg(&metrics);
        shell.arg("--copy").arg(&store).arg("--to").arg(scene.path("snapshots"));
        run(&mut shell).assert_code(0);
        for folder in [scene.path("deep"), catalog.clone()] {
            assert_eq!(mode(&folder), 0o755, "{umask}: {}", folder.display());
        }
        for file in [catalog.join("x.json"), metrics] {
            assert_eq!(mode(&file), 0o644, "{umask}: {}", file.display());
        }
        // That of the data is its owner's affair.
        assert_eq!(mode(&scene.path("snapshots/x")), 0o750, "{umask}");
        if !is_root() {
            continue;
        }
        must(Command::new("chmod").arg("755").arg(scene.path("")).arg(scene.barriers()));
        let mut other = scene.as_nobody(["use", "x", "--catalog"]);
        run(other.arg(&catalog).args(["--", "true"])).assert_code(0);
    }
}
