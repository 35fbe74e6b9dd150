//! Signals at each step, SIGKILL among them.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::{Running, run, start, state, until};
use crate::scene::Scene;

/// A `cp` that leaves half a copy and its process id, and does not come to an end.
const ENDLESS: &str = r#"case "$1" in -a) touch "$6/half"; echo $$ > "${0%/*}/pid"; exec sleep 600;; esac; exec "$REAL" "$@""#;

/// A copy in its pause.
fn copying(scene: &Scene) -> Running {
    scene.stand_in("cp", ENDLESS);
    let snapshot = start(&mut scene.copy(&["--hold", "none", "--name", "x"]));
    until("copy", || {
        fs::read_to_string(scene.path("bin/pid")).is_ok_and(|pid| pid.ends_with('\n'))
    });
    assert!(scene.is_closed());
    assert_eq!(scene.snapshots(), [scene.partial_name("x")]);
    assert_eq!(scene.manifest()["status"], "begun");
    snapshot
}

fn copy_process(scene: &Scene) -> Pid {
    Pid::from_raw(fs::read_to_string(scene.path("bin/pid")).unwrap().trim().parse().unwrap())
}

#[test]
fn every_signal_in_the_pause_opens_the_gate_and_removes_the_data() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let scene = Scene::new();
        let snapshot = copying(&scene);
        snapshot.signal(signal);
        let done = snapshot.wait();
        assert_eq!(done.signal(), Some(signal as i32), "{done:#?}");
        scene.assert_writers_go_on();
        assert_eq!(scene.snapshots(), [""; 0]);
        assert_eq!(scene.manifest()["status"], "failed");
        assert_eq!(kill(copy_process(&scene), None), Err(nix::Error::ESRCH), "the copy goes on");
    }
}

#[test]
fn an_interrupt_during_the_checks_leaves_nothing() {
    let scene = Scene::new();
    let before = scene.generation();
    // As the keyboard does: the tool and what it has started.
    scene.stand_in("du", "kill -INT $PPID $$; sleep 600");
    let done = run(&mut scene.copy(&["--hold", "10"]));
    assert_eq!(done.signal(), Some(Signal::SIGINT as i32), "{done:#?}");
    assert_eq!(scene.generation(), before);
    assert_eq!(scene.manifests().len(), 0);
}

#[test]
fn an_interrupt_after_the_pause_still_removes_the_data() {
    let scene = Scene::new();
    scene.stand_in("cp", r#"case "$1" in -a) kill -TERM $PPID; exit 0;; esac; exec "$REAL" "$@""#);
    let done = run(&mut scene.copy(&["--hold", "10"]));
    assert_eq!(done.signal(), Some(Signal::SIGTERM as i32), "{done:#?}");
    assert_eq!(scene.snapshots(), [""; 0]);
    assert_eq!(scene.manifest()["status"], "failed");
}

#[test]
fn an_interrupt_counts_for_more_than_the_status_of_the_command() {
    let scene = Scene::new();
    let script = r#"trap "exit 7" TERM; kill -TERM $PPID; while :; do sleep 0.01; done"#;
    let done = scene.snapshot(["mail", "--", "sh", "-c", script]);
    assert_eq!(done.signal(), Some(Signal::SIGTERM as i32), "{done:#?}");
    assert_eq!(scene.manifest()["status"], "failed");
}

#[test]
fn an_interrupt_while_draining_opens_the_gate() {
    let scene = Scene::new();
    let holder = scene.holder();
    let snapshot = start(&mut scene.copy(&["--hold", "10", "--patience", "0", "--drain", "60"]));
    until("closed gate", || scene.is_closed());
    snapshot.signal(Signal::SIGINT);
    let done = snapshot.wait();
    assert_eq!(done.signal(), Some(Signal::SIGINT as i32), "{done:#?}");
    assert!(!scene.is_closed());
    assert_eq!(scene.snapshots(), [""; 0]);
    assert_eq!(scene.manifest()["status"], "failed");
    drop(holder);
}

#[test]
fn after_sigkill_in_the_pause_writers_go_on_and_the_next_run_cleans_up() {
    let scene = Scene::new();
    let snapshot = copying(&scene);
    snapshot.signal(Signal::SIGKILL);
    snapshot.wait();
    scene.assert_writers_go_on();

    // The copy has outlived the tool: what it still writes to is not taken away from it.
    scene.snapshot(["mail", "--name", "y", "--", "true"]).assert_code(0);
    assert_eq!(scene.snapshots(), [scene.partial_name("x")]);
    assert_eq!(scene.manifests()[0]["status"], "begun");

    let copy = copy_process(&scene);
    kill(copy, Signal::SIGKILL).unwrap();
    until("end of the copy", || matches!(state(copy), None | Some('Z')));
    let done = scene.snapshot(["mail", "--name", "z", "--", "true"]);
    done.assert_code(0);
    assert!(done.stderr.contains("x: was interrupted"), "{done:?}");
    assert_eq!(scene.snapshots(), [""; 0]);
    let manifests = scene.manifests();
    assert_eq!(manifests[0]["status"], "failed");
    assert!(manifests[0]["reason"].as_str().unwrap().contains("interrupted"));
}

#[test]
fn a_certified_snapshot_whose_run_died_before_the_rename_is_completed() {
    let scene = Scene::new();
    fs::write(scene.path("store/letter"), "text").unwrap();
    run(&mut scene.copy(&["--hold", "10", "--name", "x"])).assert_code(0);
    // Back to the moment after the certificate.
    let mut manifest = scene.manifest();
    manifest["status"] = "certified".into();
    fs::write(scene.path("catalog/x.json"), manifest.to_string()).unwrap();
    fs::rename(scene.path("snapshots/x"), scene.partial("x")).unwrap();

    scene.snapshot(["mail", "--name", "y", "--", "true"]).assert_code(0);
    assert_eq!(scene.snapshots(), ["x"]);
    assert_eq!(scene.manifests()[0]["status"], "complete");
    assert_eq!(fs::read_to_string(scene.path("snapshots/x/letter")).unwrap(), "text");
}

#[test]
fn nothing_under_a_final_name_is_ever_cleaned_up() {
    let scene = Scene::new();
    run(&mut scene.copy(&["--hold", "10", "--name", "x"])).assert_code(0);
    let mut manifest = scene.manifest();
    manifest["status"] = "begun".into();
    fs::write(scene.path("catalog/x.json"), manifest.to_string()).unwrap();
    scene.snapshot(["mail", "--name", "y", "--", "true"]).assert_code(0);
    assert_eq!(scene.snapshots(), ["x"]);
    assert_eq!(scene.manifests()[0]["status"], "failed");
}
