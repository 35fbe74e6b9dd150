//! What is refused before the gate closes, and the dry run, which goes no further.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::common::{Image, NOBODY, is_root, run, subvolume};
use crate::scene::Scene;

#[test]
fn a_dry_run_checks_everything_and_leaves_the_gate_alone() {
    let scene = Scene::new();
    let before = scene.generation();
    let done = run(&mut scene.copy(&["--hold", "10", "--name", "x", "--dry-run"]));
    done.assert_code(0);
    assert_eq!(done.stdout, "");
    assert!(done.stderr.contains("would close"), "{done:?}");
    assert!(done.stderr.contains(scene.path("snapshots/x").to_str().unwrap()), "{done:?}");
    let json = run(&mut scene.copy(&["--hold", "10", "--dry-run", "--json"]));
    let report: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&report["dry_run"], &report["status"]), (&true.into(), &"planned".into()));
    scene.snapshot(["mail", "--dry-run", "--", "no-such-command"]).assert_refused(127, "not found");
    assert_eq!(scene.generation(), before);
    assert_eq!(scene.snapshots(), [""; 0]);
    assert_eq!(scene.manifests().len(), 0);
}

#[test]
fn arguments_that_make_no_sense_are_usage_errors() {
    let scene = Scene::new();
    let (store, to) = (scene.path("store"), scene.path("snapshots"));
    let (store, to) = (store.to_str().unwrap(), to.to_str().unwrap());
    let wrong: [&[&str]; 10] = [
        &["mail"],
        &["--", "true"],
        &["mail", "--copy", store, "--hold", "1"],
        &["mail", "--copy", store, "--to", to],
        &["mail", "--copy", store, "--reflink", store, "--to", to, "--hold", "1"],
        &["mail", "--to", to, "--", "true"],
        &["mail", "--name", "a/b", "--", "true"],
        &["mail", "--attempts", "0", "--", "true"],
        &["mail", "--hold", "soon", "--", "true"],
        &["mail", "--on-dirty", "maybe", "--", "true"],
    ];
    for arguments in wrong {
        let done = scene.snapshot(arguments);
        assert_eq!(done.code(), 64, "{arguments:?}: {done:#?}");
    }
    assert_eq!(scene.manifests().len(), 0);
}

#[test]
fn a_barrier_whose_path_no_manifest_can_hold_is_refused() {
    let scene = Scene::new();
    let path = scene.path("").join(OsStr::from_bytes(b"\xff.barrier"));
    drop(stillpoint::Barrier::create(&path).unwrap());
    let arguments = [path.as_os_str(), "--".as_ref(), "true".as_ref()];
    scene.snapshot(arguments).assert_refused(64, "not valid UTF-8");
    assert_eq!(scene.manifests().len(), 0);
}

#[test]
fn what_is_missing_is_named() {
    let scene = Scene::new();
    scene.snapshot(["nobody", "--", "true"]).assert_refused(66, "nobody");
    let mut command = scene.stillpoint();
    command.args(["snapshot", "mail", "--hold", "1", "--copy", "/no/such/store"]);
    run(command.arg("--to").arg(scene.path("snapshots"))).assert_refused(66, "/no/such/store");
}

#[test]
fn a_tool_that_is_not_there_is_named() {
    let scene = Scene::new();
    // findmnt is asked first by all of them.
    let mut command = scene.copy(&["--hold", "1"]);
    run(command.env("PATH", scene.path("bin"))).assert_refused(69, "findmnt was not found in PATH");
    assert_eq!(scene.manifests().len(), 0);
}

#[test]
fn ordinary_users_are_told_about_the_catalogue_and_the_target() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    for path in [scene.path(""), scene.barriers().to_owned()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let barriers = scene.path("nobody");
    fs::create_dir(&barriers).unwrap();
    std::os::unix::fs::chown(&barriers, Some(NOBODY), Some(NOBODY)).unwrap();
    let barrier = barriers.join("mine.barrier");
    let barrier = barrier.to_str().unwrap();
    run(&mut scene.as_nobody(["create", barrier])).assert_code(0);

    let mut standard = scene.as_nobody(["snapshot", barrier, "--", "true"]);
    run(standard.env_remove("STILLPOINT_CATALOG")).assert_refused(77, "--catalog");
    let (store, to) = (scene.path("store"), scene.path("snapshots"));
    let catalog = barriers.to_str().unwrap();
    let copy = |to: &Path| {
        let (store, to) = (store.to_str().unwrap(), to.to_str().unwrap());
        run(&mut scene.as_nobody([
            "snapshot",
            barrier,
            "--hold",
            "9",
            "--catalog",
            catalog,
            "--copy",
            store,
            "--to",
            to,
        ]))
    };
    copy(&to).assert_refused(77, "cannot be written");
    // And when all is theirs they need nothing else.
    copy(&barriers).assert_code(0);

    fs::write(store.join("secret"), "").unwrap();
    fs::create_dir(store.join("closed")).unwrap();
    fs::set_permissions(store.join("closed"), fs::Permissions::from_mode(0o700)).unwrap();
    copy(&barriers).assert_refused(77, "closed");
}

#[test]
fn btrfs_without_root_is_refused_before_the_gate_closes() {
    let Some(image) = Image::btrfs() else {
        return;
    };
    let scene = Scene::new();
    let store = image.path().join("store");
    subvolume(&store);
    // As btrfs-progs answers an ordinary user.
    scene.stand_in(
        "btrfs",
        r#"case "$2" in list) echo "ERROR: can't perform the search: Operation not permitted" >&2; exit 1;; esac
           exec "$REAL" "$@""#,
    );
    let before = scene.generation();
    let mut command = scene.stillpoint();
    command.args(["snapshot", "mail", "--btrfs"]).arg(&store).arg("--to").arg(image.path());
    run(&mut command).assert_refused(69, "takes root");
    assert_eq!(scene.generation(), before);
}

#[test]
fn a_barrier_that_an_option_has_taken_for_its_own_is_named() {
    let scene = Scene::new();
    for (words, option) in [
        (&["--btrfs", "/srv/mail", "mail", "--to", "/srv"] as &[&str], "--btrfs"),
        (&["--zfs", "tank/mail", "mail"], "--zfs"),
        (&["--lvm", "vg/mail", "mail"], "--lvm"),
        (&["--cyrus", "mail", "--", "true"], "--cyrus"),
    ] {
        let done = scene.snapshot(words);
        done.assert_refused(64, &format!("mail was taken for a word of {option}"));
        assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
    }
    scene
        .snapshot(["--btrfs", "/srv/mail", "--to", "/srv"])
        .assert_refused(64, "BARRIER is missing");
}
