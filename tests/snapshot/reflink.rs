//! `--reflink`, on a real xfs.

use std::fs;

use crate::common::{Image, is_root, names, run};
use crate::scene::Scene;
use crate::writers::{Writers, torn};

#[test]
fn a_reflink_copy_under_load_is_whole() {
    let Some(image) = Image::xfs() else { return };
    let scene = Scene::new();
    let (store, to) = (image.path().join("store"), image.path().join("snapshots"));
    fs::create_dir(&store).unwrap();
    fs::create_dir(&to).unwrap();
    let writers = Writers::start(&scene.barrier_file("mail"), &store, &store);
    for name in ["first", "second", "third"] {
        let mut command = scene.stillpoint();
        command.args(["snapshot", "mail", "--min-open", "0", "--name", name]);
        let done = run(command.arg("--reflink").arg(&store).arg("--to").arg(&to));
        done.assert_code(0);
        assert_eq!(done.stdout, format!("{}\n", to.join(name).display()));
        assert_eq!(torn(&to.join(name), &to.join(name)), [0; 0]);
        writers.wait_for_rounds();
    }
    drop(writers);
    assert_eq!(names(&to), ["first", "second", "third"]);
    assert!(scene.manifests().iter().all(|manifest| manifest["clean"] == true));
}

#[test]
fn a_file_system_without_reflinks_is_refused_before_the_gate_closes() {
    if !is_root() {
        return;
    }
    let image = Image::tmpfs(4096).unwrap();
    let scene = Scene::new();
    for folder in ["store", "snapshots"] {
        fs::create_dir(image.path().join(folder)).unwrap();
    }
    let before = scene.generation();
    let mut command = scene.stillpoint();
    command.args(["snapshot", "mail", "--reflink"]).arg(image.path().join("store"));
    let done = run(command.arg("--to").arg(image.path().join("snapshots")));
    done.assert_refused(69, "this tmpfs cannot share blocks");
    assert_eq!(scene.generation(), before);
    assert_eq!(names(&image.path().join("snapshots")), [""; 0], "the probe was left");
}

#[test]
fn running_out_of_space_in_the_pause_leaves_nothing() {
    let Some(image) = Image::xfs() else {
        return;
    };
    let scene = Scene::new();
    let (store, to) = (image.path().join("store"), image.path().join("snapshots"));
    for folder in [&store, &to] {
        fs::create_dir(folder).unwrap();
    }
    fs::write(store.join("letter"), "text").unwrap();
    // The disk fills up under the copy, to the last block.
    let filler = image.path().join("filler").display().to_string();
    let fill = format!(
        r#"case "$2" in -T) dd if=/dev/zero bs=1M of='{filler}' 2>/dev/null; dd if=/dev/zero bs=512 of='{filler}-' 2>/dev/null; for i in $(seq 9999); do mkdir '{filler}-'$i 2>/dev/null || break; done;; esac; exec "$REAL" "$@""#
    );
    scene.stand_in("cp", &fill);
    let take = |name: &str| {
        let mut command = scene.stillpoint();
        command.args(["snapshot", "mail", "--min-open", "0", "--name", name, "--reflink"]);
        run(command.arg(&store).arg("--to").arg(&to))
    };
    take("x").assert_refused(73, "No space left on device");
    assert_eq!(names(&to), [""; 0]);
    assert_eq!(scene.manifest()["status"], "failed");
    fs::remove_file(scene.path("bin/cp")).unwrap();
    for name in names(&image.path()).iter().filter(|name| name.starts_with("filler")) {
        let path = image.path().join(name);
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
    }
    take("y").assert_code(0);
    assert_eq!(fs::read_to_string(to.join("y/letter")).unwrap(), "text");
}

#[test]
fn another_file_system_is_refused() {
    let Some(image) = Image::xfs() else { return };
    let scene = Scene::new();
    let mut command = scene.stillpoint();
    command.args(["snapshot", "mail", "--reflink"]).arg(image.path());
    let done = run(command.arg("--to").arg(scene.path("snapshots")));
    done.assert_refused(73, "no blocks can be shared");
}
