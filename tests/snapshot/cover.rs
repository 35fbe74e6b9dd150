//! Who writes to the sources, and what is said of them.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::common::{
    Done, Image, Mounted, Running, STILLPOINT, is_root, must, run, start, subvolume, until,
};
use crate::scene::Scene;

/// Somebody with this file open for writing as standard output.
pub fn writer(file: &Path) -> Running {
    start(sleeper().stdout(OwnedFd::from(File::create(file).unwrap())))
}

pub fn sleeper() -> Command {
    let mut command = Command::new("sleep");
    command.arg("600").stdin(Stdio::null());
    command
}

/// A program that keeps its file mapped, and no descriptor of it.
const MAPPING: &str = "
import mmap, sys, time
with open(sys.argv[1], 'w+b') as f:
    f.truncate(4096)
    m = mmap.mmap(f.fileno(), 4096)
print(flush=True)
time.sleep(600)";

/// What a manifest says of a process.
pub fn record(manifest: &Value, process: &Running) -> Option<Value> {
    let pid = process.pid.as_raw();
    let writers = manifest["writers"].as_array().unwrap();
    writers.iter().find(|writer| writer["pid"] == pid).cloned()
}

pub fn how(manifest: &Value, process: &Running) -> Option<String> {
    Some(record(manifest, process)?["how"].as_str().unwrap().to_owned())
}

pub fn take(scene: &Scene, more: &[&str]) -> (Done, Value) {
    let done =
        run(&mut scene.copy(&[&["--hold", "10", "--min-open", "0", "--json"], more].concat()));
    let manifest = serde_json::from_str(&done.stdout).unwrap();
    (done, manifest)
}

#[test]
fn a_snapshot_that_somebody_may_write_into_is_whole_and_says_so() {
    let scene = Scene::new();
    let file = scene.path("store/log of\nmine");
    let it = writer(&file);
    let (done, manifest) = take(&scene, &["--name", "a"]);
    done.assert_code(0);
    assert_eq!(manifest["status"], "complete");
    assert_eq!(manifest["clean"], true);
    assert_eq!(manifest["covered"], false);
    let found = record(&manifest, &it).unwrap();
    assert_eq!((&found["how"], &found["comm"]), (&"none".into(), &"sleep".into()));
    assert_eq!(found["files"][0], file.to_str().unwrap());
    let said = format!("warning: a: not covered: sleep[{}] on ", it.pid);
    assert!(done.stderr.contains(&said), "{done:?}");
    let listed = scene.verb(["list"]).stdout;
    assert!(listed.contains("not all writers were covered"), "{listed}");
    drop(it);
    let (done, manifest) = take(&scene, &["--name", "b"]);
    assert_eq!(manifest["writers"], Value::Array(Vec::new()));
    assert_ne!(manifest["covered"], false);
    assert!(!done.stderr.contains("not covered"), "{done:?}");
}

#[test]
fn who_only_reads_or_writes_elsewhere_does_not_count() {
    let scene = Scene::new();
    fs::create_dir(scene.path("store-old")).unwrap();
    let beside = writer(&scene.path("store-old/file"));
    let removed = writer(&scene.path("store/removed"));
    fs::remove_file(scene.path("store/removed")).unwrap();
    fs::write(scene.path("store/letter"), "").unwrap();
    let reads = File::open(scene.path("store/letter")).unwrap();
    let reader = start(sleeper().stdin(OwnedFd::from(reads)));
    let (_, manifest) = take(&scene, &[]);
    for one in [&beside, &removed, &reader] {
        assert_eq!(record(&manifest, one), None);
    }
}

/// Whose output goes into a file there, and who has just begun the snapshot.
#[test]
fn the_tool_itself_does_not_count() {
    let scene = Scene::new();
    let output = File::create(scene.path("store/output")).unwrap();
    let mut it = start(scene.copy(&["--hold", "10", "--name", "a"]).stdout(output));
    assert_eq!(it.end(), 0);
    assert_eq!(record(&scene.manifest(), &it), None);
}

#[test]
fn what_is_mapped_counts_when_its_descriptor_is_closed() {
    let scene = Scene::new();
    let mut python = Command::new("python3");
    let file = scene.path("store/mapped");
    let mut it = start(python.args(["-c", MAPPING]).arg(&file).stdout(Stdio::piped()));
    it.line();
    let (_, manifest) = take(&scene, &[]);
    assert_eq!(record(&manifest, &it).unwrap()["files"][0], file.to_str().unwrap());
}

/// Before the gate is touched.
#[test]
fn what_must_be_covered_and_is_not_is_refused_before_the_gate_closes() {
    let scene = Scene::new();
    let it = writer(&scene.path("store/file"));
    let before = scene.generation();
    let done = run(&mut scene.copy(&["--hold", "10", "--require-covered"]));
    let named = format!("sleep[{}] on {}", it.pid, scene.path("store/file").display());
    done.assert_refused(65, &named);
    assert_eq!(scene.generation(), before);
    assert_eq!(scene.snapshots(), [""; 0]);
    let manifest = scene.manifest();
    assert_eq!((&manifest["status"], &manifest["certificate"]), (&"failed".into(), &false.into()));
}

#[test]
fn who_came_while_the_gate_was_closed_is_found() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let script = format!(
        "rm -f {0}.pid; setsid sh -c 'exec >{0}/late; echo $$ >{0}.pid; exec sleep 600' &
        until [ -s {0}.pid ]; do sleep 0.01; done",
        scene.path("store").display()
    );
    let take = |more: &[&str]| {
        let mut command = alone(&scene);
        command.args(["snapshot", "mail", "--json", "--min-open", "0"]).args(more);
        let done =
            run(command.arg("--sync").arg(scene.path("store")).args(["--", "sh", "-c", &script]));
        let pid: u32 = fs::read_to_string(scene.path("store.pid")).unwrap().trim().parse().unwrap();
        let manifest: Value = serde_json::from_str(&done.stdout).unwrap();
        let writers = manifest["writers"].as_array().unwrap();
        assert!(writers.iter().any(|writer| writer["pid"] == pid), "{manifest:#}");
        assert_eq!(manifest["covered"], false);
        (done.code(), manifest["certificate"].as_bool().unwrap())
    };
    assert_eq!(take(&[]), (0, true));
    assert_eq!(take(&["--require-covered"]), (65, false));
    scene.assert_writers_go_on();
}

#[test]
fn where_nobody_else_writes_all_is_covered() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let mut command = alone(&scene);
    command.args(["snapshot", "mail", "--json", "--hold", "9", "--require-covered", "--copy"]);
    let done = run(command.arg(scene.path("store")).arg("--to").arg(scene.path("snapshots")));
    done.assert_code(0);
    let manifest: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&manifest["covered"], &manifest["unseen"]), (&true.into(), &Value::Null));
    // What a command reads is not known unless it is said.
    let mut command = alone(&scene);
    let done = run(command.args(["snapshot", "mail", "--require-covered", "--", "true"]));
    done.assert_refused(65, "--sync");
}

/// The command where it sees nobody but itself, for a machine may have processes that even root may not look into.
pub fn alone(scene: &Scene) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]);
    command.args(["sh", "-c", "\"$@\"; exit $?", "sh", STILLPOINT]);
    scene.environment(command)
}

/// Each subvolume numbers its files for itself, and has none of those in another one.
#[test]
fn only_the_subvolume_that_is_taken_counts() {
    let Some(image) = Image::btrfs() else {
        return;
    };
    let scene = Scene::new();
    let [store, other] = ["store", "other"].map(|name| image.path().join(name));
    [&store, &other].into_iter().for_each(|path| subvolume(path));
    fs::create_dir(image.path().join("to")).unwrap();
    let writers = [&store, &other].map(|folder| writer(&folder.join("file")));
    let bound = scene.path("bound");
    fs::create_dir(&bound).unwrap();
    let _mounted = Mounted::bind(&store, &bound);
    let elsewhere = writer(&bound.join("other-name"));
    let mut command = scene.stillpoint();
    command.args(["snapshot", "mail", "--json", "--btrfs"]).arg(&store);
    let done = run(command.arg("--to").arg(image.path().join("to")));
    done.assert_code(0);
    let manifest: Value = serde_json::from_str(&done.stdout).unwrap();
    let seen: Vec<bool> = writers.iter().map(|it| record(&manifest, it).is_some()).collect();
    assert_eq!(seen, [true, false], "{manifest:#}");
    assert!(record(&manifest, &elsewhere).is_some(), "{manifest:#}");
}

/// A copy has it too.
#[test]
fn what_is_nested_counts_where_it_is_read() {
    let Some(image) = Image::btrfs() else {
        return;
    };
    let scene = Scene::new();
    let store = image.path().join("store");
    fs::create_dir(&store).unwrap();
    subvolume(&store.join("nested"));
    let _mounted = Mounted::new("tmpfs", "size=1m", &store.join("mounted"));
    let writers = ["nested", "mounted"].map(|folder| writer(&store.join(folder).join("file")));
    fs::create_dir(image.path().join("to")).unwrap();
    let mut command = scene.stillpoint();
    command.args(["snapshot", "mail", "--json", "--hold", "9", "--copy"]);
    let done = run(command.arg(&store).arg("--to").arg(image.path().join("to")));
    let manifest: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(writers.each_ref().map(|it| record(&manifest, it).is_some()), [true, true]);
}

/// What it has mapped on the same file system, elsewhere, is no file of the store.
#[test]
fn what_a_process_in_a_mount_namespace_has_elsewhere_does_not_count() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let mut command = Command::new("unshare");
    let file = scene.path("elsewhere");
    command.args(["-m", "python3", "-c", MAPPING]).arg(&file).stdout(Stdio::piped());
    let mut it = start(command);
    it.line();
    assert_eq!(record(&take(&scene, &[]).1, &it), None);
}

/// It sees the store at another place, and nothing where we see it.
#[test]
fn a_process_in_a_mount_namespace_is_found() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let script =
        "mount --bind \"$1\" /mnt && mount -t tmpfs none \"$1\" && exec sleep 600 >/mnt/file";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, "sh"]).arg(scene.path("store"));
    let it = start(command.stdin(Stdio::null()));
    until("it writes", || scene.path("store/file").exists());
    until("it sleeps", || {
        fs::read_to_string(format!("/proc/{}/comm", it.pid)).is_ok_and(|comm| comm == "sleep\n")
    });
    let found = record(&take(&scene, &[]).1, &it).unwrap();
    assert_eq!(found["files"][0], "/mnt/file");
}

#[test]
fn what_may_not_be_seen_is_not_called_covered() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    must(Command::new("chmod").args(["-R", "a+rwX"]).arg(scene.path("")));
    must(Command::new("chmod").arg("755").arg(scene.barriers()));
    must(Command::new("chmod").args(["a+rw"]).arg(scene.barrier_file("mail")));
    let _it = writer(&scene.path("store/file"));
    let words = |more: &[&str]| -> Vec<PathBuf> {
        let mut words: Vec<PathBuf> =
            ["snapshot", "mail", "--hold", "9", "--min-open", "0", "--json"]
                .iter()
                .chain(more)
                .map(PathBuf::from)
                .collect();
        words.extend([
            "--copy".into(),
            scene.path("store"),
            "--to".into(),
            scene.path("snapshots"),
        ]);
        words
    };
    let done = run(&mut scene.as_nobody(words(&[])));
    done.assert_code(0);
    let manifest: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(manifest["covered"], Value::Null);
    let unseen = manifest["unseen"].as_str().unwrap();
    assert!(unseen.ends_with("could not be looked into: run as root"), "{unseen}");
    let done = run(&mut scene.as_nobody(words(&["--require-covered"])));
    done.assert_code(65);
    assert!(done.stderr.contains("run as root"), "{done:?}");
}
