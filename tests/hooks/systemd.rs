//! The units: read by systemd's own checker, and the one that notifies played with a manager of ours.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

use std::time::Duration;

use crate::common::command::Place;
use crate::common::{Mounted, STILLPOINT, has, is_root, programs, run, start};
use nix::sys::signal::Signal;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/systemd")
}

/// A unit's text for the barrier `mail`, with this build's command.
fn unit(name: &str) -> String {
    let text = fs::read_to_string(folder().join(name)).unwrap();
    text.replace("%i", "mail").replace("=stillpoint ", &format!("={STILLPOINT} "))
}

/// The values of the lines that set `key`.
fn lines<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

/// Units of a place, run by a manager of ours: by sh, which takes words apart as systemd does. Only what
/// stays one word, and a dollar for the command itself, is written in another way.
struct Manager {
    place: Place,
    settings: Vec<(&'static str, String)>,
}

impl Manager {
    fn new() -> Manager {
        let place = Place::new();
        for folder in ["store", "snapshots", "catalog", "state"] {
            fs::create_dir(place.path(folder)).unwrap();
        }
        let settings = vec![
            ("CREATE", "--mode 0600".to_string()),
            ("STILLPOINT_JOBS", place.path("jobs").display().to_string()),
            ("STILLPOINT_STATE_DIR", place.path("state").display().to_string()),
        ];
        let manager = Manager { place, settings };
        manager.job("");
        manager
    }

    /// Writes the job, with more in its file.
    fn job(&self, more: &str) {
        let text = format!(
            "barriers = 'mail'\n[snapshot]\ncopy = '{}'\nto = '{}'\n[limits]\nhold = 5\nmin-open = 0\n\
             attempts = 1\npatience = 0\ndrain = 0.1\n{more}",
            self.place.path("store").display(),
            self.place.path("snapshots").display()
        );
        let folder = self.place.path("jobs");
        let _ = fs::create_dir(&folder);
        fs::write(folder.join("mail.toml"), text).unwrap();
    }

    /// Runs the lines of `key`, one after another while they succeed: the status of the last.
    fn run(&self, name: &str, key: &str) -> i32 {
        let unit = unit(name);
        let run = |line: &&str| {
            let mut shell = self.place.program("sh");
            shell.args(["-c", line]).env("STILLPOINT_CATALOG", self.place.path("catalog"));
            let programs = programs();
            shell.env("PATH", format!("{}:/usr/bin:/bin", programs.display()));
            shell.envs(self.settings.iter().map(|(name, value)| (name, value)));
            run(shell).code()
        };
        lines(&unit, key).iter().map(run).find(|status| *status != 0).unwrap_or(0)
    }

    /// Whether a unit that runs to its end has done well.
    fn succeeds(&self, name: &str) -> bool {
        self.run(name, "ExecStart") == 0
    }

    fn snapshots(&self) -> usize {
        fs::read_dir(self.place.path("snapshots")).unwrap().count()
    }
}

#[test]
fn systemd_takes_every_unit() {
    if !has(&["systemd-analyze"]) {
        return;
    }
    let place = Place::new();
    let units = place.path("units");
    fs::create_dir(&units).unwrap();
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".service") || name.ends_with(".timer") {
            let path = units.join(name.replace('@', "@mail"));
            fs::write(&path, unit(&name)).unwrap();
            paths.push(path);
        }
    }
    assert_eq!(paths.len(), 8);
    let mut verify = place.program("systemd-analyze");
    verify.args(["verify", "--man=no", "--recursive-errors=no"]).args(&paths);
    let done = run(verify);
    let ours = units.display().to_string();
    let complaints: Vec<&str> = done.stderr.lines().filter(|line| line.contains(&ours)).collect();
    assert_eq!((done.code(), complaints.as_slice()), (0, &[][..]), "{done:?}");
}

#[test]
fn the_folders_are_made_at_start() {
    if !has(&["systemd-tmpfiles"]) {
        return;
    }
    let place = Place::new();
    let root = place.path("root");
    fs::create_dir(&root).unwrap();
    let mut tmpfiles = place.program("systemd-tmpfiles");
    tmpfiles.args(["--create", "--root"]).arg(&root).arg(folder().join("stillpoint.conf"));
    let done = run(tmpfiles);
    assert_eq!(done.code(), 0, "{done:?}");
    assert!(root.join("run/stillpoint").is_dir() && root.join("var/lib/stillpoint").is_dir());
}

#[test]
fn barriers_do_not_age() {
    if !has(&["systemd-tmpfiles"]) {
        return;
    }
    let place = Place::new();
    let root = place.path("root");
    let ageing = place.path("z.conf");
    let folders = ["run/stillpoint", "run/user/1000/stillpoint", "run/other"];
    let ages = "e /run/* - - - m:1m\ne /run/user/*/* - - - m:1m\n";
    fs::write(&ageing, ages).unwrap();
    for folder in folders {
        fs::create_dir_all(root.join(folder)).unwrap();
        let barrier = fs::File::create(root.join(folder).join("mail.barrier")).unwrap();
        barrier.set_modified(std::time::UNIX_EPOCH).unwrap();
    }
    let mut tmpfiles = place.program("systemd-tmpfiles");
    tmpfiles.args(["--clean", "--root"]).arg(&root);
    let done = run({
        tmpfiles.arg(folder().join("stillpoint.conf")).arg(&ageing);
        tmpfiles
    });
    let left = folders.map(|folder| root.join(folder).join("mail.barrier").exists());
    assert_eq!((done.code(), left), (0, [true, true, false]), "{done:?}");
}

const BARRIER: &str = "stillpoint@.service";
const SNAPSHOT: &str = "stillpoint-job@.service";

#[test]
fn from_start_to_stop() {
    let manager = Manager::new();
    assert_eq!(manager.run(BARRIER, "ExecStart"), 0);
    assert!(manager.place.barrier().exists());
    for made in 1..=2 {
        assert!(manager.succeeds(SNAPSHOT), "nothing is pruned unless asked for");
        assert_eq!(manager.snapshots(), made);
    }
    // Taken by others, who know how many of theirs they want.
    for label in ["", "restic"] {
        for _ in 0..2 {
            let mut snapshot = manager.place.program(STILLPOINT);
            snapshot.args(["snapshot", "mail", "--label", label, "--hold", "5", "--min-open", "0"]);
            snapshot.arg("--copy").arg(manager.place.path("store"));
            snapshot.arg("--to").arg(manager.place.path("snapshots"));
            snapshot.env("STILLPOINT_CATALOG", manager.place.path("catalog"));
            assert_eq!(run(snapshot).code(), 0);
        }
    }
    manager.job("[retention]\nkeep = 1\n");
    assert!(manager.succeeds(SNAPSHOT));
    assert_eq!(manager.snapshots(), 4 + 1);
    assert_eq!(manager.run(BARRIER, "ExecStop"), 0);
    assert!(!manager.place.barrier().exists());
}

/// Or the disk that is full of snapshots would stay so.
#[test]
fn a_snapshot_that_fails_is_pruned_after_all_the_same() {
    let manager = Manager::new();
    assert_eq!(manager.run(BARRIER, "ExecStart"), 0);
    for _ in 0..3 {
        assert!(manager.succeeds(SNAPSHOT));
    }
    manager.job("[retention]\nkeep = 2\n");
    let writer = manager.place.hold(&["-s"]);
    assert!(!manager.succeeds(SNAPSHOT));
    assert_eq!(manager.snapshots(), 2);
    drop(writer);
}

#[test]
fn a_source_that_is_not_mounted_is_no_snapshot() {
    if !is_root() {
        return;
    }
    let manager = Manager::new();
    assert_eq!(manager.run(BARRIER, "ExecStart"), 0);
    let mounted = Mounted::new("tmpfs", "size=1m", &manager.place.path("store"));
    assert!(manager.succeeds(SNAPSHOT));
    drop(mounted);
    assert_eq!(manager.run(SNAPSHOT, "ExecStart"), 69);
    assert_eq!(manager.snapshots(), 1);
}

#[test]
fn a_dirty_barrier_makes_a_snapshot_and_a_unit_that_has_failed() {
    let manager = Manager::new();
    assert_eq!(manager.run(BARRIER, "ExecStart"), 0);
    drop(manager.place.hold(&["-s"]));
    assert_eq!(manager.run(SNAPSHOT, "ExecStart"), 65);
    assert!(!manager.succeeds(SNAPSHOT));
    assert_eq!(manager.snapshots(), 2);
}

/// Ready when the barrier is quiet and not before, and closed until it is stopped.
#[test]
fn the_unit_that_holds_says_when_it_does() {
    if !has(&["systemd-notify"]) {
        return;
    }
    let place = Place::with_barrier();
    let socket = place.path("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    let text = unit("stillpoint-hold@.service");
    let command = lines(&text, "ExecStart")[0];
    let start = || {
        // The quoting of a unit and of a shell are the same here.
        let mut shell = place.program("sh");
        shell.args(["-c", &format!("exec {command}")]).env("NOTIFY_SOCKET", &socket);
        start(shell)
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
