//! Bad days: what becomes of programs that run when something happens to the barrier, the library or themselves.

use crate::common::until;
use crate::harness::{Played, Scene, library};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use stillpoint::Barrier;

/// Where the major version of the layout lies.
const MAJOR: u64 = 8;

/// As after an upgrade of one of the two.
#[test]
fn a_barrier_of_another_version_stops_nobody() {
    let scene = Scene::new();
    let program = scene.compile("gate", &[]);
    let file = File::options().write(true).open(scene.barrier.path()).unwrap();
    file.write_all_at(&77u32.to_ne_bytes(), MAJOR).unwrap();
    let output = scene.adopted(&program).arg("setlkw").arg(scene.file("file")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "asking\ngot\n");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("layout 77") && said.contains("do not wait"), "{said}");
}

#[test]
fn a_barrier_that_is_made_again_is_found() {
    let scene = Scene::new();
    let program = scene.compile("gate", &[]);
    let mut played = Played::begin(scene.adopted(&program).arg("each").arg(scene.file("file")));
    let lock = |played: &mut Played| {
        assert_eq!(played.line(), "ready");
        played.go_on();
        assert_eq!(played.line(), "got");
    };
    lock(&mut played);
    let path = scene.barrier.path().to_path_buf();
    fs::remove_file(&path).unwrap();
    lock(&mut played);
    let again = Barrier::create(&path).unwrap();
    lock(&mut played);
    assert_eq!(played.line(), "ready");
    let pause = again.exclusive(&mut Default::default()).unwrap();
    played.go_on();
    assert!(played.waits(), "it locks beside the barrier that is there now");
    pause.release().unwrap();
    assert_eq!(played.line(), "got");
}

/// Whoever takes part may do that. It is as if the barrier were missing, until there is one again.
#[test]
fn a_barrier_that_is_cut_ends_nobody() {
    let scene = Scene::new();
    let program = scene.compile("gate", &[]);
    for (settings, then) in [("", "got"), ("without-barrier fail\n", "ENOLCK")] {
        scene.configure(settings);
        let mut command = scene.adopted(&program);
        command.arg("each").arg(scene.file("file")).stderr(Stdio::piped());
        let mut played = Played::begin(&mut command);
        let lock = |played: &mut Played| {
            assert_eq!(played.line(), "ready");
            played.go_on();
            played.line()
        };
        assert_eq!(lock(&mut played), "got");
        let path = scene.barrier.path();
        File::options().write(true).open(path).unwrap().set_len(0).unwrap();
        for _ in 0..2 {
            assert_eq!(lock(&mut played), then);
        }
        fs::remove_file(path).unwrap();
        let again = Barrier::create(path).unwrap();
        assert_eq!(lock(&mut played), "got");
        assert_eq!(played.line(), "ready");
        let pause = again.exclusive(&mut Default::default()).unwrap();
        played.go_on();
        assert!(played.waits());
        pause.release().unwrap();
        assert_eq!(played.line(), "got");
    }
}

/// The library handles the signal for the barrier's sake alone.
#[test]
fn a_bus_error_of_the_program_is_its_own() {
    let scene = Scene::new();
    let program = scene.compile("gate", &[]);
    for (how, signal) in [("fault", Some(7)), ("sent", Some(7)), ("handled", None)] {
        let mut command = scene.adopted(&program);
        let output = command.arg("bus").arg(scene.file(how)).arg(how).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "got\n");
        assert_eq!(output.status.signal(), signal, "{how}: {output:?}");
    }
}

/// A package that is upgraded puts another file in the place of the one that is mapped.
#[test]
fn the_library_is_replaced_under_a_running_program() {
    let scene = Scene::new();
    let program = scene.compile("gate", &[]);
    let [here, new] = ["here.so", "new.so"].map(|name| scene.elsewhere(name));
    fs::copy(library(), &here).unwrap();
    let mut command = scene.adopted(&program);
    command.env("LD_PRELOAD", &here).arg("each").arg(scene.file("file"));
    let mut played = Played::begin(&mut command);
    assert_eq!(played.line(), "ready");
    fs::copy(library(), &new).unwrap();
    fs::rename(&new, &here).unwrap();
    let pause = scene.exclusive(0, 1000).unwrap();
    played.go_on();
    assert!(played.waits());
    let mut other = Played::begin(&mut command);
    assert_eq!(other.line(), "ready");
    other.go_on();
    until("both wait", || {
        scene.status().writers.iter().filter(|writer| writer.waiting.is_some()).count() == 2
    });
    pause.release().unwrap();
    assert_eq!([played.line(), other.line()], ["got", "got"]);
}

/// What stands in the place of standard error is the program's data.
#[test]
fn nothing_is_said_into_a_file_of_the_program() {
    let scene = Scene::new();
    let program = scene.compile("gate", &[]);
    fs::remove_file(scene.barrier.path()).unwrap();
    let file = scene.file("file");
    let output = scene.adopted(&program).arg("closed").arg(&file).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "got\n");
    assert_eq!(fs::read_to_string(file).unwrap(), "");
}
