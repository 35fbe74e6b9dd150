//! Limits run on by themselves, whoever is late.

use super::Part;
use crate::scene::Scene;

#[test]
fn who_is_told_too_late_has_no_certificate() {
    let scene = Scene::new();
    let mut part = Part::of(&scene, &["--hold", "0.3"]).until(7, 3);
    let why = part.expect("failed");
    assert!(why.contains("within the hold limit"), "{why}");
    part.ended().assert_code(124);
    scene.assert_writers_go_on();
    assert_eq!(scene.part(7)["status"], "revoked");
    // Whatever is said of it later.
    scene.settle_as(7, "complete").assert_code(65);
    assert_eq!(scene.latest(&["--any"]), None);
    assert_eq!(scene.snapshots(), [""; 0]);
}

#[test]
fn a_participant_that_dies_meanwhile_ends_the_pause_at_once() {
    let scene = Scene::new();
    let script = "echo ready; read word; echo frozen; sleep 0.3";
    let mut part = Part::of(&scene, &["--with", &format!("/bin/sh -c \"{script}\"")]).until(7, 3);
    let why = part.expect("failed");
    assert!(why.contains("before the pause was over"), "{why}");
    part.ended().assert_code(124);
    scene.assert_writers_go_on();
}
