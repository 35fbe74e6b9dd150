//! What became of the whole: said by who told the steps, or later by somebody else, and written once.

use std::fs;

use nix::sys::signal::Signal;

use super::{Part, name, whole};
use crate::common::{Image, names, run, until};
use crate::scene::Scene;

/// A part that nobody has told what became of the whole.
fn waiting(scene: &Scene, epoch: u64, words: &[&str]) {
    let mut part = Part::of(scene, words).until(epoch, 4);
    part.hang_up();
    let done = part.ended();
    done.assert_code(75);
    assert!(done.stderr.contains("waits for the verdict"), "{done:?}");
}

#[test]
fn an_aborted_part_leaves_nothing() {
    let scene = Scene::new();
    let mut part = Part::of(&scene, &[]).until(7, 4);
    part.tell("aborted host b is gone");
    part.expect("settled");
    part.ended().assert_code(75);
    let manifest = scene.part(7);
    assert_eq!((&manifest["status"], &manifest["clean"]), (&"failed".into(), &false.into()));
    assert_eq!(manifest["reason"], "aborted by its group: host b is gone");
    assert_eq!(manifest["group"]["verdict"], "aborted");
    assert_eq!(scene.snapshots(), [""; 0]);
    scene.settle_as(7, "complete").assert_code(65);
    assert_eq!(scene.part(7), manifest);
}

#[test]
fn a_partial_one_is_there_and_never_clean() {
    let scene = Scene::new();
    let mut part = Part::of(&scene, &[]).until(7, 4);
    part.tell(&format!("partial {}", whole(7)));
    part.expect("settled");
    part.ended().assert_code(0);
    let manifest = scene.part(7);
    assert_eq!((&manifest["status"], &manifest["clean"]), (&"complete".into(), &false.into()));
    assert_eq!((scene.latest(&[]), scene.latest(&["--any"])), (None, Some(name(7))));
}

/// Neither `latest` nor `use` nor `prune` nor a snapshot that sweeps takes it for anything.
#[test]
fn what_waits_is_left_alone_by_everybody() {
    let scene = Scene::new();
    waiting(&scene, 7, &["--keep-failed"]);
    let before = scene.part(7);
    scene.take("after-1");
    scene.take("after-2");
    let done = scene.verb(["prune", "--keep", "1"]);
    done.assert_code(0);
    assert_eq!(scene.part(7), before);
    assert!(scene.snapshots().contains(&scene.partial_name(&name(7))));
    let used = scene.verb(["use", "post-7", "--", "true"]);
    used.assert_refused(66, "waits for the verdict of its group");
    scene.verb(["use", "--any", "post-7", "--", "true"]).assert_code(66);
    let into = scene.path("into");
    scene.verb(["restore", "post-7", "--to", into.to_str().unwrap()]).assert_code(66);
    let listed = scene.verb(["list"]);
    let line = listed.stdout.lines().find(|line| line.contains("post-7")).unwrap();
    assert!(line.contains(" waiting ") && line.contains("for the verdict of its group"), "{line}");
    fs::remove_dir_all(scene.path("snapshots/after-2")).unwrap();
    let none = scene.verb(["latest"]);
    none.assert_refused(66, "1 waiting for the verdict of its group");
    let metrics = scene.verb(["status", "--prometheus", "mail"]).stdout;
    let complete = metrics.lines().filter(|line| line.contains("post-7")).count();
    assert_eq!(complete, 0, "{metrics}");
    // Its name is taken.
    let mut again = Part::of(&scene, &[]);
    again.tell(&super::prepare(7, &[]));
    again.expect("failed");
    again.ended().assert_code(73);
}

#[test]
fn a_verdict_is_settled_later_and_once() {
    let scene = Scene::new();
    for (epoch, verdict) in [(1, "complete"), (2, "partial"), (3, "aborted")] {
        waiting(&scene, epoch, &[]);
        let settle = |verdict: &str| match verdict {
            "aborted" => scene.settle(epoch, &["aborted", "--reason", "b was gone"]),
            verdict => scene.settle_as(epoch, verdict),
        };
        settle(verdict).assert_code(0);
        let manifest = scene.part(epoch);
        assert_eq!(manifest["group"]["verdict"], verdict);
        assert_eq!(manifest["clean"], verdict == "complete");
        for again in ["complete", "partial", "aborted"] {
            settle(again).assert_code(if again == verdict { 0 } else { 65 });
        }
        assert_eq!(scene.part(epoch), manifest);
        let is_there = scene.path("snapshots").join(name(epoch)).exists();
        assert_eq!(is_there, verdict != "aborted");
    }
    assert_eq!(scene.part(3)["reason"], "aborted by its group: b was gone");
    assert_eq!(names(&scene.path("snapshots")), ["post-1", "post-2"]);
    assert_eq!(scene.latest(&[]), Some(name(1)));
    scene.settle_as(4, "complete").assert_code(66);
    // Another one of this number, as there is one where the numbers have begun anew.
    scene.settle(1, &["--nonce", "other", "aborted"]).assert_code(66);
    scene.settle(1, &["--nonce", "n1", "aborted"]).assert_code(65);
    scene.settle(1, &["complete"]).assert_code(64);
    let file = scene.path("members");
    fs::write(&file, "{\"members\":[]}").unwrap();
    scene.settle(1, &["complete", "--members", file.to_str().unwrap()]).assert_code(65);
}

/// Whoever carries a verdict out, and in whatever order they come.
#[test]
fn a_late_verdict_turns_the_link_and_never_back() {
    let scene = Scene::new();
    let link = scene.path("current");
    let leads_to = |epoch| {
        assert_eq!(fs::read_link(&link).unwrap(), scene.path("snapshots").join(name(epoch)));
    };
    for epoch in 1..=5 {
        waiting(&scene, epoch, &["--current", link.to_str().unwrap()]);
    }
    assert!(!link.exists());
    scene.settle_as(2, "complete").assert_code(0);
    leads_to(2);
    // One that was begun before, one that is never clean, one that is none.
    scene.settle_as(1, "complete").assert_code(0);
    scene.settle_as(3, "partial").assert_code(0);
    scene.settle(4, &["aborted"]).assert_code(0);
    leads_to(2);
    // By who sweeps.
    scene.edit(&name(5), |manifest| {
        manifest["group"]["verdict"] = "complete".into();
        manifest["group"]["members"] = serde_json::json!({ "a": name(5) });
        manifest["clean"] = true.into();
    });
    scene.verb(["prune", "--keep", "9"]).assert_code(0);
    leads_to(5);
    // By the run itself.
    for epoch in [6, 7] {
        let mut part = Part::of(&scene, &["--current", link.to_str().unwrap()]).until(epoch, 4);
        part.tell(&format!("complete {}", whole(epoch)));
        part.expect("settled");
        part.ended().assert_code(0);
        leads_to(epoch);
    }
    // What is gone is not stayed with.
    waiting(&scene, 8, &["--current", link.to_str().unwrap()]);
    waiting(&scene, 9, &["--current", link.to_str().unwrap()]);
    scene.settle_as(9, "complete").assert_code(0);
    leads_to(9);
    fs::remove_dir_all(scene.path("snapshots").join(name(9))).unwrap();
    scene.settle_as(8, "complete").assert_code(0);
    leads_to(8);
}

#[test]
fn whose_run_waits_itself_is_told_by_that_run() {
    let scene = Scene::new();
    let mut part = Part::of(&scene, &[]).until(7, 4);
    scene.settle(7, &["aborted"]).assert_refused(75, "waits for the verdict itself");
    part.tell("frozen");
    // No verdict, and nothing that could be taken for one.
    part.ended().assert_code(75);
    assert_eq!(scene.part(7)["status"], "certified");
    scene.settle(7, &["aborted"]).assert_code(0);
    assert_eq!(scene.snapshots(), [""; 0]);
}

#[test]
fn a_barrier_that_is_dirty_here_makes_no_clean_part() {
    let scene = Scene::new();
    let lost = scene.verb(["run", "-s", "mail", "sh", "-c", "kill -KILL $$"]);
    assert_eq!(lost.code(), 137);
    let mut part = Part::of(&scene, &["--on-dirty", "keep"]).until(7, 3);
    part.tell("release");
    assert!(part.expect("certified").contains("\"clean\":false"));
    part.tell(&format!("complete {}", whole(7)));
    part.expect("settled");
    part.ended().assert_code(65);
    let manifest = scene.part(7);
    assert_eq!((&manifest["status"], &manifest["clean"]), (&"complete".into(), &false.into()));
    assert!(manifest["reason"].as_str().unwrap().contains("dirty"));
}

/// Whatever else there is of that name or number.
#[test]
fn a_verdict_is_about_its_members() {
    let scene = Scene::new();
    let file = scene.path("others");
    let settle = |epoch, verdict: &str, members: &str| {
        fs::write(&file, format!("{{\"members\":{members}}}")).unwrap();
        scene.settle(epoch, &["--members", file.to_str().unwrap(), verdict])
    };
    waiting(&scene, 1, &[]);
    for members in ["{\"b\":1}", "{\"a\":\"post-9\"}", "{\"a\":{\"name\":\"post-9\"}}"] {
        settle(1, "complete", members).assert_code(65);
    }
    assert_eq!(scene.part(1)["status"], "certified");
    settle(1, "complete", "{\"a\":{\"name\":\"post-1\"}}").assert_code(0);
    assert_eq!(scene.latest(&[]), Some(name(1)));
    // A partial one does without it.
    waiting(&scene, 2, &[]);
    settle(2, "partial", "{\"b\":1}").assert_code(0);
    assert_eq!(scene.part(2)["group"]["verdict"], "aborted");
    settle(2, "partial", "{\"b\":1}").assert_code(0);
    assert_eq!(scene.snapshots(), [name(1)]);
}

/// No space for a verdict: what is aborted goes all the same, and what is complete is complete later.
#[test]
fn a_full_disk_changes_no_verdict() {
    let Some(disk) = Image::tmpfs(4096) else { return };
    let scene = Scene::new();
    let catalog = disk.path().join("catalog");
    let part = |epoch| {
        let mut command = super::copy(&scene, &[]);
        Part::start(command.env("STILLPOINT_CATALOG", &catalog)).until(epoch, 4)
    };
    let settle = |epoch: u64, verdict: &str| {
        let members = scene.path("members");
        fs::write(&members, whole(epoch)).unwrap();
        let number = epoch.to_string();
        let mut words = vec!["settle", "--group", "post", "--epoch", &number, verdict];
        if verdict != "aborted" {
            words.extend(["--members", members.to_str().unwrap()]);
        }
        run(scene.stillpoint().args(words).env("STILLPOINT_CATALOG", &catalog)).code()
    };
    let filler = disk.path().join("filler");
    let fill = || drop(fs::write(&filler, vec![0; 8 << 20]).unwrap_err());
    let mut first = part(1);
    fill();
    first.tell(&format!("complete {}", whole(1)));
    assert!(first.expect("failed").contains("space"));
    assert_ne!(first.ended().code(), 0);
    assert_ne!(settle(1, "complete"), 0);
    assert!(!scene.snapshots().contains(&name(1)), "nothing was begun that is not written down");
    fs::remove_file(&filler).unwrap();
    let mut second = part(2);
    fill();
    second.tell("aborted by the test");
    second.expect("failed");
    second.ended();
    assert_eq!(scene.snapshots().len(), 1, "it is what has filled the disk");
    fs::remove_file(&filler).unwrap();
    assert_eq!((settle(1, "complete"), settle(2, "aborted")), (0, 0));
    assert_eq!(scene.snapshots(), [name(1)]);
    // Of what is gone there is no complete one.
    assert_eq!(settle(2, "complete"), 65);
}

/// The verdict is on the disk before anything is done about it: so whoever dies over it is finished by the next one, and nobody
/// can say otherwise meanwhile.
#[test]
fn a_verdict_that_was_begun_is_carried_out() {
    let scene = Scene::new();
    for (epoch, verdict) in [(1, "complete"), (2, "aborted")] {
        waiting(&scene, epoch, &[]);
        scene.edit(&name(epoch), |manifest| {
            manifest["group"]["verdict"] = verdict.into();
            manifest["group"]["members"] = serde_json::json!({ "a": name(epoch) });
            manifest["clean"] = (verdict == "complete").into();
        });
        let other = if verdict == "complete" { "aborted" } else { "complete" };
        match other {
            "aborted" => scene.settle(epoch, &["aborted"]).assert_code(65),
            other => scene.settle_as(epoch, other).assert_code(65),
        }
    }
    scene.verb(["prune", "--keep", "5"]).assert_code(0);
    assert_eq!(scene.part(1)["status"], "complete");
    assert_eq!(
        (scene.part(2)["status"].clone(), scene.snapshots()),
        ("failed".into(), vec![name(1)])
    );
    assert_eq!(scene.latest(&[]), Some(name(1)));
}

#[test]
fn a_signal_while_the_verdict_is_waited_for_leaves_it_waiting() {
    let scene = Scene::new();
    let mut part = Part::of(&scene, &[]).until(7, 4);
    part.signal(Signal::SIGTERM);
    until("it is gone", || !part.is_running());
    assert_eq!(scene.part(7)["status"], "certified");
    scene.settle_as(7, "complete").assert_code(0);
    assert_eq!(scene.latest(&[]), Some(name(7)));
}
