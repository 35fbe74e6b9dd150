//! Files that are written aside and renamed: what a killed one has left goes with the next that is written there.

use std::fs;
use std::process::Command;

use crate::common::strace::{self, Fault, Trouble};
use crate::common::{STILLPOINT, must, names, run, skip};
use crate::scene::Scene;

/// The words of a command, and the folder that it writes a file into.
fn acts() -> Vec<(&'static str, Vec<&'static str>)> {
    vec![
        ("out", vec!["snapshot", "mail", "--metrics-textfile", "@/out/mail.prom", "--", "true"]),
        ("out", vec!["report", "--html", "@/out/page.html"]),
        ("out", vec!["create", "--state", "@/out/other.state", "other"]),
        (
            "jobs",
            vec![
                "job",
                "init",
                "--barrier=mail",
                "--source=@/store",
                "--to=@/snapshots",
                "nightly",
            ],
        ),
        ("root/etc/systemd/system/it.service.d", vec!["adopt", "enable", "--root", "@/root", "it"]),
    ]
}

fn scene() -> Scene {
    let scene = Scene::new();
    for folder in ["out", "jobs", "root/usr/lib/systemd/system"] {
        fs::create_dir_all(scene.path(folder)).unwrap();
    }
    fs::write(scene.path("root/usr/lib/systemd/system/it.service"), "[Service]\n").unwrap();
    scene
}

fn prepared(scene: &Scene, mut command: Command, words: &[&str]) -> Command {
    let place = scene.path("").display().to_string();
    command.args(words.iter().map(|word| word.replace("@/", &place)));
    command.env("STILLPOINT_JOBS", scene.path("jobs"));
    scene.environment(command)
}

/// Runs it under strace, struck or not, and returns what was called.
fn traced(scene: &Scene, words: &[&str], fault: Option<&Fault>) -> Vec<strace::Call> {
    let output = scene.path("trace");
    let mut command = Command::new("strace");
    command.arg("-f");
    strace::options(&mut command, &output, fault);
    command.arg(STILLPOINT);
    let _ = run(&mut prepared(scene, command, words));
    strace::read(&output)
}

#[test]
fn what_a_killed_one_has_left_goes_with_the_next() {
    if !strace::works() {
        return skip("strace cannot inject");
    }
    for (folder, words) in acts() {
        let calls = traced(&scene(), &words, None);
        let gives_name = |call: &&strace::Call| {
            let changes = ["rename", "link"].iter().any(|change| call.name.starts_with(change));
            changes && call.text.contains(&format!("{folder}/.stillpoint-"))
        };
        let call = calls.iter().find(gives_name).unwrap_or_else(|| panic!("{words:?}"));
        let fault = Fault { name: call.name.clone(), nth: call.nth, trouble: Trouble::Kills };
        let scene = scene();
        traced(&scene, &words, Some(&fault));
        let left = || -> Vec<String> {
            let found = names(&scene.path(folder)).into_iter();
            found.filter(|name| name.starts_with('.')).collect()
        };
        assert_eq!(left().len(), 1, "{words:?}");
        run(&mut prepared(&scene, Command::new(STILLPOINT), &words)).assert_code(0);
        assert!(left().is_empty(), "{words:?}: {:?}", left());
    }
}

#[test]
fn what_one_that_stands_still_is_writing_stays() {
    let scene = scene();
    let aside = scene.path("out/.stillpoint-new.living");
    fs::write(&aside, "half").unwrap();
    let mut shown = Command::new("flock");
    shown.arg(&aside).arg(STILLPOINT);
    let words = ["report", "--html", "@/out/page.html"];
    must(&mut prepared(&scene, shown, &words));
    assert_eq!(fs::read_to_string(&aside).unwrap(), "half");
    run(&mut prepared(&scene, Command::new(STILLPOINT), &words)).assert_code(0);
    assert_eq!(names(&scene.path("out")), ["page.html"]);
}
