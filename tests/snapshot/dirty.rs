//! Writers that are lost, before a snapshot and during one.

use crate::common::run;
use crate::scene::Scene;

/// A share whose command and wrapper are killed. The command is the wrapper's child: that it is
/// gone too shows in the pipe, of which its descriptor 9 is the last to close.
const LOST_WRITER: &str =
    r#""$STILLPOINT" run -s mail sh -c 'kill -9 $PPID $$' 9>&1 >/dev/null 2>&1 | cat"#;

#[test]
fn a_dirty_barrier_makes_snapshots_that_are_not_clean() {
    let scene = Scene::new();
    let mut writer = scene.environment(std::process::Command::new("sh"));
    run(writer.args(["-c", LOST_WRITER]));
    // Whether the loss was noticed before the gate closed or while it was drained: no snapshot.
    scene
        .snapshot(["mail", "--on-dirty", "fail", "--", "true"])
        .assert_refused(65, "stillpoint recover");
    let closed = scene.generation();
    scene
        .snapshot(["mail", "--on-dirty", "fail", "--", "true"])
        .assert_refused(65, "stillpoint recover");
    assert_eq!(scene.generation(), closed, "known to be dirty, and the gate was closed");

    let done = scene.snapshot(["mail", "--name", "zz", "--", "true"]);
    done.assert_code(0);
    assert!(done.stderr.contains("zz is not clean"), "{done:?}");
    let manifests = scene.manifests();
    let last = manifests.last().unwrap();
    assert_eq!((&last["status"], &last["clean"]), (&"complete".into(), &false.into()));
    assert_eq!(last["barriers"][0]["at_grant"]["epoch"], 1);
    assert_eq!(last["barriers"][0]["at_grant"]["acknowledged"], 0);
}

/// A unit or a cron job is red, and there is a snapshot all the same.
#[test]
fn one_that_is_kept_can_be_told_by_the_exit_status() {
    let scene = Scene::new();
    let keep = ["mail", "--on-dirty", "keep", "--", "true"];
    scene.snapshot(keep).assert_code(0);
    let mut writer = scene.environment(std::process::Command::new("sh"));
    run(writer.args(["-c", LOST_WRITER]));
    let done = scene.snapshot(keep);
    done.assert_code(65);
    assert!(done.stderr.contains("is not clean"), "{done:?}");
    let manifest = scene.manifests().pop().unwrap();
    assert_eq!(done.stdout.trim(), manifest["name"]);
    assert_eq!((&manifest["status"], &manifest["clean"]), (&"complete".into(), &false.into()));
    // As a unit gives it, and its settings go before.
    scene
        .snapshot(["mail", "--on-dirty", "keep", "--on-dirty", "warn", "--", "true"])
        .assert_code(0);
}

#[test]
fn a_writer_lost_in_the_pause_itself_spoils_the_snapshot() {
    let scene = Scene::new();
    let done = scene.snapshot(["mail", "--on-dirty", "fail", "--", "sh", "-c", LOST_WRITER]);
    done.assert_refused(65, "during the pause");
    assert_eq!(scene.manifest()["status"], "failed");

    let scene = Scene::new();
    let done = scene.snapshot(["mail", "--", "sh", "-c", LOST_WRITER]);
    done.assert_code(0);
    let manifest = scene.manifest();
    assert_eq!((&manifest["status"], &manifest["clean"]), (&"complete".into(), &false.into()));
}

#[test]
fn data_is_removed_when_a_writer_is_lost_in_the_pause() {
    let scene = Scene::new();
    scene.stand_in("cp", &format!(r#"case "$1" in -a) {LOST_WRITER};; esac; exec "$REAL" "$@""#));
    let done = run(&mut scene.copy(&["--hold", "10", "--on-dirty", "fail"]));
    done.assert_refused(65, "during the pause");
    assert_eq!(scene.snapshots(), [""; 0]);
}

#[test]
fn the_durable_state_learns_of_every_loss() {
    let scene = Scene::new();
    let state = scene.path("state");
    std::fs::create_dir(&state).unwrap();
    let stillpoint = || {
        let mut command = scene.stillpoint();
        command.env("STILLPOINT_STATE_DIR", &state);
        command
    };
    run(stillpoint().args(["create", "kept"])).assert_code(0);
    let lose = LOST_WRITER.replace("mail", "kept");
    let epoch = || {
        let text = std::fs::read_to_string(state.join("kept.state")).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["epoch"].as_u64().unwrap()
    };
    assert_eq!(epoch(), 0);
    run(stillpoint().args(["snapshot", "kept", "--name", "a", "--", "true"])).assert_code(0);
    run(stillpoint().args(["snapshot", "kept", "--name", "b", "--", "sh", "-c", &lose]))
        .assert_code(0);
    assert_eq!(epoch(), 1, "a loss in the pause is on disk");
    let manifests = scene.manifests();
    assert_eq!(manifests[0]["barriers"][0]["durable"], true);
    assert_eq!(manifests[0]["clean"], true);
    assert_eq!(manifests[1]["clean"], false);
}
