//! `stillpoint create` and `stillpoint retire`, and the durable state between them.

use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

use crate::common::command::Place;
use crate::common::{run, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

fn set(place: &Place, field: &str, value: Value) {
    let mut state = place.saved();
    state[field] = value;
    std::fs::write(place.state(), state.to_string()).unwrap();
}

/// As if the machine had been switched off: what is on tmpfs is gone.
fn power_cut(place: &Place) {
    std::fs::remove_file(place.barrier()).unwrap();
    set(place, "boot_id", json!("0123456789abcdef0123456789abcdef"));
}

#[test]
fn makes_a_barrier_and_an_open_state() {
    let place = Place::new();
    let outcome = place.run(["create", "mail"]);
    assert_eq!((outcome.code(), outcome.stderr.as_str()), (0, ""));
    let status = place.status();
    let state = place.saved();
    assert_eq!(state["state"], "open");
    assert_eq!(state["schema"], 1);
    assert_eq!(state["uuid"], status["uuid"]);
    assert_eq!((&state["epoch"], &state["acknowledged"]), (&json!(0), &json!(0)));
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert_eq!(state["boot_id"], boot_id.trim().replace('-', ""));
    // Nothing half-written is left beside it.
    let folder = place.state().parent().unwrap().to_path_buf();
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1);
}

#[test]
fn gives_the_permissions_asked_for() {
    let place = Place::new();
    assert_eq!(place.run(["create", "mail"]).code(), 0);
    let file = std::fs::metadata(place.barrier()).unwrap();
    assert_eq!(file.mode() & 0o7777, 0o660);
    assert_eq!(place.run(["retire", "mail"]).code(), 0);

    // The only group that every user can give is one's own.
    let gid = nix::unistd::getegid();
    let name = nix::unistd::Group::from_gid(gid).unwrap().unwrap().name;
    for group in [name, gid.to_string()] {
        let create = ["create", "mail", "--group", &group, "--mode", "0640", "--readmit", "7"];
        assert_eq!(place.run(create).code(), 0);
        let file = std::fs::metadata(place.barrier()).unwrap();
        assert_eq!((file.mode() & 0o7777, file.gid()), (0o640, gid.as_raw()));
        assert_eq!(place.run(create).code(), 0, "again changes nothing");
        assert_eq!(place.run(["retire", "mail"]).code(), 0);
    }
}

/// Which any other call for it finds there, and one that asks for nothing.
#[test]
fn has_fences_if_asked_for() {
    let place = Place::new();
    assert_eq!(place.run(["create", "mail", "--fences"]).code(), 0);
    for again in [&["create", "mail"][..], &["create", "mail", "--fences"]] {
        assert_eq!(place.run(again).code(), 0);
    }
    let barrier = stillpoint::Barrier::open(place.barrier()).unwrap();
    assert!(!barrier.is_unfenced());
    drop(barrier.shared().unwrap());
    assert_eq!(place.status()["writers"][0]["unfenced"], false);
}

#[test]
fn refuses_wrong_permissions() {
    let place = Place::new();
    for arguments in [
        ["--group", "no-such-group-here"],
        ["--mode", "0666"],
        ["--mode", "0662"],
        ["--mode", "0060"],
        ["--mode", "4660"],
        ["--mode", "rw"],
        ["--readmit", "some"],
    ] {
        let outcome = place.run([&["create", "mail"], &arguments[..]].concat());
        assert_eq!(outcome.code(), 64, "{arguments:?} {outcome:?}");
    }
    assert!(!place.barrier().exists());
}

#[test]
fn a_barrier_that_is_there_stays() {
    let place = Place::with_barrier();
    let uuid = place.status()["uuid"].clone();
    let _writer = place.hold(&["-s"]);
    let again = place.run(["create", "mail"]);
    again.assert_complaint(0, &["mail.barrier", "exists"]);
    assert_eq!(place.status()["uuid"], uuid);
    assert_eq!(place.saved()["epoch"], 0);
    place.run(["create", "mail", "--mode", "0600"]).assert_complaint(73, &["mode", "retire"]);
    place.run(["create", "mail", "--fences"]).assert_complaint(73, &["without fences", "retire"]);
}

#[test]
fn several_at_once_make_one() {
    for _ in 0..10 {
        let place = Place::new();
        let running: Vec<_> = (0..8)
            .map(|_| {
                let mut create = place.command(["create", "mail"]);
                create.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        for child in running {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
        let status = place.status();
        assert_eq!(place.saved()["uuid"], status["uuid"]);
        assert_eq!(place.saved()["epoch"], status["dirty"]["epoch"]);
        assert_eq!(status["dirty"]["epoch"], 0, "the others are not taken for a crash");
    }
}

#[test]
fn retired_in_good_order_starts_clean() {
    let place = Place::with_barrier();
    let uuid = place.status()["uuid"].clone();
    let retired = place.run(["retire", "mail"]);
    assert_eq!((retired.code(), retired.stderr.as_str()), (0, ""));
    assert!(!place.barrier().exists());
    assert_eq!(place.saved()["state"], "retired");

    let created = place.run(["create", "mail"]);
    assert_eq!((created.code(), created.stderr.as_str()), (0, ""));
    assert_eq!(place.status()["uuid"], uuid, "the same barrier again");
    assert_eq!(place.dirty_epoch(), 0);
    assert_eq!(place.saved()["state"], "open");
}

#[test]
fn a_power_cut_leaves_a_mark_each_time() {
    let place = Place::with_barrier();
    for epoch in 1..=3 {
        power_cut(&place);
        place.run(["create", "mail"]).assert_complaint(0, &["not retired", "dirty"]);
        let dirty = place.status()["dirty"].clone();
        assert_eq!((&dirty["epoch"], &dirty["acknowledged"]), (&json!(epoch), &json!(0)));
        assert_eq!(place.saved()["epoch"], epoch);
        assert_eq!(place.run(["create", "mail"]).code(), 0, "again in the same boot");
        assert_eq!(place.dirty_epoch(), epoch);
    }
}

#[test]
fn losses_outlive_retiring() {
    let place = Place::with_barrier();
    place.run(["run", "-s", "mail", "sh", "-c", "kill -KILL $$"]);
    assert_eq!(place.dirty_epoch(), 1);
    assert_eq!(place.run(["retire", "mail"]).code(), 0);
    assert_eq!((&place.saved()["epoch"], &place.saved()["acknowledged"]), (&json!(1), &json!(0)));
    place.run(["create", "mail"]).assert_complaint(0, &["dirty (epoch 1, acknowledged 0)"]);
    assert_eq!(place.dirty_epoch(), 1);
}

#[test]
fn a_barrier_made_by_others_inherits_no_forgiveness() {
    let place = Place::with_barrier();
    power_cut(&place);
    // A program with --create was faster than the service.
    assert_eq!(place.run(["run", "-s", "--create", "mail", "true"]).code(), 0);
    assert_eq!(place.dirty_epoch(), 0);
    assert_eq!(place.run(["create", "mail"]).code(), 0);
    assert_eq!(place.dirty_epoch(), 1);
    let status = place.status();
    assert_eq!(place.saved()["uuid"], status["uuid"]);
    assert_eq!(place.run(["create", "mail"]).code(), 0);
    assert_eq!(place.dirty_epoch(), 1, "once only");
}

#[test]
fn retiring_refuses_while_a_writer_is_inside() {
    let place = Place::with_barrier();
    let mut writer = place.hold(&["-s", "--label", "lmtp"]);
    place.run(["retire", "mail"]).assert_complaint(75, &["lmtp"]);
    assert!(place.barrier().exists());
    assert_eq!(place.saved()["state"], "open");
    assert_eq!(place.run(["run", "-s", "-n", "mail", "true"]).code(), 0, "writers go on");
    writer.signal(Signal::SIGTERM);
    writer.end();
    until("retired", || place.run(["retire", "mail"]).code() == 0);
    place.run(["retire", "mail"]).assert_complaint(66, &["mail.barrier"]);
}

#[test]
fn a_path_has_no_state_unless_asked() {
    let place = Place::new();
    let path = place.path("own.barrier");
    let path = path.to_str().unwrap();
    let beside = place.path("own.state");
    let beside = beside.to_str().unwrap();
    assert_eq!(place.run(["create", path]).code(), 0);
    assert_eq!(place.run(["retire", path]).code(), 0);
    assert_eq!(std::fs::read_dir(place.path("")).unwrap().count(), 0);

    assert_eq!(place.run(["create", path, "--state", beside]).code(), 0);
    assert!(std::fs::read_to_string(beside).unwrap().contains("\"open\""));
    assert_eq!(place.run(["retire", path, "--state", beside]).code(), 0);
    assert!(std::fs::read_to_string(beside).unwrap().contains("\"retired\""));

    assert_eq!(place.run(["create", "mail", "--state", "none"]).code(), 0);
    assert!(!place.state().exists());
}

#[test]
fn a_folder_from_the_environment_has_no_state_unless_that_is_named_too() {
    let place = Place::new();
    let mut create = place.command(["create", "mail"]);
    create.env_remove("STILLPOINT_STATE_DIR");
    assert_eq!(run(create).code(), 0);
    assert!(place.barrier().exists());
    assert!(!place.state().exists());
    assert!(!std::path::Path::new("/var/lib/stillpoint/mail.state").exists());
}

#[test]
fn user_barriers_are_in_the_runtime_folder() {
    let place = Place::new();
    let runtime = place.path("runtime");
    std::fs::create_dir(&runtime).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        command.env("XDG_RUNTIME_DIR", &runtime);
        run(command)
    };
    let created = run(&["create", "--user", "mine"]);
    assert_eq!(created.code(), 0, "{created:?}");
    assert!(runtime.join("stillpoint/mine.barrier").exists());
    assert_eq!(run(&["run", "--user", "-s", "mine", "true"]).code(), 0);
    assert_eq!(run(&["run", "-s", "mine", "true"]).code(), 66);
    let status = run(&["status", "--user", "--json"]);
    assert_eq!(status.stdout.lines().count(), 1, "{status:?}");
    assert_eq!(run(&["retire", "--user", "mine"]).code(), 0);
    assert!(!runtime.join("stillpoint/mine.barrier").exists());
}

#[test]
fn a_damaged_state_is_not_overwritten() {
    let place = Place::with_barrier();
    power_cut(&place);
    let good = std::fs::read_to_string(place.state()).unwrap();
    for (damaged, code) in [
        ("", 65),
        ("{", 65),
        ("\u{0}\u{1}", 65),
        (&good[..good.len() / 2], 65),
        (&good.replace("\"epoch\":0", "\"epoch\":-1"), 65),
        (&good.replace("\"uuid\":\"", "\"uuid\":\"x"), 65),
        (&good.replace("\"schema\":1", "\"schema\":2"), 69),
    ] {
        std::fs::write(place.state(), damaged).unwrap();
        place.run(["create", "mail"]).assert_complaint(code, &["mail.state"]);
        assert!(!place.barrier().exists());
        assert_eq!(std::fs::read_to_string(place.state()).unwrap(), damaged);
    }
    std::fs::write(place.state(), [0xff; 100]).unwrap();
    place.run(["create", "mail"]).assert_complaint(65, &["mail.state"]);
    std::fs::remove_file(place.state()).unwrap();
    std::fs::create_dir(place.state()).unwrap();
    place.run(["create", "mail"]).assert_complaint(65, &["mail.state"]);
}

#[test]
fn retiring_with_the_state_of_another_barrier_is_refused() {
    let place = Place::with_barrier();
    set(&place, "uuid", json!("0123456789abcdef0123456789abcdef"));
    place.run(["retire", "mail"]).assert_complaint(65, &["mail.state", "mail.barrier"]);
    assert!(place.barrier().exists());
}
