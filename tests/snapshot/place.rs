//! `use --at`: the snapshot at a fixed place, for one command alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::common::{Done, STILLPOINT, is_root, must, run, start, until};
use crate::scene::Scene;
use crate::subvolumes::Subvolumes;

/// What is at the place of the source now, and what is in the newest snapshot.
fn scene() -> Option<Scene> {
    if !is_root() {
        return None;
    }
    let scene = Scene::new();
    fs::write(scene.path("store/letter"), "then").unwrap();
    fs::create_dir(scene.path("store/folder")).unwrap();
    scene.take("x");
    fs::write(scene.path("store/letter"), "now").unwrap();
    fs::create_dir(scene.path("store/later")).unwrap();
    Some(scene)
}

fn show(scene: &Scene, place: &str, script: &str) -> Done {
    scene.verb(["use", "--latest", "--at", place, "mail", "--", "sh", "-c", script])
}

#[test]
fn the_command_finds_it_over_the_source_and_nobody_else_does() {
    let Some(scene) = scene() else { return };
    let store = scene.path("store").display().to_string();
    let script = format!(
        r#"cat {store}/letter; echo " $STILLPOINT_SNAPSHOT_PATH $STILLPOINT_SNAPSHOT_SOURCE"
        touch {store}/new 2>/dev/null || echo read-only"#
    );
    let done = show(&scene, &store, &script);
    done.assert_code(0);
    assert_eq!(done.stdout, format!("then {store} {store}\nread-only\n"));
    assert_eq!(show(&scene, &store, "exit 7").code(), 7);

    // A relative place, and one that is reached by a link, are what they were called.
    std::os::unix::fs::symlink(&store, scene.path("link")).unwrap();
    let mut command = scene.stillpoint();
    command.current_dir(scene.path("")).args(["use", "x", "--at", "link", "--", "sh", "-c"]);
    let done = run(command.arg(r#"cat "$STILLPOINT_SNAPSHOT_PATH/letter""#));
    assert_eq!((done.code(), done.stdout.as_str()), (0, "then"), "{done:#?}");

    let ready = scene.path("ready");
    let script = format!("echo >{}; exec sleep 600", ready.display());
    let mut reader = scene.stillpoint();
    reader.args(["use", "x", "--at", &store, "--", "sh", "-c", &script]);
    let reader = start(&mut reader);
    until("reader", || ready.exists());
    assert_eq!(fs::read_to_string(scene.path("store/letter")).unwrap(), "now");
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&store), "{mounts}");
    drop(reader);
}

/// Whoever stands in the folder would go on reading what lies below.
#[test]
fn the_current_folder_is_in_the_snapshot_too() {
    let Some(scene) = scene() else { return };
    let from = |folder: &str, place: &str| {
        let mut command = scene.stillpoint();
        command.current_dir(scene.path(folder)).args(["use", "x", "--at", place, "--"]);
        run(command.args(["sh", "-c", "cat letter ../letter 2>/dev/null"]))
    };
    assert_eq!(from("store", ".").stdout, "then");
    let store = scene.path("store").display().to_string();
    assert_eq!(from("store/folder", &store).stdout, "then");
    from("store/later", &store).assert_refused(66, "store/later; start from elsewhere");
    assert_eq!(from("", &store).stdout, "");
}

#[test]
fn several_subvolumes_are_at_one_place() {
    let sources = ["spool", "index"];
    let Some(disk) = Subvolumes::named(&sources) else { return };
    for name in sources {
        fs::write(disk.path(name).join("letter"), "text").unwrap();
    }
    disk.snapshot(&sources, &[]).assert_code(0);
    let place = disk.scene.path("store").display().to_string();
    let done = show(&disk.scene, &place, &format!("cat {place}/spool/letter {place}/index/letter"));
    assert_eq!(done.stdout, "texttext", "{done:#?}");
}

#[test]
fn what_cannot_be_shown_there_is_refused_in_one_line() {
    let Some(scene) = scene() else { return };
    show(&scene, "/nowhere/at/all", "true").assert_refused(66, "name a folder that exists");
    let letter = scene.path("store/letter").display().to_string();
    show(&scene, &letter, "true").assert_refused(66, "not a folder");

    // Others may use it, but not mount it.
    for folder in ["", "store", "snapshots", "catalog"] {
        let everybody = fs::Permissions::from_mode(0o755);
        fs::set_permissions(scene.path(folder), everybody).unwrap();
    }
    let store = scene.path("store").display().to_string();
    let command = scene.as_nobody(["use", "x", "--at", &store, "--", "true"]);
    run(command).assert_refused(69, "run it as root");

    scene.make_zfs("x");
    show(&scene, &store, "true").assert_refused(69, "tank/mail@x: cannot be mounted: ");
}

/// In a container a mount cannot be freed of its restrictions, nor be made read-only without them.
#[test]
fn a_snapshot_keeps_the_restrictions_of_its_file_system() {
    let Some(scene) = scene() else { return };
    let (store, to) = (scene.path("store"), scene.path("snapshots"));
    must(Command::new("mount").args(["--bind", "-o", "nosuid,nodev,noexec"]).args([&to, &to]));
    let script = r#"findmnt -no OPTIONS --mountpoint "$STILLPOINT_SNAPSHOT_PATH" | tail -1"#;
    let mut container = Command::new("unshare");
    container.args(["--user", "--map-root-user", "--mount", STILLPOINT]);
    container.args(["use", "x", "--at"]).arg(&store).args(["--", "sh", "-c", script]);
    let (outside, inside) =
        (show(&scene, store.to_str().unwrap(), script), run(&mut scene.environment(container)));
    must(Command::new("umount").arg(&to));
    for done in [outside, inside] {
        assert!(done.stdout.starts_with("ro,nosuid,nodev,noexec"), "{done:#?}");
    }
}

#[test]
fn the_root_folder_is_refused_as_nothing_can_be_mounted_over_it() {
    let Some(scene) = scene() else { return };
    show(&scene, "/", "ls /").assert_refused(69, "--at /: the root folder cannot be covered");
}
