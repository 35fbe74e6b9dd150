//! Drain limit, hold limit, revocation.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use stillpoint::Barrier;

use crate::common::{run, start, until};
use crate::scene::Scene;

/// Where the generation of the gate stands in a barrier file.
const GATE: u64 = 4096;

#[test]
fn not_quiet_names_who_is_inside_and_opens_the_gate() {
    let scene = Scene::new();
    let holder = scene.holder();
    let mut command = scene.copy(&["--hold", "10", "--patience", "0", "--drain", "0.2"]);
    let done = run(command.args(["--attempts", "2", "--min-open", "0"]));
    let inside = format!("[{}] (slowpoke) inside for at least", holder.pid);
    done.assert_refused(75, &inside);
    assert!(done.stderr.contains("attempt 1 of 2"), "{done:?}");
    assert!(!scene.is_closed());
    assert_eq!(scene.snapshots(), [""; 0]);
    let manifest = scene.manifest();
    assert_eq!((&manifest["status"], &manifest["attempts"]), (&"failed".into(), &2.into()));
    let inside = &manifest["inside"][0];
    assert_eq!(inside["label"], "slowpoke", "{manifest:#}");
    assert!(inside["held_ms"].as_f64().unwrap() > 0.0);
    drop(holder);
    run(&mut scene.copy(&["--hold", "10"])).assert_code(0);
}

#[test]
fn a_command_is_stopped_at_the_hold_limit() {
    let scene = Scene::new();
    let done = scene.snapshot(["mail", "--hold", "0.3", "--", "sleep", "600"]);
    done.assert_refused(124, "hold limit");
    let manifest = scene.manifest();
    assert_eq!((&manifest["status"], &manifest["certificate"]), (&"revoked".into(), &false.into()));
    scene.assert_writers_go_on();
}

#[test]
fn a_copy_is_stopped_at_the_hold_limit_and_removed() {
    let scene = Scene::new();
    scene.stand_in(
        "cp",
        r#"case "$1" in -a) touch "$6/half"; exec sleep 600;; esac; exec "$REAL" "$@""#,
    );
    run(&mut scene.copy(&["--hold", "0.5", "--name", "x"])).assert_refused(124, "hold limit");
    assert_eq!(scene.snapshots(), [""; 0]);
    let kept = run(&mut scene.copy(&["--hold", "0.5", "--name", "y", "--keep-failed"]));
    kept.assert_refused(124, "y.revoked");
    assert_eq!(scene.snapshots(), ["y.revoked"]);
    assert!(scene.manifests().iter().all(|manifest| manifest["status"] == "revoked"));
    scene.assert_writers_go_on();
}

#[test]
fn children_that_a_shell_has_left_us_are_not_taken_for_a_tool_that_cannot_be_stopped() {
    let scene = Scene::new();
    scene
        .stand_in("cp", r#"case "$1" in -a) mkdir "$6"; exec sleep 600;; esac; exec "$REAL" "$@""#);
    let mut shell = scene.environment(Command::new("sh"));
    shell.args(["-c", r#"sleep 3 >&- 2>&- & exec "$STILLPOINT" "$@""#, "sh"]);
    shell.args(scene.copy(&["--hold", "0.3", "--name", "x"]).get_args());
    let done = run(&mut shell);
    done.assert_refused(124, "hold limit");
    assert!(!done.stderr.contains("cannot be stopped"), "{done:?}");
    assert_eq!(scene.snapshots(), [""; 0]);
}

#[test]
fn a_snapshot_whose_pause_was_revoked_is_never_complete() {
    let scene = Scene::new();
    fs::write(scene.path("store/letter"), "text").unwrap();
    let go = scene.path("go");
    scene.stand_in(
        "cp",
        &format!(
            r#"case "$1" in -a) "$REAL" "$@"; until [ -e '{}' ]; do sleep 0.01; done;; *) exec "$REAL" "$@";; esac"#,
            go.display()
        ),
    );
    let snapshot = start(&mut scene.copy(&["--hold", "60", "--name", "x"]));
    until("copy", || scene.snapshots().len() == 1 && scene.partial("x").join("letter").exists());
    // What a waiting writer does when the holder has overstayed: the next even generation.
    let file = File::options().read(true).write(true).open(scene.barrier_file("mail")).unwrap();
    let mut generation = [0; 4];
    file.read_exact_at(&mut generation, GATE).unwrap();
    let generation = u32::from_ne_bytes(generation);
    assert_eq!(generation % 2, 1, "the gate is not closed");
    file.write_all_at(&(generation + 1).to_ne_bytes(), GATE).unwrap();
    File::create(go).unwrap();
    let done = snapshot.wait();
    done.assert_refused(124, "somebody else opened the gate");
    assert!(done.stderr.contains("there is no snapshot"), "it is thrown away already: {done:?}");
    assert_eq!(scene.snapshots(), [""; 0]);
    let manifest = scene.manifest();
    assert_eq!(
        (&manifest["status"], &manifest["clean"]),
        (&"revoked".into(), &false.into()),
        "{manifest:#}"
    );
    scene.assert_writers_go_on();
}

#[test]
fn a_stopped_tool_is_overtaken_by_writers_and_finds_out() {
    let scene = Scene::new();
    scene.stand_in("cp", r#"case "$1" in -a) kill -STOP $PPID;; *) exec "$REAL" "$@";; esac"#);
    let mut command = scene.copy(&["--drain", "0.2", "--hold", "0.5"]);
    let snapshot = start(&mut command);
    until("stopped tool", || snapshot.is_stopped());
    assert!(scene.is_closed());
    // Waits for as long as the pause may last, and then opens the gate itself.
    let barrier = Barrier::open(scene.barrier_file("mail")).unwrap();
    drop(barrier.shared_timeout(Duration::from_secs(20)).unwrap());
    assert!(snapshot.is_stopped());
    snapshot.signal(Signal::SIGCONT);
    snapshot.wait().assert_code(124);
    assert_eq!(scene.snapshots(), [""; 0]);
    assert_eq!(scene.manifest()["status"], "revoked");
    scene.assert_writers_go_on();
}

#[test]
fn two_snapshots_at_once_come_one_after_the_other() {
    let scene = Scene::new();
    let log = scene.path("log");
    let script = r#"echo in >> "$0"; sleep 0.2; echo out >> "$0""#;
    let one = |name: &str| {
        let log = log.to_str().unwrap();
        start(
            scene
                .stillpoint()
                .args(["snapshot", "mail", "--name", name, "--", "sh", "-c", script, log]),
        )
    };
    let both = [one("a"), one("b")];
    for snapshot in both {
        snapshot.wait().assert_code(0);
    }
    assert_eq!(fs::read_to_string(log).unwrap(), "in\nout\nin\nout\n");
    assert!(scene.manifests().iter().all(|manifest| manifest["clean"] == true));
}

/// Whatever order they are named in, they are closed in one.
#[test]
fn two_barriers_in_opposite_order_do_not_wait_for_each_other() {
    let scene = Scene::new();
    scene.create("news");
    for round in 0..5 {
        let one = |barriers: [&str; 2]| {
            let mut command = scene.stillpoint();
            command.args(["snapshot", "--min-open", "0", "--attempts", "9"]).args(barriers);
            command.args(["--name", &format!("{round}-{}", barriers[0]), "--", "sleep", "0.02"]);
            start(&mut command)
        };
        for snapshot in [one(["mail", "news"]), one(["news", "mail"])] {
            snapshot.wait().assert_code(0);
        }
    }
    assert!(scene.manifests().iter().all(|manifest| manifest["attempts"] == 1));
}

#[test]
fn a_name_can_be_had_once() {
    let scene = Scene::new();
    let snapshot =
        start(scene.stillpoint().args(["snapshot", "mail", "--name", "x", "--", "sleep", "600"]));
    until("pause", || scene.is_closed());
    scene.snapshot(["mail", "--name", "x", "--", "true"]).assert_refused(73, "another --name");
    snapshot.signal(Signal::SIGTERM);
    snapshot.wait();
    // What failed does not take the name away.
    scene.snapshot(["mail", "--name", "x", "--", "true"]).assert_code(0);
    scene.snapshot(["mail", "--name", "x", "--", "true"]).assert_refused(73, "already");
}
