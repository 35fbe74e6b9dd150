//! `-- COMMAND`.

use std::fs;

use serde_json::json;

use crate::common::names;
use crate::scene::Scene;

#[test]
fn a_command_runs_while_the_gate_is_closed_and_knows_what_for() {
    let scene = Scene::new();
    let script = r#"echo "$STILLPOINT_SNAPSHOT_NAME|$STILLPOINT_BARRIERS" > "$0"
        "$STILLPOINT" status --json mail >> "$0"
        env -u STILLPOINT_HELD "$STILLPOINT" run -n -s mail true; echo "$?" >> "$0"
        "$STILLPOINT" run -n -s mail true; echo "$?" >> "$0"
        echo this is for people"#;
    let log = scene.path("log");
    let done =
        scene.snapshot(["mail", "--name", "n", "--", "sh", "-c", script, log.to_str().unwrap()]);
    done.assert_code(0);
    assert_eq!(done.stdout, "n\n", "only the name: {done:?}");
    assert!(done.stderr.contains("this is for people"));
    let log = fs::read_to_string(log).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines[0], format!("n|{}", scene.barrier_file("mail").display()));
    assert!(lines[1].contains(r#""gate":"closed""#), "{}", lines[1]);
    assert_eq!(lines[2], "75", "a stranger got in");
    assert_eq!(lines[3], "0", "the command's own share had to wait");
    let manifest = scene.manifest();
    assert_eq!(manifest["status"], "complete");
    assert_eq!(manifest["provider"], "command");
    assert_eq!(manifest["command"][0], "sh");
}

/// Everybody may read a manifest, and the barrier's group what is in the barrier.
#[test]
fn the_arguments_of_a_command_are_recorded_nowhere() {
    let scene = Scene::new();
    let secret = "--password=hunter2";
    for (name, script, code) in [("ends", "exit 0", 0), ("fails", "exit 3", 3)] {
        let words = ["mail", "--json", "--min-open", "0", "--name", name, "--", "sh", "-c", script];
        let done = scene.snapshot([&words[..], &[secret]].concat());
        done.assert_code(code);
        assert!(!format!("{done:?}").contains("hunter2"), "{done:?}");
        let manifest = &scene.manifests()[usize::from(code > 0)];
        assert_eq!((&manifest["command"], &manifest["arguments"]), (&json!(["sh"]), &json!(3)));
    }
    let dry = scene.snapshot(["mail", "--dry-run", "--", "sh", secret]);
    assert!(dry.stderr.contains("run sh ...") && !dry.stderr.contains("hunter2"), "{dry:?}");
    for folder in [scene.path("catalog"), scene.barriers().to_owned()] {
        for name in names(&folder) {
            let bytes = fs::read(folder.join(&name)).unwrap();
            assert!(!bytes.windows(7).any(|part| part == b"hunter2"), "{name}");
        }
    }
}

#[test]
fn a_command_that_fails_passes_its_status_on() {
    let scene = Scene::new();
    scene
        .snapshot(["mail", "--", "sh", "-c", "exit 42"])
        .assert_refused(42, "ended with status 42");
    let manifest = scene.manifest();
    assert_eq!(manifest["status"], "failed");
    assert_eq!(manifest["certificate"], false);
    scene.assert_writers_go_on();
}

#[test]
fn a_command_that_is_killed_gives_128_and_the_signal() {
    let scene = Scene::new();
    scene.snapshot(["mail", "--", "sh", "-c", "kill -9 $$"]).assert_refused(137, "signal 9");
    assert_eq!(scene.manifest()["status"], "failed");
    scene.assert_writers_go_on();
}

#[test]
fn a_command_that_cannot_run_never_closes_the_gate() {
    let scene = Scene::new();
    let before = scene.generation();
    scene
        .snapshot(["mail", "--", "no-such-command"])
        .assert_refused(127, "no-such-command: command not found");
    fs::write(scene.path("bin/plain"), "").unwrap();
    scene.snapshot(["mail", "--", "plain"]).assert_refused(126, "not an executable file");
    assert_eq!(scene.generation(), before);
    assert_eq!(scene.manifests().len(), 0);
}

#[test]
fn several_barriers_close_together() {
    let scene = Scene::new();
    scene.create("index");
    let script = r#"for barrier in mail index; do
            env -u STILLPOINT_HELD "$STILLPOINT" run -n -s $barrier true; echo "$?"; done > "$0""#;
    let log = scene.path("log");
    let done =
        scene.snapshot(["index", "mail", "mail", "--", "sh", "-c", script, log.to_str().unwrap()]);
    done.assert_code(0);
    assert_eq!(fs::read_to_string(log).unwrap(), "75\n75\n");
    let manifest = scene.manifest();
    let barriers = manifest["barriers"].as_array().unwrap();
    let paths: Vec<&str> =
        barriers.iter().map(|barrier| barrier["barrier"].as_str().unwrap()).collect();
    let expected = ["index", "mail"].map(|name| scene.barrier_file(name).display().to_string());
    assert_eq!(paths, expected);
    assert!(!scene.is_closed());
    assert_eq!(scene.status("index")["gate"], "open");
}

#[test]
fn json_is_the_manifest_and_the_exit_status() {
    let scene = Scene::new();
    let report = |done: &crate::common::Done| -> serde_json::Value {
        serde_json::from_str(&done.stdout).unwrap()
    };
    let done =
        scene.snapshot(["mail", "--json", "--sync", "/tmp", "--label", "backup", "--", "true"]);
    let complete = report(&done);
    done.assert_code(0);
    assert_eq!(
        (&complete["schema"], &complete["status"], &complete["exit"]),
        (&1.into(), &"complete".into(), &0.into())
    );
    assert_eq!(complete["label"], "backup");
    assert!(complete["presync_ms"].is_number());
    assert!(complete["pause"]["pause_ms"].is_number());
    let failed = report(&scene.snapshot(["mail", "--json", "--", "false"]));
    assert_eq!((&failed["status"], &failed["exit"]), (&"failed".into(), &1.into()));
    let missing = report(&scene.snapshot(["nobody", "--json", "--", "true"]));
    assert_eq!((&missing["status"], &missing["exit"]), (&"failed".into(), &66.into()));
    assert!(missing["reason"].as_str().unwrap().contains("nobody"));
}

/// What a command makes is nobody else's to remove.
#[test]
fn of_a_run_that_was_interrupted_nothing_is_said_to_be_removed() {
    let scene = Scene::new();
    let made = scene.path("made");
    let script = format!("touch {}; kill -KILL $PPID", made.display());
    scene.snapshot(["mail", "--name", "n", "--", "sh", "-c", &script]);
    let next = scene.snapshot(["mail", "--min-open", "0", "--", "true"]);
    next.assert_code(0);
    let said = "n: was interrupted; what its command made is left";
    assert!(next.stderr.contains(said) && made.exists(), "{next:?}");
}
