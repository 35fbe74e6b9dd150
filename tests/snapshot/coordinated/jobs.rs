//! What a job does beside its snapshot, when that is a part of a group's.

use std::fs;
use std::process::Command;

use nix::sys::signal::Signal;

use super::{Part, name, prepare, whole};
use crate::common::{names, until};
use crate::scene::Scene;

/// A job that writes down what it does, and keeps so many.
fn keeping(scene: &Scene, keep: u32) -> Command {
    let folder = scene.path("jobs");
    let _ = fs::create_dir(&folder);
    fs::write(scene.path("store").join("a"), "x").unwrap();
    let note = |word: &str| format!("\"echo {word} >>{}\"", scene.path("notes").display());
    let text = format!(
        "barriers = 'mail'\n[snapshot]\ncopy = '{}'\nto = '{}'\n[limits]\nhold = 20\nmin-open = 0\nattempts = 1\n\
         patience = 0\ndrain = 0.2\n[hooks]\nbefore = {}\nafter = {}\non-failure = {}\n[verify]\ncommand = {}\n\
         [retention]\nkeep = {keep}\n",
        scene.path("store").display(),
        scene.path("snapshots").display(),
        note("before"),
        note("after"),
        note("failed $STILLPOINT_JOB_FAILED"),
        note("verify $STILLPOINT_SNAPSHOT_NAME"),
    );
    fs::write(folder.join("mail.toml"), text).unwrap();
    again(scene)
}

/// The job as it was written.
fn again(scene: &Scene) -> Command {
    let mut command = scene.stillpoint();
    command.args(["job", "run", "mail", "--coordinated"]);
    command
        .env("STILLPOINT_JOBS", scene.path("jobs"))
        .env("STILLPOINT_STATE_DIR", scene.path("state"));
    command
}

fn job(scene: &Scene) -> Command {
    keeping(scene, 1)
}

fn notes(scene: &Scene) -> Vec<String> {
    let text = fs::read_to_string(scene.path("notes")).unwrap_or_default();
    let _ = fs::remove_file(scene.path("notes"));
    text.lines().map(str::to_owned).collect()
}

#[test]
fn old_ones_go_only_once_the_verdict_is_there() {
    let scene = Scene::new();
    for epoch in [1, 2] {
        let mut part = Part::start(&mut job(&scene)).until(epoch, 4);
        // What `before` has stopped waits for no other host.
        until("it goes on", || {
            fs::read_to_string(scene.path("notes")).unwrap_or_default() == "before\nafter\n"
        });
        assert_eq!(scene.latest(&[]), (epoch == 2).then(|| name(1)), "the old one is there yet");
        part.tell(&format!("complete {}", whole(epoch)));
        part.expect("settled");
        part.ended().assert_code(0);
        assert_eq!(notes(&scene), ["before", "after", &format!("verify {}", name(epoch))]);
        assert_eq!(scene.snapshots(), [name(epoch)]);
    }
    // Aborted: then the last one stays.
    let mut part = Part::start(&mut job(&scene)).until(3, 4);
    part.tell("aborted by the test");
    part.expect("settled");
    part.ended().assert_code(75);
    assert_eq!(notes(&scene), ["before", "after", "failed verdict"]);
    assert_eq!(scene.snapshots(), [name(2)]);
    // Not known: then all stay, also those that are too many.
    let mut part = Part::start(&mut keeping(&scene, 2)).until(5, 4);
    part.tell(&format!("complete {}", whole(5)));
    part.expect("settled");
    part.ended().assert_code(0);
    notes(&scene);
    let mut part = Part::start(&mut job(&scene)).until(4, 4);
    part.hang_up();
    part.ended().assert_code(75);
    assert_eq!(notes(&scene), ["before", "after", "failed verdict"]);
    assert_eq!(names(&scene.path("snapshots")).len(), 3);
    assert_eq!(scene.latest(&[]), Some(name(5)));
    let mut settle = scene.stillpoint();
    settle.args(["settle", "--job", "mail", "--group", "post", "--epoch", "4", "aborted"]);
    settle.env("STILLPOINT_JOBS", scene.path("jobs"));
    crate::common::run(&mut settle).assert_code(0);
    assert_eq!(scene.snapshots(), [name(2), name(5)]);
}

/// The run before may be at its verdict, or look at what it took. Who is not given the time is refused at once, and by a
/// clear line rather than by a group's limit.
#[test]
fn a_part_waits_for_the_run_before() {
    let scene = Scene::new();
    let mut first = Part::start(&mut job(&scene)).until(1, 4);
    let mut second = Part::start(&mut again(&scene));
    second.tell(&prepare(2, &[("prepare_ms", 120_000.into())]));
    for time in [0, 300] {
        let mut hurried = Part::start(&mut again(&scene));
        hurried.tell(&prepare(3, &[("prepare_ms", time.into())]));
        assert!(hurried.expect("failed").starts_with("75 job mail: is running since"));
        hurried.ended().assert_code(75);
    }
    // Who waits ends with its line, as ever.
    let mut given_up = Part::start(&mut again(&scene));
    given_up.tell(&prepare(4, &[("prepare_ms", 120_000.into())]));
    given_up.hang_up();
    assert_eq!(given_up.ended().signal(), Some(Signal::SIGTERM as i32));
    first.tell(&format!("complete {}", whole(1)));
    first.expect("settled");
    second.expect("prepared");
    first.ended().assert_code(0);
    second.tell("aborted by the test");
    second.expect("failed");
    second.ended().assert_code(75);
}

#[test]
fn what_fails_before_the_snapshot_is_said() {
    let scene = Scene::new();
    let mut part = Part::start(&mut job(&scene));
    let mut twice = Part::start(&mut job(&scene));
    part.tell(&prepare(1, &[]));
    part.expect("prepared");
    twice.tell(&prepare(1, &[]));
    assert!(twice.expect("failed").contains("mail"), "it runs already");
    twice.ended().assert_code(75);
    part.tell("aborted by the test");
    part.expect("failed");
    part.ended().assert_code(75);
    assert_eq!(notes(&scene), ["before", "after", "failed snapshot"]);
    let mut command = job(&scene);
    fs::write(scene.path("jobs/mail.toml"), "barriers = 1").unwrap();
    let mut part = Part::start(&mut command);
    part.expect("failed");
    part.ended().assert_code(65);
}
