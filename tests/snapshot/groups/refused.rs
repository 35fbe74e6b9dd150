//! What cannot be frozen is refused before the gate closes, in one line that says what to do.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::group::{Version, root};
use crate::common::{Done, Group, STILLPOINT, run};
use crate::scene::Scene;

/// The gate was not touched.
#[track_caller]
fn refused(scene: &Scene, command: Command, code: i32, parts: &[&str]) {
    let before = scene.generation();
    let done = run(command);
    assert_eq!(done.code(), code, "{done:?}");
    done.assert_complaint(code, parts);
    assert_eq!(scene.generation(), before, "the gate was touched");
}

fn freezing(scene: &Scene, flag: &str, what: impl AsRef<Path>) -> Command {
    let mut command = scene.stillpoint();
    command.args(["run", "-x", flag]).arg(what.as_ref()).args(["mail", "true"]);
    command
}

#[test]
fn names_that_lead_to_no_group() {
    if Group::any().is_none() {
        return;
    }
    let scene = Scene::new();
    let nothing = Group::name();
    let cgroup = |name: &str| freezing(&scene, "--freeze-cgroup", name);
    refused(&scene, cgroup(&nothing), 66, &[&nothing, "no such control group", "/proc/PID/cgroup"]);
    let unit = freezing(&scene, "--freeze-unit", &nothing);
    refused(&scene, unit, 66, &[&nothing, "has no control group", "is it running?"]);
    let store = scene.path("store");
    let elsewhere = freezing(&scene, "--freeze-cgroup", &store);
    refused(&scene, elsewhere, 69, &["in no hierarchy", store.to_str().unwrap()]);
    for version in [Version::One, Version::Two] {
        if let Some(root) = root(version) {
            let all = freezing(&scene, "--freeze-cgroup", root);
            refused(&scene, all, 64, &["the first group of all"]);
        }
    }
    refused(&scene, cgroup("/"), 64, &["the first group of all"]);
    refused(&scene, freezing(&scene, "--freeze-unit", "-.slice"), 64, &["the first group of all"]);
    refused(&scene, freezing(&scene, "--freeze-unit", "a/b"), 64, &["no name of a unit"]);
    for garbage in ["", ":now"] {
        assert_eq!(run(cgroup(garbage)).code(), 64);
    }
    // Nothing is kept of any of it.
    assert!(!scene.barriers().join("frozen").exists());
}

#[test]
fn a_group_with_the_tool_or_an_ancestor_of_it_in_it() {
    for group in Group::each() {
        let scene = Scene::new();
        let above = group.folder();
        let inner = group.below("inner");
        let flag = "--freeze-cgroup";
        let words = |script: &str| {
            let mut command = inner.program("sh");
            command.args(["-c", script, STILLPOINT, "run", flag]).arg(above).args(["mail", "true"]);
            scene.environment(command)
        };
        refused(
            &scene,
            words(r#"exec "$0" "$@""#),
            64,
            &["stillpoint[", "is in it", "from elsewhere"],
        );
        let root = root(group.version()).unwrap();
        let out =
            format!("(echo 0 > '{}/cgroup.procs'; exec \"$0\" \"$@\"); exit $?", root.display());
        refused(&scene, words(&out), 64, &["sh[", "is in it", "from elsewhere"]);
    }
}

#[test]
fn a_group_of_threads() {
    let Some(group) = Group::of(Version::Two) else { return };
    let threads = group.below("threads");
    fs::write(threads.folder().join("cgroup.type"), "threaded").unwrap();
    let scene = Scene::new();
    let command = freezing(&scene, "--freeze-cgroup", threads.folder());
    refused(&scene, command, 64, &["a group of threads", "the group above it"]);
    // That one has its processes whole.
    run(freezing(&scene, "--freeze-cgroup", group.folder())).assert_code(0);
}

#[test]
fn without_permission() {
    for group in Group::each() {
        let scene = Scene::new();
        for folder in [scene.path(""), scene.path("bin")] {
            fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
        }
        fs::set_permissions(scene.barrier_file("mail"), Permissions::from_mode(0o666)).unwrap();
        let folder = group.folder().to_str().unwrap();
        let command = scene.as_nobody(["run", "--freeze-cgroup", folder, "mail", "true"]);
        refused(&scene, command, 77, &[folder, "only root may"]);
    }
}

/// As in containers.
#[test]
fn where_there_is_no_hierarchy_or_nothing_can_be_written() {
    for group in Group::each() {
        let scene = Scene::new();
        let there = |prepare: &str| -> Done {
            let mut command = Command::new("unshare");
            let script = format!("{prepare}; exec \"$0\" \"$@\"");
            command.args(["--mount", "sh", "-c", &script, STILLPOINT, "run", "--freeze-cgroup"]);
            command.arg(group.folder()).args(["mail", "true"]);
            run(scene.environment(command).stderr(Stdio::piped()))
        };
        let mounts = "grep -E ' cgroup2? ' /proc/mounts | cut -d' ' -f2";
        let none = there(&format!("for place in $({mounts}); do umount -l $place; done"));
        none.assert_complaint(69, &["no hierarchy that can is mounted", "on the host"]);
        let read_only =
            format!("for place in $({mounts}); do mount -o remount,bind,ro $place; done");
        there(&read_only).assert_complaint(69, &["read-only here", "on the host"]);
    }
}
