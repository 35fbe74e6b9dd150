//! `--reflink`, on a real xfs.

use std::fs;

use crate::image::{Image, is_root};
use crate::scene::{Scene, names, run};
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
    if !is_root("reflink on a tmpfs") {
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
fn another_file_system_is_refused() {
    let Some(image) = Image::xfs() else { return };
    let scene = Scene::new();
    let mut command = scene.stillpoint();
    command.args(["snapshot", "mail", "--reflink"]).arg(image.path());
    let done = run(command.arg("--to").arg(scene.path("snapshots")));
    done.assert_refused(73, "no blocks can be shared");
}
