//! A barrier in a btrfs subvolume: the kernel's lists know its file by another device than stat(2).

use std::fs;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::common::{Image, start, subvolume, until};
use crate::scene::Scene;

/// It is not taken for a file that was removed from its place, and one that was is.
#[test]
fn a_removed_file_is_told_from_the_barrier() {
    let Some(image) = Image::btrfs() else { return };
    let scene = Scene::new();
    let folder = image.path().join("volume");
    subvolume(&folder);
    let barrier = folder.join("mail.barrier");
    let path = barrier.to_str().unwrap();
    scene.verb(["create", path, "--state", "none"]).assert_code(0);
    let stragglers = || {
        let status: Value =
            serde_json::from_str(&scene.verb(["status", "--json", path]).stdout).unwrap();
        status["stragglers"].clone()
    };
    let tool = ["run", "-x", "-w", "0.3", path, "true"];

    let ready = scene.path("ready");
    let script = format!("echo >{}; exec sleep 600", ready.display());
    let mut writer = scene.stillpoint();
    writer.args(["run", "-s", path, "sh", "-c", &script]);
    let writer = start(&mut writer);
    until("the writer", || ready.exists());
    scene.verb(tool).assert_refused(75, "inside for at least");
    assert_eq!(stragglers(), json!([]));

    fs::remove_file(&barrier).unwrap();
    scene.verb(["create", path, "--state", "none"]).assert_code(0);
    scene.verb(tool).assert_refused(75, "stood here before");
    assert_eq!(stragglers()[0]["pid"], writer.pid.as_raw());
    writer.signal(Signal::SIGTERM);
    writer.wait();
    scene.verb(tool).assert_code(0);
    assert_eq!(stragglers(), json!([]));
}
