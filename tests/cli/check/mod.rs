//! `check`: what is wrong is found, and said as a plug-in of Nagios says it.

mod jobs;
mod sight;
mod snapshots;

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::common::command::Place;
use crate::common::{Done, until};

/// Its first line is that of a plug-in, and so is its exit status.
#[track_caller]
fn state(done: &Done) -> &str {
    let first = done.stdout.lines().next().unwrap_or_else(|| panic!("{done:?}"));
    let state = first.strip_prefix("STILLPOINT ").unwrap().split(" - ").next().unwrap();
    let states = ["OK", "WARNING", "CRITICAL", "UNKNOWN"];
    let code = states.iter().position(|one| *one == state).unwrap();
    assert_eq!(done.code(), code as i32, "{done:?}");
    for line in done.stdout.lines().skip(1) {
        assert!(!line.contains('|'), "numbers begin there: {line}");
        let level = line.split(": ").next().unwrap();
        assert!(states.contains(&level) || level == "UNSEEN", "{line}");
    }
    state
}

#[track_caller]
fn assert_says(done: &Done, expected: &str, parts: &[&str]) {
    assert_eq!(state(done), expected, "{done:?}");
    let line = done.stdout.lines().find(|line| parts.iter().all(|part| line.contains(part)));
    let line = line.unwrap_or_else(|| panic!("no line with {parts:?} in {done:?}"));
    let is_worst = line.starts_with("STILLPOINT ") || line.starts_with(&format!("{expected}: "));
    assert!(is_worst || expected == "OK", "{line}");
}

/// With the catalogue of this place.
fn check(place: &Place, words: &[&str]) -> Done {
    let catalog = place.path("catalog");
    if !catalog.exists() {
        fs::create_dir(&catalog).unwrap();
    }
    place.run([&["check", "--catalog", catalog.to_str().unwrap()], words].concat())
}

#[test]
fn a_barrier_that_is_well_stays_as_it_is() {
    let place = Place::with_barrier();
    assert_eq!(place.snapshot(&["mail"]).code(), 0);
    let before =
        (place.status(), place.saved(), fs::metadata(place.barrier()).unwrap().modified().unwrap());
    let done = check(&place, &["--warn-age", "1h", "--critical-age", "2h", "mail"]);
    assert_says(
        &done,
        "OK",
        &["1 barrier, nothing wrong | 'writers", "'age command'=0s;3600;7200;0"],
    );
    assert_says(&done, "OK", &["mail.state is its own"]);
    let after =
        (place.status(), place.saved(), fs::metadata(place.barrier()).unwrap().modified().unwrap());
    assert_eq!(before, after);
    let done = check(&place, &["--json"]);
    let object: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&object["level"], &object["exit"]), (&"ok".into(), &0.into()));
    assert!(object["findings"].as_array().unwrap().len() > 3, "{object}");
}

#[test]
fn what_cannot_be_asked_is_unknown() {
    let place = Place::with_barrier();
    for words in [&["--bogus"][..], &["--warn-age", "3"], &["--json", "--json=x"]] {
        let done = check(&place, words);
        assert_eq!((done.code(), done.stdout.as_str()), (3, ""), "{done:?}");
        assert!(!done.stderr.is_empty());
    }
    fs::remove_dir(place.path("catalog")).unwrap();
    fs::write(place.path("catalog"), "").unwrap();
    assert_says(&check(&place, &["mail"]), "UNKNOWN", &["catalog: cannot be read"]);
    fs::remove_file(place.path("catalog")).unwrap();
    let gone = place.run(["check", "--catalog", place.path("catalog").to_str().unwrap(), "mail"]);
    assert_says(&gone, "WARNING", &["catalog: is not there"]);
    assert_eq!(place.run(["retire", "mail"]).code(), 0);
    assert_says(&check(&place, &[]), "UNKNOWN", &["there are no barriers in", "stillpoint create"]);
}

#[test]
fn a_barrier_that_is_missing_or_another_one_is_critical() {
    let place = Place::with_barrier();
    assert_says(&check(&place, &["nothing"]), "CRITICAL", &["stillpoint create nothing"]);
    let writer = place.hold(&["-s"]);
    let aside = place.path("aside");
    fs::rename(place.barrier(), &aside).unwrap();
    // Nobody has named it: its state says that it should be there.
    assert_says(&check(&place, &[]), "CRITICAL", &["mail.barrier", "in use, without any effect"]);
    fs::rename(&aside, place.barrier()).unwrap();
    assert_says(&check(&place, &[]), "OK", &["who takes part: 1 x stillpoint (sh)"]);
    // Killed inside.
    drop(writer);
    assert_eq!(place.run(["recover", "mail", "--acknowledge"]).code(), 0);

    let saved = fs::read_to_string(place.state()).unwrap();
    let mut state: Value = serde_json::from_str(&saved).unwrap();
    state["uuid"] = "0123456789abcdef0123456789abcdef".into();
    fs::write(place.state(), state.to_string()).unwrap();
    assert_says(&check(&place, &[]), "CRITICAL", &["the state of another barrier"]);
    fs::remove_file(place.state()).unwrap();
    assert_says(&check(&place, &["mail"]), "WARNING", &["mail.state is not there", "create"]);
}

#[test]
fn a_lost_writer_is_critical_until_somebody_has_looked() {
    let place = Place::with_barrier();
    place.lose("imapd");
    assert_says(
        &check(&place, &[]),
        "CRITICAL",
        &["lost inside", "imapd", "recover --acknowledge"],
    );
    assert_eq!(place.run(["recover", "mail", "--acknowledge"]).code(), 0);
    assert_eq!(state(&check(&place, &[])), "OK");
}

#[test]
fn a_barrier_on_a_disk_is_a_warning() {
    let place = Place::new();
    let folder = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("x.barrier");
    let path = path.to_str().unwrap();
    assert_eq!(place.run(["create", path]).code(), 0);
    assert_says(&check(&place, &[path]), "WARNING", &["lies on a disk", "tmpfs"]);
}

fn write_program(path: &Path, script: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// It is the next tool that calls him lost, and until then there may be days.
#[test]
fn a_writer_that_is_gone_while_inside_is_critical_before_any_tool_has_met_him() {
    let place = Place::with_barrier();
    place.run(["run", "-s", "--label", "imapd", "mail", "sh", "-c", "kill -KILL $PPID"]);
    until("nobody of it is left", || place.status()["dirty"]["uncounted"] == 1);
    assert_says(&check(&place, &["mail"]), "CRITICAL", &["lost inside (", "(imapd) last"]);
    assert_eq!(place.run(["run", "-x", "mail", "true"]).code(), 0);
    assert_eq!(place.dirty_epoch(), 1, "he is not counted twice");
    // One of whom nobody asked to be watched is not lost.
    assert_eq!(place.run(["recover", "mail", "--acknowledge"]).code(), 0);
    let killed = ["run", "-s", "-F", "mail", "sh", "-c", "kill -KILL $$"];
    place.run(killed);
    assert_eq!(place.status()["dirty"]["uncounted"], 0);
    assert_says(&check(&place, &["mail"]), "OK", &["nothing wrong"]);
}

/// As after a restart of the machine, when nobody has made it again.
#[test]
fn snapshots_under_a_barrier_that_is_gone_are_looked_at_all_the_same() {
    let place = Place::with_barrier();
    assert_eq!(place.run(["create", "other"]).code(), 0);
    assert_eq!(place.snapshot(&["--name", "a", "mail"]).code(), 0);
    assert_eq!(place.run(["retire", "mail"]).code(), 0);
    let done = check(&place, &[]);
    assert_says(&done, "WARNING", &["mail.barrier: is not there, and snapshots were taken"]);
    assert!(done.stdout.contains("the newest clean snapshot, a, is"), "{done:?}");
    let catalog = place.path("catalog");
    let words = ["status", "--prometheus", "--catalog", catalog.to_str().unwrap()];
    let newest = |report: Done| {
        let is_it = |line: &&str| {
            line.starts_with("stillpoint_newest_clean") && line.contains("mail.barrier")
        };
        assert_eq!(report.code(), 0, "{report:?}");
        report.stdout.lines().filter(is_it).count()
    };
    assert_eq!(newest(place.run(words)), 1);
    assert_eq!(newest(place.run([&words[..], &["other"]].concat())), 0);
}

/// Two of them in one folder, and one that may not be read.
#[test]
fn a_number_has_one_label_and_what_is_not_known_is_not_said() {
    let place = Place::with_barrier();
    let apart = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (store, to) = (apart.path().join("store"), place.path("to"));
    let catalog = place.path("catalog");
    fs::create_dir(&store).unwrap();
    fs::create_dir(&to).unwrap();
    let path = |path: &std::path::PathBuf| path.to_str().unwrap().to_owned();
    let (store, to, folder) = (path(&store), path(&to), path(&catalog));
    for label in ["x", "y"] {
        let words = ["snapshot", "mail", "--min-open", "0", "--hold", "9", "--label", label];
        let where_to = ["--catalog", &folder, "--copy", &store, "--to", &to];
        assert_eq!(place.run([&words[..], &where_to].concat()).code(), 0);
    }
    let done = check(&place, &["mail"]);
    assert_eq!(done.stdout.matches(&format!("'free {to}'=")).count(), 1, "{done:?}");
    fs::rename(&catalog, place.path("elsewhere")).unwrap();
    fs::write(&catalog, "").unwrap();
    let done = check(&place, &["--critical-age", "1h", "mail"]);
    assert_says(&done, "UNKNOWN", &["catalog: cannot be read"]);
    assert!(!done.stdout.contains("no snapshot was ever taken"), "{done:?}");
}
