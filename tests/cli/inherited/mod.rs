//! What a parent leaves in us that most do not: blocked and ignored signals, closed descriptors,
//! limits, a bare environment. Every verb that runs a command, under each of them.

mod properties;

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::resource::Resource;
use nix::sys::signal::Signal;

use crate::common::command::Place;
use crate::common::{run, start};
use properties::{Property, SIGNALS, all, blocked, ignored, limited};

/// A place with a snapshot in it, and the probe.
struct Scene {
    place: Place,
    probe: PathBuf,
}

impl Scene {
    fn new() -> Scene {
        let place = Place::with_barrier();
        let probe = place.path("probe");
        let mut compiler = Command::new("gcc");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/inherited/probe.c");
        compiler.args(["-std=c11", "-Wall", "-Wextra", "-Werror", source, "-o"]).arg(&probe);
        let compiled = run(compiler);
        assert_eq!(compiled.code(), 0, "{compiled:?}");
        for folder in ["store", "snapshots"] {
            fs::create_dir(place.path(folder)).unwrap();
        }
        for name in ["input", "output", "errors"] {
            File::create(place.path(name)).unwrap();
        }
        let scene = Scene { place, probe };
        let (store, snapshots) = (scene.place.path("store"), scene.place.path("snapshots"));
        let mut snapshot = scene.command(&["snapshot", "mail", "--name", "one", "--hold", "10"]);
        snapshot.arg("--copy").arg(store).arg("--to").arg(snapshots);
        let made = run(snapshot);
        assert_eq!(made.code(), 0, "{made:?}");
        scene
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.place.command(words);
        command.env("STILLPOINT_CATALOG", self.place.path("catalog"));
        command
    }

    /// Lets the command be started with the property, by standard descriptors that can be told apart.
    fn run(&self, mut command: Command, property: &Property) -> i32 {
        // The same files each time, for they are told apart by their inodes.
        let file = |name| {
            let file = File::options().write(true).truncate(true).open(self.place.path(name));
            Stdio::from(file.unwrap())
        };
        command.stdin(File::open(self.place.path("input")).unwrap());
        property.give(&mut command);
        command.stdout(file("output")).stderr(file("errors"));
        start(command).end()
    }

    /// What was written to the standard error of the last run.
    fn complaints(&self) -> String {
        fs::read_to_string(self.place.path("errors")).unwrap()
    }

    /// What the probe found, started by these words of ours, or by the test itself.
    fn report(&self, words: &[&str], property: &Property, status: &str) -> (i32, String) {
        let mut command = match words {
            [] => self.place.program(&self.probe),
            [..] => {
                let mut command = self.command(words);
                command.arg(&self.probe);
                command
            }
        };
        command.env("STILLPOINT_CATALOG", self.place.path("catalog"));
        let report = self.place.path("report");
        let _ = fs::remove_file(&report);
        command.arg(&report).arg(status);
        let code = self.run(command, property);
        (code, fs::read_to_string(&report).unwrap_or_default())
    }
}

/// All ways to run a command.
const WAYS: [&[&str]; 9] = [
    &["run", "-s", "mail"],
    &["run", "-s", "-o", "mail"],
    &["run", "-s", "-F", "mail"],
    &["run", "-x", "mail"],
    &["run", "-x", "--hold", "none", "mail"],
    &["run", "-x", "-F", "--hold", "none", "mail"],
    &["use", "one", "--"],
    &["recover", "mail", "--"],
    &["snapshot", "mail", "--min-open", "0", "--"],
];

#[test]
fn a_command_finds_what_it_would_have_found_without_us() {
    let scene = Scene::new();
    for property in all() {
        let (code, bare) = scene.report(&[], &property, "0");
        assert_eq!(code, 0, "{}", property.name);
        for way in WAYS {
            let mut expected = bare.clone();
            if way[0] == "snapshot" {
                // Its standard output is for the name alone.
                expected = as_its_errors(&bare);
                if property.closes(2) {
                    continue;
                }
            }
            let (code, found) = scene.report(way, &property, "0");
            let what = format!("{}: {way:?}: {}", property.name, scene.complaints());
            assert_eq!((code, found), (0, expected), "{what}");
        }
    }
    assert!(scene.place.is_quiet());
    assert_eq!(scene.place.dirty_epoch(), 0);
}

/// The report of a process whose standard output is its standard error.
fn as_its_errors(report: &str) -> String {
    let errors = report.lines().find_map(|line| line.strip_prefix("descriptor 2 ")).unwrap();
    let line = |line: &str| match line.starts_with("descriptor 1 ") {
        true => format!("descriptor 1 {errors}\n"),
        false => format!("{line}\n"),
    };
    report.lines().map(line).collect()
}

#[test]
fn blocked_signals_reach_us_nevertheless() {
    let place = Place::with_barrier();
    let start = |words: &[&str]| {
        let mut command = place.command(words);
        blocked(&SIGNALS).give(&mut command);
        start(command)
    };
    // The end of the command, and its limit.
    for side in ["-s", "-x"] {
        assert_eq!(start(&["run", side, "mail", "true"]).end(), 0);
    }
    assert_eq!(start(&["run", "-x", "--hold", "0.2", "mail", "sleep", "60"]).end(), 124);
    // What ends a wait, also when it was sent before we began.
    let holder = place.hold(&["-x"]);
    for words in [["run", "-s", "mail", "true"], ["run", "-x", "mail", "true"]] {
        let mut waiting = start(&words);
        std::thread::sleep(Duration::from_millis(100));
        assert!(waiting.is_running());
        waiting.signal(Signal::SIGTERM);
        assert_eq!(waiting.end_status().signal(), Some(Signal::SIGTERM as i32));
    }
    drop(holder);
}

#[test]
fn the_alarm_of_no_fork_ends_the_command_whatever_was_blocked_or_ignored() {
    let place = Place::with_barrier();
    for property in [blocked(&SIGNALS), ignored(&SIGNALS)] {
        let mut command = place.command(["run", "-x", "-F", "--hold", "1", "mail", "sleep", "60"]);
        property.give(&mut command);
        let ended = start(command).end_status();
        assert_eq!(ended.signal(), Some(Signal::SIGALRM as i32), "{}", property.name);
    }
}

#[test]
fn a_pause_is_begun_and_ended_whatever_was_inherited() {
    let scene = Scene::new();
    for property in all() {
        let code = scene.run(scene.command(&["freeze", "mail"]), &property);
        if property.closes(1) {
            // Nobody would know the token.
            assert_eq!(code, 64, "{}", property.name);
            assert_eq!(scene.place.status()["gate"], "open");
            continue;
        }
        assert_eq!(code, 0, "{}: {}", property.name, scene.complaints());
        assert_eq!(scene.place.status()["gate"], "closed", "{}", property.name);
        let code = scene.run(scene.command(&["thaw", "mail"]), &property);
        assert_eq!(code, 0, "{}: {}", property.name, scene.complaints());
    }
}

/// Whatever is too little, a verb does its work or says what is missing, and nobody waits at a closed
/// gate afterwards.
#[test]
fn limits_end_nothing_halfway() {
    let scene = Scene::new();
    let (store, snapshots) = (scene.place.path("store"), scene.place.path("snapshots"));
    let copy = ["--copy", store.to_str().unwrap(), "--to", snapshots.to_str().unwrap()];
    let verbs: [&[&str]; 8] = [
        &["run", "-s", "mail", "true"],
        &["run", "-x", "-w", "1", "mail", "true"],
        &["run", "-s", "-F", "mail", "true"],
        &["recover", "-w", "1", "mail", "--", "true"],
        &["use", "one", "--", "true"],
        &["snapshot", "mail", "--min-open", "0", "--drain", "1", "--attempts", "1", "--", "true"],
        &[&["snapshot", "mail", "--min-open", "0", "--drain", "1", "--hold", "10"], &copy[..]]
            .concat(),
        &["create", "other"],
    ];
    // Less than four descriptors are too few for the C library's loader.
    let mut limits: Vec<Property> =
        (4..16).map(|limit| limited(Resource::RLIMIT_NOFILE, limit)).collect();
    limits.extend([500, 1000, 2000].map(|limit| limited(Resource::RLIMIT_FSIZE, limit)));
    for property in limits {
        for words in verbs {
            let code = scene.run(scene.command(words), &property);
            let said = scene.complaints();
            let what = format!("{}: {words:?}: {code}: {said}", property.name);
            assert!([0, 69, 71, 73, 75].contains(&code), "{what}");
            assert!(code == 0 || said.starts_with("stillpoint: "), "{what}");
            assert!(said.lines().all(|line| line.starts_with("stillpoint: ")), "{what}");
            // A call that failed is told with what it was about.
            assert!(!said.contains("stillpoint: Too many open files"), "{what}");
        }
    }
    assert_eq!(scene.place.status()["gate"], "open");
    assert!(scene.place.is_quiet());
    assert_eq!(scene.place.dirty_epoch(), 0);
}
