//! `check`: what is wrong is found, and said as a plug-in of Nagios says it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::common::command::Place;
use crate::common::{Done, is_root, programs, run, start};

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
    assert_eq!(
        (object["level"] == "ok" || object["level"] == "unseen", &object["exit"]),
        (true, &0.into())
    );
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
    fs::write(place.path("catalog"), "").unwrap();
    assert_says(&check(&place, &["mail"]), "UNKNOWN", &["catalog: cannot be read"]);
    fs::remove_file(place.path("catalog")).unwrap();
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
fn snapshots_that_are_old_failed_or_gone_are_found() {
    let place = Place::with_barrier();
    let catalog = place.path("catalog");
    let limits = ["--warn-age", "26h", "--critical-age", "50h", "mail"];
    assert_says(&check(&place, &limits), "CRITICAL", &["no snapshot was ever taken"]);
    assert_eq!(place.snapshot(&["--name", "a", "mail"]).code(), 0);
    let manifest = catalog.join("a.json");
    let taken = |hours: i64| {
        let mut value: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
        let time = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(hours);
        value["quiet"] = time.to_string().into();
        fs::write(&manifest, value.to_string()).unwrap();
    };
    for (hours, expected) in [(25, "OK"), (27, "WARNING"), (51, "CRITICAL")] {
        taken(hours);
        let done = check(&place, &limits);
        assert_says(&done, expected, &["the newest clean snapshot, a, is "]);
    }
    assert_eq!(state(&check(&place, &["mail"])), "OK", "nobody has said what is old");
    let failing = ["snapshot", "mail", "--min-open", "0", "--name", "b", "--catalog"];
    place.run([&failing[..], &[catalog.to_str().unwrap(), "--", "false"]].concat());
    assert_says(&check(&place, &["mail"]), "WARNING", &["b failed: "]);
    fs::remove_file(catalog.join("b.json")).unwrap();

    let path = |name: &str| place.path(name).to_str().unwrap().to_owned();
    let (store, to) = (path("store"), path("to"));
    fs::create_dir(&store).unwrap();
    fs::create_dir(&to).unwrap();
    let words = ["snapshot", "mail", "--min-open", "0", "--catalog", catalog.to_str().unwrap()];
    let copied = place.run([&words[..], &["--copy", &store, "--to", &to, "--hold", "9"]].concat());
    assert_eq!(copied.code(), 0, "{copied:?}");
    assert_says(&check(&place, &["mail"]), "OK", &["GiB free"]);
    fs::rename(&to, path("elsewhere")).unwrap();
    assert_says(&check(&place, &["mail"]), "CRITICAL", &["is not the folder that", "mounted?"]);
    fs::rename(path("elsewhere"), &to).unwrap();
    // Who writes there and does not take part.
    let mut stranger = place.program("sh");
    stranger.args(["-c", "exec 3>\"$0/x\"; echo up; exec sleep 60"]).arg(&store);
    let mut stranger = start(stranger);
    assert_eq!(stranger.line(), "up");
    assert_says(
        &check(&place, &["mail"]),
        "WARNING",
        &["sleep[", "writes here and is not stilled"],
    );
    drop(stranger);
    fs::remove_dir_all(&store).unwrap();
    assert_says(&check(&place, &["mail"]), "CRITICAL", &["store: is not there"]);
    fs::write(catalog.join("x|y.json"), "{").unwrap();
    let done = check(&place, &["mail"]);
    assert!(done.stdout.contains("x/y.json: is no manifest"), "{done:?}");
    state(&done);
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

/// A daemon goes on with the file that it was started with.
#[test]
fn a_library_that_was_replaced_is_found_where_it_runs() {
    let place = Place::with_barrier();
    let library = place.path("libstillpoint_adopt.so");
    fs::copy(programs().join("libstillpoint_adopt.so"), &library).unwrap();
    // On another file system than the barrier.
    let store = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (barrier, settings) = (place.barrier(), place.path("adopt.conf"));
    let text = format!("barrier {}\nprotect {}\n", barrier.display(), store.path().display());
    fs::write(&settings, text).unwrap();
    let mut program = place.program("flock");
    program.arg(store.path().join("lock")).args(["sh", "-c", "echo up; exec sleep 60"]);
    program.env("LD_PRELOAD", &library).env("STILLPOINT_ADOPT_CONFIG", &settings);
    let mut running = start(program);
    assert_eq!(running.line(), "up");
    let name = format!("flock[{}]", running.pid);
    let of_it = |done: &Done| done.stdout.lines().any(|line| line.contains(&name));
    assert!(!of_it(&check(&place, &["mail"])));
    fs::remove_file(&library).unwrap();
    let done = check(&place, &["mail"]);
    assert_says(&done, "WARNING", &[&name, "was replaced since; start it again"]);
}

/// A job: its file, its last run, and its timer, by a systemd that answers, and by one that hangs.
#[test]
fn a_job_is_looked_at_with_its_barriers_and_its_timer() {
    if !is_root() {
        return;
    }
    let place = Place::with_barrier();
    let (jobs, tools) = (place.path("jobs.d"), place.path("tools"));
    fs::create_dir(&jobs).unwrap();
    fs::create_dir(&tools).unwrap();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let with_systemctl = |script: &str| {
        write_program(&tools.join("systemctl"), script);
        let mut command = place.program("unshare");
        command.args(["-m", "sh", "-ec"]);
        let script =
            "mount -t tmpfs none /run; mkdir -p /run/systemd/system; exec \"$S\" check nightly";
        command.arg(script).env("PATH", &path).env("STILLPOINT_JOBS", &jobs);
        run(command.env("STILLPOINT_CATALOG", place.path("catalog")))
    };
    let job = |text: &str| fs::write(jobs.join("nightly.toml"), text).unwrap();
    job("barriers = [\"mail\"]\n[snapshot]\ncommand = [\"true\"]\n");
    let active = "echo ActiveState=active";
    let done = with_systemctl(active);
    assert_says(&done, "OK", &["stillpoint-job@nightly.timer is active"]);
    assert_says(&done, "OK", &["nightly: was never run"]);
    assert_says(&done, "OK", &["mail.barrier: is there"]);
    let inactive = "echo ActiveState=inactive";
    assert_says(&with_systemctl(inactive), "WARNING", &["is not active: systemctl enable --now"]);
    assert_says(&with_systemctl("exec sleep 600"), "OK", &["UNSEEN", "does not answer"]);
    job("barriers = [\"mail\"]\n[snapshot]\ncommand = [\"true\"]\nbogus = 1\n");
    assert_says(&with_systemctl(active), "CRITICAL", &["nightly", "bogus"]);
}

fn write_program(path: &Path, script: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn without_proc_it_says_so() {
    if !is_root() {
        return;
    }
    let place = Place::with_barrier();
    let mut command = place.program("unshare");
    command.args(["-m", "sh", "-ec", "mount -t tmpfs none /proc; exec \"$S\" check mail"]);
    command.env("STILLPOINT_CATALOG", place.path("catalog"));
    let done = run(command);
    assert_says(&done, "OK", &["UNSEEN", "without /proc"]);
}
