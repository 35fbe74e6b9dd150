//! The steps in their order, and what is so at each.

use std::fs;

use serde_json::{Value, json};

use super::{Part, name, prepare, whole};
use crate::common::run;
use crate::scene::Scene;

#[test]
fn a_part_is_told_each_step_and_is_there_with_the_verdict() {
    let scene = Scene::new();
    let mut part = Part::of(&scene, &[]);
    part.tell(&prepare(7, &[]));
    part.expect("prepared");
    let manifest = scene.part(7);
    assert_eq!((&manifest["status"], &manifest["quiet"]), (&"begun".into(), &Value::Null));
    assert_eq!(manifest["group"]["epoch"], 7);
    assert!(!scene.is_closed());
    part.tell("freeze");
    part.expect("quiet");
    assert!(scene.is_closed());
    assert_eq!(part.expect("snapped"), name(7));
    assert!(scene.is_closed(), "all others come first");
    part.tell("release");
    let certificate: Value = serde_json::from_str(&part.expect("certified")).unwrap();
    scene.assert_writers_go_on();
    assert_eq!(certificate["snapshot"], "post-7");
    assert_eq!(certificate["clean"], true);
    assert!(certificate["barriers"][0]["generation"].as_u64().unwrap() % 2 == 1);
    // Proved here, and worth nothing yet.
    let manifest = scene.part(7);
    assert_eq!((&manifest["status"], &manifest["clean"]), (&"certified".into(), &false.into()));
    assert_eq!(manifest["certificate"], true);
    assert_eq!(scene.latest(&["--any"]), None);
    assert_eq!(scene.snapshots(), [scene.partial_name(&name(7))]);
    part.tell(&format!("complete {}", whole(7)));
    part.expect("settled");
    part.ended().assert_code(0);
    let manifest = scene.part(7);
    assert_eq!((&manifest["status"], &manifest["clean"]), (&"complete".into(), &true.into()));
    assert_eq!(manifest["group"]["verdict"], "complete");
    assert_eq!(manifest["group"]["members"], json!({ "a": "post-7", "b": "b-7" }));
    assert_eq!(
        (&manifest["group"]["revision"], &manifest["group"]["host"]),
        (&99.into(), &"a".into())
    );
    assert_eq!(scene.latest(&[]), Some(name(7)));
    assert_eq!(fs::read_to_string(scene.path("snapshots/post-7/a")).unwrap(), "x");
}

#[test]
fn words_may_be_said_ahead() {
    let scene = Scene::new();
    let mut part = Part::of(&scene, &[]);
    part.tell_bytes(format!("{}\nfreeze\nrelease\n", prepare(7, &[])).as_bytes());
    for word in ["prepared", "quiet", "snapped", "certified"] {
        part.expect(word);
    }
    part.tell(&format!("complete {}", whole(7)));
    part.expect("settled");
    part.ended().assert_code(0);
    assert_eq!(scene.latest(&[]), Some(name(7)));
}

/// Whoever reads standard input would take our words, and what he prints would be taken for ours.
#[test]
fn a_command_is_no_end_of_the_line() {
    let scene = Scene::new();
    let script = "cat; echo certified; echo closed >&2";
    let mut command = scene.stillpoint();
    command.args(["snapshot", "mail", "--min-open", "0", "--coordinated"]);
    command.args(["--", "sh", "-c", script]);
    let mut part = Part::start(&mut command).until(7, 4);
    assert_eq!(
        scene.part(7)["status"],
        "certified",
        "it has no data, and is to be told nevertheless"
    );
    assert_eq!(scene.latest(&["--any", "--provider", "command"]), None);
    part.tell(&format!("complete {}", whole(7)));
    part.expect("settled");
    let done = part.ended();
    done.assert_code(0);
    assert!(done.stderr.contains("certified\nclosed"), "{done:?}");
    assert_eq!(scene.latest(&["--provider", "command"]), Some(name(7)));
}

#[test]
fn the_group_s_limits_are_never_longer_than_the_host_s() {
    let scene = Scene::new();
    let writer = scene.holder();
    for (drain, words) in [(50, &["--drain", "9"][..]), (9000, &["--drain", "0.05"])] {
        let mut part = Part::of(&scene, &[words, &["--attempts", "1", "--patience", "0"]].concat());
        part.tell(&prepare(drain, &[("drain_ms", drain.into()), ("hold_ms", 10.into())]));
        part.expect("prepared");
        part.tell("freeze");
        let why = part.expect("failed");
        assert!(why.contains("was not quiet within 0.") && why.contains("slowpoke"), "{why}");
        part.ended().assert_code(75);
    }
    drop(writer);
}

#[test]
fn a_part_without_a_limit_is_refused() {
    let scene = Scene::new();
    let mut part = Part::of(&scene, &["--hold", "none"]);
    assert!(part.expect("failed").contains("hold"));
    part.ended().assert_code(64);
    let done = run(scene.copy(&["--hold", "1", "--coordinated", "--dry-run"]));
    done.assert_code(64);
}

/// Two of one group at one moment: nobody waits for the other with a closed gate, and the second one fails.
#[test]
fn two_at_once_do_not_both_get_it() {
    let scene = Scene::new();
    let mut first = Part::of(&scene, &[]).until(7, 3);
    let mut second = Part::of(&scene, &["--patience", "0", "--drain", "0.1", "--attempts", "1"]);
    second.tell(&prepare(8, &[]));
    second.expect("prepared");
    second.tell("freeze");
    second.expect("failed");
    second.ended().assert_code(75);
    // Nor does one of the same name.
    let mut third = Part::of(&scene, &[]);
    third.tell(&prepare(7, &[]));
    assert!(third.expect("failed").contains("post-7"));
    third.ended().assert_code(73);
    assert!(scene.is_closed());
    first.tell("release");
    first.expect("certified");
    first.tell(&format!("complete {}", whole(7)));
    first.expect("settled");
    first.ended().assert_code(0);
}
