//! The units: read by systemd's own checker, and the one that notifies played with a manager of ours.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::harness::{Place, Running, STILLPOINT, finish, skip};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/systemd")
}

fn is_there(test: &str, tool: &str) -> bool {
    let there = ["/usr/bin", "/bin"].iter().any(|folder| Path::new(folder).join(tool).exists());
    if !there {
        skip(test, &format!("{tool} of the package systemd is missing"));
    }
    there
}

/// A unit's text for the barrier `mail`, with this build's command.
fn unit(name: &str) -> String {
    let text = fs::read_to_string(folder().join(name)).unwrap();
    text.replace("%i", "mail").replace("=stillpoint ", &format!("={STILLPOINT} "))
}

/// The words of the lines that set `key`, with the settings of a file put in.
fn commands(unit: &str, key: &str, settings: &[(&str, &str)]) -> Vec<String> {
    let lines = unit.lines().filter_map(|line| line.strip_prefix(&format!("{key}=")));
    let with_settings = |line: &str| {
        settings
            .iter()
            .fold(line.to_string(), |line, (name, value)| line.replace(&format!("${name}"), value))
    };
    lines.map(with_settings).collect()
}

#[test]
fn systemd_takes_every_unit() {
    if !is_there("systemd_takes_every_unit", "systemd-analyze") {
        return;
    }
    let place = Place::new();
    let units = place.path("units");
    fs::create_dir(&units).unwrap();
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.contains('@') {
            let path = units.join(name.replace('@', "@mail"));
            fs::write(&path, unit(&name)).unwrap();
            paths.push(path);
        }
    }
    assert_eq!(paths.len(), 4);
    let mut verify = place.program("systemd-analyze");
    verify.args(["verify", "--man=no", "--recursive-errors=no"]).args(&paths);
    let done = finish(verify);
    let ours = units.display().to_string();
    let complaints: Vec<&str> = done.stderr.lines().filter(|line| line.contains(&ours)).collect();
    assert_eq!((done.code(), complaints.as_slice()), (0, &[][..]), "{done:?}");
}

#[test]
fn the_folders_are_made_at_start() {
    if !is_there("the_folders_are_made_at_start", "systemd-tmpfiles") {
        return;
    }
    let place = Place::new();
    let root = place.path("root");
    fs::create_dir(&root).unwrap();
    let mut tmpfiles = place.program("systemd-tmpfiles");
    tmpfiles.args(["--create", "--root"]).arg(&root).arg(folder().join("stillpoint.conf"));
    let done = finish(tmpfiles);
    assert_eq!(done.code(), 0, "{done:?}");
    assert!(root.join("run/stillpoint").is_dir() && root.join("var/lib/stillpoint").is_dir());
}

/// What the manager runs, one after another.
#[test]
fn from_start_to_stop() {
    let place = Place::new();
    for folder in ["store", "snapshots", "catalog"] {
        fs::create_dir(place.path(folder)).unwrap();
    }
    let snapshot = format!(
        "--copy {} --to {} --hold 5 --min-open 0",
        place.path("store").display(),
        place.path("snapshots").display()
    );
    let settings =
        [("CREATE", "--mode 0600"), ("SNAPSHOT", snapshot.as_str()), ("PRUNE", "--keep 1")];
    let run = |name: &str, key: &str| {
        for command in commands(&unit(name), key, &settings) {
            let mut words = command.split_whitespace();
            let mut command = place.program(words.next().unwrap());
            let done = finish({
                command.args(words).env("STILLPOINT_CATALOG", place.path("catalog"));
                command
            });
            assert_eq!(done.code(), 0, "{name}: {done:?}");
        }
    };
    run("stillpoint@.service", "ExecStart");
    assert!(place.barrier().exists());
    for _ in 0..3 {
        run("stillpoint-snapshot@.service", "ExecStart");
    }
    assert_eq!(fs::read_dir(place.path("snapshots")).unwrap().count(), 1);
    run("stillpoint@.service", "ExecStop");
    assert!(!place.barrier().exists());
}

/// Ready when the barrier is quiet and not before, and closed until it is stopped.
#[test]
fn the_unit_that_holds_says_when_it_does() {
    if !is_there("the_unit_that_holds_says_when_it_does", "systemd-notify") {
        return;
    }
    let place = Place::with_barrier();
    let socket = place.path("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    let text = unit("stillpoint-hold@.service");
    let command = &commands(&text, "ExecStart", &[])[0];
    let start = || {
        // The quoting of a unit and of a shell are the same here.
        let mut shell = place.program("sh");
        shell.args(["-c", &format!("exec {command}")]).env("NOTIFY_SOCKET", &socket);
        Running::start(shell)
    };
    let ready = |limit: u64| {
        let mut message = [0; 256];
        manager.set_read_timeout(Some(Duration::from_millis(limit))).unwrap();
        let length = manager.recv(&mut message).ok()?;
        Some(String::from_utf8_lossy(&message[..length]).into_owned())
    };

    let writer = place.hold(&["-s"]);
    let mut held = start();
    assert_eq!(ready(500), None, "a writer is inside");
    drop(writer);
    let said = ready(20_000).unwrap();
    assert!(said.contains("READY=1"), "{said}");
    let status = place.status();
    assert_eq!((&status["gate"], &status["holder"]["label"]), (&"closed".into(), &"hold".into()));
    held.signal(Signal::SIGTERM);
    // Ended by it, which a manager takes for a service that stopped as it should.
    assert_eq!(held.end_status().signal(), Some(15));
    assert_eq!(place.status()["gate"], "open");
}
