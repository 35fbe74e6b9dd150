//! Targets that are taken or full, providers that hang or finish when it is too late, and company.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value;
use stillpoint::Barrier;

use crate::common::{Done, Image, Running, names, run, start, state, subvolume, until};
use crate::scene::Scene;
use crate::writers::{Writers, torn};

/// Fills a file system: data first, then what is kept with the names.
fn fill(folder: &Path) {
    let mut chunk = 1 << 20;
    let mut file = File::create(folder.join("filler")).unwrap();
    while chunk > 0 {
        match std::io::Write::write_all(&mut file, &vec![1; chunk]) {
            Ok(()) => {}
            Err(_) => chunk /= 2,
        }
    }
    let _ = file.sync_all();
    let long = "x".repeat(3900);
    for number in 0.. {
        if symlink(&long, folder.join(format!("filler{number}"))).is_err() {
            break;
        }
    }
}

fn empty(folder: &Path) {
    for item in fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("filler") {
            fs::remove_file(path).unwrap();
        }
    }
}

/// A stand-in that waits in the pause until the test has done something, then runs the real tool.
fn wait_in_pause(scene: &Scene, tool: &str, pattern: &str) {
    let script = format!(
        r#"case "$1 $2" in {pattern}) touch "${{0%/*}}/paused"; until [ -e "${{0%/*}}/go" ]; do sleep 0.01; done;; esac; exec "$REAL" "$@""#
    );
    scene.stand_in(tool, &script);
}

/// Starts it, does something in its pause, and returns its end.
fn in_pause(scene: &Scene, command: &mut std::process::Command, what: impl FnOnce()) -> Done {
    let snapshot = start(command);
    until("pause", || scene.path("bin/paused").exists());
    assert!(scene.is_closed());
    what();
    File::create(scene.path("bin/go")).unwrap();
    snapshot.wait()
}

/// No snapshot, no trace of one, and the writers are back.
fn assert_nothing_left(scene: &Scene, to: &Path, left: &[&str]) {
    assert_eq!(names(to), left);
    assert_eq!(scene.manifest()["status"], "failed");
    scene.assert_writers_go_on();
}

/// One provider on a file system of its own: full, or with the name taken, before the pause and in it.
fn full_and_taken(image: &Image, option: &str, tool: &str, pattern: &str) {
    let (store, to) = (image.path().join("store"), image.path().join("to"));
    fs::create_dir(&to).unwrap();
    fs::write(store.join("letter"), "text").unwrap();
    let command = |scene: &Scene| {
        let mut command = scene.stillpoint();
        command.args(["snapshot", "mail", "--name", "x", option]);
        command.arg(&store).arg("--to").arg(&to);
        command
    };
    let scene = Scene::new();
    let before = scene.generation();
    let names_taken: &[&str] = if option == "--btrfs" { &["x"] } else { &["x", ".x.partial"] };
    for name in names_taken {
        fs::create_dir(to.join(name)).unwrap();
        run(&mut command(&scene)).assert_refused(73, "exists already; give another --name");
        fs::remove_dir(to.join(name)).unwrap();
    }
    fill(&image.path());
    run(&mut command(&scene)).assert_refused(73, "are needed; free some or use another --to");
    assert_eq!((scene.generation(), scene.manifests().len()), (before, 0));
    assert_eq!(names(&to), [""; 0]);
    empty(&image.path());

    let scene = Scene::new();
    wait_in_pause(&scene, tool, pattern);
    let done = in_pause(&scene, &mut command(&scene), || fill(&image.path()));
    done.assert_refused(73, "No space left on device");
    assert_nothing_left(&scene, &to, &[]);
    empty(&image.path());

    // Somebody else's, made in the pause, is not touched and not taken for the snapshot.
    let scene = Scene::new();
    wait_in_pause(&scene, tool, pattern);
    let done = in_pause(&scene, &mut command(&scene), || {
        fs::create_dir(to.join("x")).unwrap();
        fs::write(to.join("x/theirs"), "").unwrap();
    });
    done.assert_refused(73, "cannot give the snapshot its name");
    assert_nothing_left(&scene, &to, &["x"]);
    assert_eq!(names(&to.join("x")), ["theirs"]);
}

#[test]
fn an_xfs_that_is_full_or_has_the_name() {
    let Some(image) = Image::xfs() else { return };
    fs::create_dir(image.path().join("store")).unwrap();
    full_and_taken(&image, "--reflink", "cp", r#""-a "*"#);
}

#[test]
fn a_btrfs_that_is_full_or_has_the_name() {
    let Some(image) = Image::btrfs() else { return };
    subvolume(&image.path().join("store"));
    full_and_taken(&image, "--btrfs", "btrfs", r#""subvolume snapshot""#);
}

#[test]
fn a_name_taken_in_the_pause_is_not_overwritten_by_a_copy() {
    let scene = Scene::new();
    wait_in_pause(&scene, "cp", r#""-a "*"#);
    let mut copy = scene.copy(&["--hold", "10", "--name", "x"]);
    let theirs = scene.path("snapshots/x");
    let done = in_pause(&scene, &mut copy, || fs::write(&theirs, "theirs").unwrap());
    done.assert_refused(73, "cannot give the snapshot its name: File exists");
    assert_nothing_left(&scene, &scene.path("snapshots"), &["x"]);
    assert_eq!(fs::read_to_string(theirs).unwrap(), "theirs");
}

/// A `cp` that ignores TERM, makes a whole copy, and ends, with success, when it is allowed to.
const STUBBORN: &str = r#"case "$1" in -a) trap "" TERM INT; "$REAL" "$@"; echo $$ > "${0%/*}/pid"
    until [ -e "${0%/*}/go" ]; do sleep 0.01; done; exit 0;; esac; exec "$REAL" "$@""#;

fn stubborn(scene: &Scene, snapshot: &mut std::process::Command) -> (Running, Pid) {
    scene.stand_in("cp", STUBBORN);
    let snapshot = start(snapshot);
    let pid =
        || fs::read_to_string(scene.path("bin/pid")).ok()?.trim().parse().map(Pid::from_raw).ok();
    until("copy", || pid().is_some());
    (snapshot, pid().unwrap())
}

fn assert_revoked(scene: &Scene) {
    assert_eq!(scene.snapshots(), [""; 0]);
    let manifest = scene.manifest();
    assert_eq!(manifest["status"], "revoked", "{manifest:#}");
    assert_eq!((&manifest["certificate"], &manifest["clean"]), (&false.into(), &false.into()));
    scene.assert_writers_go_on();
}

#[test]
fn success_after_a_waiter_opened_the_gate_of_a_stopped_tool_is_no_snapshot() {
    let scene = Scene::new();
    let letter = scene.path("store/letter");
    fs::write(&letter, "before").unwrap();
    let mut command = scene.copy(&["--drain", "0.2", "--hold", "0.5", "--name", "x"]);
    let (snapshot, copy) = stubborn(&scene, &mut command);
    snapshot.signal(Signal::SIGSTOP);
    until("stopped tool", || snapshot.is_stopped());
    // Past the limit a writer lets itself in, and changes what was copied.
    let barrier = Barrier::open(scene.barrier_file("mail")).unwrap();
    let share = barrier.shared_timeout(Duration::from_secs(20)).unwrap();
    fs::write(&letter, "after").unwrap();
    drop(share);
    File::create(scene.path("bin/go")).unwrap();
    until("end of the copy", || matches!(state(copy), None | Some('Z')));
    assert_eq!(
        scene.snapshots(),
        [scene.partial_name("x")],
        "it was whole, as far as the provider knows"
    );
    snapshot.signal(Signal::SIGCONT);
    snapshot.wait().assert_refused(124, "mail.barrier");
    assert_revoked(&scene);
}

#[test]
fn success_in_the_grace_after_the_hold_limit_is_no_snapshot() {
    let scene = Scene::new();
    let mut command = scene.copy(&["--drain", "0.2", "--hold", "0.3", "--name", "x"]);
    let (snapshot, copy) = stubborn(&scene, &mut command);
    // The waiting writer is let in by the limit, and the copy has not ended by then.
    let barrier = Barrier::open(scene.barrier_file("mail")).unwrap();
    drop(barrier.shared_timeout(Duration::from_secs(20)).unwrap());
    File::create(scene.path("bin/go")).unwrap();
    snapshot.wait().assert_refused(124, "hold limit");
    assert!(matches!(state(copy), None | Some('Z')));
    assert_revoked(&scene);
}

#[test]
fn a_provider_that_does_not_end_is_killed_and_its_data_removed() {
    let scene = Scene::new();
    let mut command = scene.copy(&["--drain", "0.2", "--hold", "0.3", "--name", "x"]);
    let (snapshot, copy) = stubborn(&scene, &mut command);
    snapshot.wait().assert_refused(124, "hold limit");
    assert!(matches!(state(copy), None | Some('Z')), "the copy goes on");
    assert_revoked(&scene);
}

#[test]
fn the_second_of_two_snapshots_leaves_the_writers_their_time() {
    let scene = Scene::new();
    let one = |name: &str| {
        start(scene.stillpoint().args(["snapshot", "mail", "--name", name, "--", "sleep", "0.1"]))
    };
    let both = [one("a"), one("b")];
    for snapshot in both {
        snapshot.wait().assert_code(0);
    }
    let mut pauses: Vec<(f64, f64, f64)> = scene.manifests().iter().map(pause).collect();
    pauses.sort_by(|one, other| one.0.total_cmp(&other.0));
    let [(_, opened, length), (closed, ..)] = pauses[..] else { panic!("{pauses:?}") };
    // Timestamps are cut to the millisecond.
    assert!(closed - opened + 2.0 >= 9.0 * length, "{pauses:?}");
}

/// When the gate was closed and opened, and how long it was closed, in milliseconds.
fn pause(manifest: &Value) -> (f64, f64, f64) {
    let quiet: Timestamp = manifest["quiet"].as_str().unwrap().parse().unwrap();
    let quiet = quiet.as_millisecond() as f64;
    let [drain, hold, pause] =
        ["drain_ms", "hold_ms", "pause_ms"].map(|field| manifest["pause"][field].as_f64().unwrap());
    (quiet - drain, quiet + hold, pause)
}

#[test]
fn snapshots_of_two_barriers_in_opposite_order_do_not_block_each_other() {
    let scene = Scene::new();
    scene.create("index");
    let store = scene.path("store");
    let writers = ["index", "mail"].map(|name| {
        let folder = store.join(name);
        fs::create_dir(&folder).unwrap();
        Writers::start(&scene.barrier_file(name), &folder, &folder)
    });
    let one = |name: String, order: [&str; 2]| {
        let mut command = scene.stillpoint();
        command.args(["snapshot", order[0], order[1], "--min-open", "0", "--hold", "10"]);
        command.args(["--name", &name, "--copy"]).arg(&store);
        start(command.arg("--to").arg(scene.path("snapshots")))
    };
    for round in 0..4 {
        let [forward, backward] = [["mail", "index"], ["index", "mail"]];
        let both = [one(format!("{round}-a"), forward), one(format!("{round}-b"), backward)];
        for snapshot in both {
            snapshot.wait().assert_code(0);
        }
        for writers in &writers {
            writers.wait_for_rounds();
        }
    }
    drop(writers);
    assert_eq!(scene.snapshots().len(), 8);
    for manifest in scene.manifests() {
        assert_eq!(manifest["clean"], true, "{manifest:#}");
        for folder in ["mail", "index"] {
            let folder = Path::new(manifest["path"].as_str().unwrap()).join(folder);
            assert_eq!(torn(&folder, &folder), [0; 0], "{manifest:#}");
        }
    }
}
