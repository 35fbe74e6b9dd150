//! A clock that jumps in the middle of a snapshot: by libfaketime, for the command alone. Only the wall
//! clock does so; every limit is counted on the one that cannot.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::scene::{Scene, run};

fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?;
    let mut found =
        folders.filter_map(|entry| Some(entry.ok()?.path().join("faketime/libfaketime.so.1")));
    let found = found.find(|path| path.exists());
    if found.is_none() {
        crate::skip::skip("libfaketime is missing");
    }
    found
}

/// `snapshot` with a clock that is off by what the file `clock` says, as it says it.
fn snapshot(scene: &Scene, words: &[&str]) -> Option<Command> {
    fs::write(scene.path("clock"), "+0").unwrap();
    let mut command = scene.stillpoint();
    command
        .args(["snapshot", "mail", "--min-open", "0"])
        .args(words)
        .env("LD_PRELOAD", library()?)
        .env("FAKETIME_TIMESTAMP_FILE", scene.path("clock"))
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    Some(command)
}

#[test]
fn it_is_complete_and_the_newest_whatever_the_clock_says() {
    let scene = Scene::new();
    for (name, jump) in [("first", "+0"), ("forward", "+3650d"), ("back", "-3650d")] {
        let script = format!("printf %s {jump} >{}", scene.path("clock").display());
        let words = ["--name", name, "--", "env", "-u", "LD_PRELOAD", "sh", "-c", &script];
        let Some(mut command) = snapshot(&scene, &words) else {
            return;
        };
        let done = run(&mut command);
        done.assert_code(0);
        let latest = run(scene.stillpoint().args(["latest", "--provider", "command"]));
        assert_eq!(latest.stdout, format!("{name}\n"));
    }
    let manifests = scene.manifests();
    let times = |name: &str| {
        let found = manifests.iter().find(|manifest| manifest["name"] == name).unwrap();
        let year = |field: &str| found[field].as_str().unwrap()[..4].parse::<i32>().unwrap();
        (year("ended") - year("began"), found["pause"]["pause_ms"].as_f64().unwrap())
    };
    // It did jump, and the pause was as long as it was.
    assert!(times("forward").0 >= 9 && times("back").0 <= -9, "{manifests:#?}");
    for name in ["forward", "back"] {
        assert!((0.0..30_000.0).contains(&times(name).1), "{name}");
    }
}

#[test]
fn the_hold_limit_stays_what_it_is() {
    for jump in ["+3650d", "-3650d"] {
        let scene = Scene::new();
        let script = format!("printf %s {jump} >{}; exec sleep 600", scene.path("clock").display());
        let words = ["--hold", "0.5", "--", "env", "-u", "LD_PRELOAD", "sh", "-c", &script];
        let Some(mut command) = snapshot(&scene, &words) else {
            return;
        };
        run(&mut command).assert_refused(124, "hold limit of 500.0 ms");
        scene.assert_writers_go_on();
        assert_eq!(scene.manifest()["status"], "revoked");
    }
}
