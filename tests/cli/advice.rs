//! What a message advises helps: whoever follows it, word for word, comes out of it.

use crate::common::command::Place;
use crate::common::{Done, Mounted, STILLPOINT, as_user, is_root};
use std::fs;
use std::os::unix::fs::FileExt;

/// The commands that a message names, run one after another.
#[track_caller]
fn follow(place: &Place, said: &Done) -> Done {
    let commands: Vec<&str> = said.stderr.split('`').skip(1).step_by(2).collect();
    assert!(!commands.is_empty(), "no command in {said:?}");
    let script: Vec<String> =
        commands.iter().map(|command| command.replacen("stillpoint", "$S", 1)).collect();
    place.shell(&script.join(" && "))
}

/// `create` said to retire it first, and `retire` to create it first.
#[test]
fn create_and_retire_do_not_send_each_other_around() {
    let place = Place::with_barrier();
    // A program with --create was faster than the service, after a power cut.
    fs::remove_file(place.barrier()).unwrap();
    assert_eq!(place.run(["run", "-s", "--create", "mail", "true"]).code(), 0);
    let refused = place.run(["create", "mail", "--mode", "0600"]);
    refused.assert_complaint(73, &["another mode", "`stillpoint retire mail` first"]);
    let retired = follow(&place, &refused);
    assert_eq!(retired.code(), 0, "{retired:?}");
    let created = place.run(["create", "mail", "--mode", "0600"]);
    created.assert_complaint(0, &["starts dirty"]);
    assert_eq!(place.status()["dirty"]["epoch"], 1, "the power cut is not forgiven");
    assert_eq!(follow(&place, &created).code(), 0);
    assert_eq!(place.status()["dirty"]["acknowledged"], 1);
}

#[test]
fn a_dirty_barrier_says_what_to_type() {
    let place = Place::new();
    let (path, state) = (place.path("own.barrier"), place.path("own.state"));
    let (path, state) = (path.to_str().unwrap(), state.to_str().unwrap());
    for barrier in [&["mail"] as &[&str], &[path, "--state", state]] {
        assert_eq!(place.run([&["create"], barrier].concat()).code(), 0);
        let (name, options) = barrier.split_first().unwrap();
        let lost = ["sh", "-c", "kill -KILL $$"];
        place.run([&["run", "-s"], options, &[name], &lost[..]].concat());
        let refused = place.clean_snapshot(barrier);
        assert_eq!(refused.code(), 65, "{refused:?}");
        let recovered = follow(&place, &refused);
        recovered.assert_complaint(0, &["acknowledged epoch 1"]);
        assert_eq!(place.clean_snapshot(barrier).code(), 0);
    }
}

#[test]
fn a_missing_barrier_says_what_to_type() {
    let place = Place::new();
    let runtime = place.path("runtime");
    fs::create_dir(&runtime).unwrap();
    let path = place.path("own.barrier");
    for barrier in [&["mail"] as &[&str], &["--user", "mine"], &[path.to_str().unwrap()]] {
        let run = || {
            let mut command = place.command([&["run", "-s"], barrier, &["true"]].concat());
            command.env("XDG_RUNTIME_DIR", &runtime);
            crate::common::run(command)
        };
        let missing = run();
        missing.assert_complaint(66, &["make one with `stillpoint create "]);
        // A name has a durable state of its own, a path has the one that it was given.
        assert_eq!(
            missing.stderr.contains("`--state FILE`"),
            barrier[0].contains('/'),
            "{missing:?}"
        );
        let commands = missing.stderr.replace("stillpoint create", "$S create");
        let mut shell = place.program("/bin/sh");
        shell.args(["-c", commands.split('`').nth(1).unwrap()]).env("XDG_RUNTIME_DIR", &runtime);
        assert_eq!(crate::common::run(shell).code(), 0, "{missing:?}");
        assert_eq!(run().code(), 0, "{barrier:?}");
    }
    assert!(place.state().exists(), "made by its name, so that it has one");
}

#[test]
fn the_state_of_another_barrier_says_what_to_type() {
    let place = Place::with_barrier();
    fs::remove_file(place.barrier()).unwrap();
    assert_eq!(place.run(["run", "-s", "--create", "mail", "true"]).code(), 0);
    let refused = place.run(["recover", "--acknowledge", "mail"]);
    refused.assert_complaint(65, &["belongs to another barrier"]);
    assert_eq!(follow(&place, &refused).code(), 0);
    place.run(["recover", "--acknowledge", "mail"]).assert_complaint(0, &["acknowledged epoch 1"]);
    // A snapshot says the same.
    fs::remove_file(place.barrier()).unwrap();
    assert_eq!(place.run(["run", "-s", "--create", "mail", "true"]).code(), 0);
    let refused = place.clean_snapshot(&["mail"]);
    assert_eq!(refused.code(), 65, "{refused:?}");
    assert_eq!(follow(&place, &refused).code(), 0);
    let dirty = place.clean_snapshot(&["mail"]);
    assert_eq!(follow(&place, &dirty).code(), 0, "{dirty:?}");
    assert_eq!(place.clean_snapshot(&["mail"]).code(), 0);
}

#[test]
fn a_pause_in_the_way_says_what_to_type() {
    let place = Place::with_barrier();
    assert_eq!(place.run(["freeze", "mail"]).code(), 0);
    let late = place.run(["run", "-s", "-w", "0.1", "mail", "true"]);
    late.assert_complaint(75, &["the gate stayed closed"]);
    assert!(follow(&place, &late).stdout.contains("(freeze)"), "{late:?}");
    let refused = place.run(["freeze", "-w", "0", "mail"]);
    refused.assert_complaint(75, &["frozen already by"]);
    assert_eq!(follow(&place, &refused).code(), 0, "{refused:?}");
    assert_eq!(place.run(["freeze", "mail"]).code(), 0);
    assert_eq!(place.run(["thaw", "mail"]).code(), 0);
}

#[test]
fn a_missing_folder_is_what_is_missing() {
    let place = Place::new();
    for words in [
        &["create", "./no/x.barrier"] as &[&str],
        &["run", "--create", "./no/x.barrier", "true"],
        &["run", "./no/x.barrier", "true"],
        &["status", "./no/x.barrier"],
    ] {
        let outcome = place.run(words);
        let creates = words.iter().any(|word| word.contains("create"));
        outcome.assert_complaint(if creates { 73 } else { 66 }, &["there is no folder ./no; make"]);
    }
    fs::create_dir(place.path("no")).unwrap();
    assert_eq!(place.run(["create", "./no/x.barrier"]).code(), 0);
    let below = place.run(["create", "./no/x.barrier/y"]);
    below.assert_complaint(73, &["there is no folder", "x.barrier"]);
    // The folder of names is made with a barrier.
    let mut missing = place.command(["run", "mail", "true"]);
    missing.env("STILLPOINT_DIR", place.path("names"));
    let missing = crate::common::run(missing);
    missing.assert_complaint(66, &["make one with `stillpoint create mail`"]);
}

#[test]
fn a_name_that_has_the_ending_already_is_none() {
    let place = Place::with_barrier();
    for words in [&["create", "mail.barrier"] as &[&str], &["run", "mail.barrier", "true"]] {
        let outcome = place.run(words);
        outcome.assert_complaint(64, &["mail.barrier", "without that ending", "slash"]);
    }
    let mut path = place.command(["run", "./mail.barrier", "true"]);
    path.current_dir(place.barrier().parent().unwrap());
    assert_eq!(crate::common::run(path).code(), 0);
    let long = "a".repeat(248);
    place.run(["create", &long]).assert_complaint(64, &["too long"]);
    assert_eq!(place.run(["create", &long[1..]]).code(), 0);
}

/// Advice to remove a file that is not ours could cost data.
#[test]
fn what_is_no_barrier_is_not_advised_to_be_removed() {
    let place = Place::new();
    let file = place.path("database");
    fs::write(&file, "of somebody").unwrap();
    let path = file.to_str().unwrap();
    for words in [&["run", path, "true"] as &[&str], &["create", path]] {
        let outcome = place.run(words);
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
        assert!(!outcome.stderr.contains("remove"), "{outcome:?}");
    }
    // One that was a barrier: its first bytes gone, or cut.
    let path = place.path("own.barrier");
    let path = path.to_str().unwrap();
    assert_eq!(place.run(["create", path]).code(), 0);
    let whole = fs::read(path).unwrap();
    fs::write(path, [&[0; 4096], &whole[4096..]].concat()).unwrap();
    let spoilt = place.run(["run", path, "true"]);
    spoilt.assert_complaint(66, &["if it was one, ", "makes it anew"]);
    assert_eq!(follow(&place, &spoilt).code(), 0);
    fs::write(path, &whole[..8192]).unwrap();
    let cut = place.run(["run", path, "true"]);
    cut.assert_complaint(66, &["stop who uses it, remove it, and use "]);
    fs::remove_file(path).unwrap();
    assert_eq!(follow(&place, &cut).code(), 0);
    // As flock(1) leaves one.
    fs::write(path, "").unwrap();
    let empty = place.run(["run", path, "true"]);
    empty.assert_complaint(66, &["it is empty; "]);
    assert_eq!(follow(&place, &empty).code(), 0);
}

/// Whoever is inside is not to be ended for that.
#[test]
fn what_was_spoilt_in_use_is_waited_for() {
    let place = Place::with_barrier();
    let writer = place.hold(&["-s"]);
    // In its place: cut, it would end whoever looks at it.
    let file = fs::File::options().write(true).open(place.barrier()).unwrap();
    file.write_all_at(&[0; 8], 0).unwrap();
    let pid = format!("stillpoint[{}]", writer.pid);
    let shown = place.run(["status", "mail"]);
    shown.assert_complaint(66, &["once nobody uses it any more", "in use by", &pid]);
    let refused = place.run(["create", "mail"]);
    refused.assert_complaint(75, &["in use by", &pid, "wait until they have ended"]);
    assert!(!refused.stderr.contains("flock"), "{refused:?}");
}

#[test]
fn a_damaged_state_is_removed_and_all_is_well() {
    let place = Place::with_barrier();
    fs::write(place.state(), "{").unwrap();
    for verb in ["create", "retire"] {
        place.run([verb, "mail"]).assert_complaint(65, &["check the store, then remove the file"]);
    }
    fs::remove_file(place.state()).unwrap();
    assert_eq!(place.run(["create", "mail"]).code(), 0);
    assert_eq!(place.run(["retire", "mail"]).code(), 0);
}

/// What the kernel refuses is refused for a reason that is true, with 77.
#[test]
fn who_may_not_is_told_what_it_takes() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    assert_eq!(place.run(["create", "mail", "--group", "65534", "--state", "none"]).code(), 0);
    let by = |group, words: &[&str]| {
        let mut command = place.program("setpriv");
        command.args(as_user(65533, group)).arg(STILLPOINT).args(words);
        crate::common::run(command)
    };
    // A member of the group may do everything but remove the file.
    assert_eq!(by(65534, &["run", "mail", "true"]).code(), 0);
    by(65534, &["retire", "mail", "--state", "none"])
        .assert_complaint(77, &["write to its folder"]);
    assert_eq!(by(65534, &["run", "mail", "true"]).code(), 0, "it goes on");
    by(65533, &["run", "mail", "true"]).assert_complaint(77, &["need read and write"]);
    let status = by(65533, &["status", "mail"]);
    status.assert_complaint(77, &["takes permission to read it"]);
    assert!(!status.stderr.contains("write"), "{status:?}");
    by(65533, &["create", "x", "--state", "none"]).assert_complaint(77, &["write to its folder"]);
    let denied = by(65533, &["create", "x"]);
    denied.assert_complaint(77, &["x.state: Permission denied; do it as root", "--state"]);
    let folder = place.barrier().parent().unwrap().to_path_buf();
    fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    by(65534, &["run", "mail", "true"]).assert_complaint(77, &["may not enter its folder"]);

    let own = place.path("own");
    fs::create_dir(&own).unwrap();
    std::os::unix::fs::chown(&own, Some(65533), None).unwrap();
    let own = own.join("x");
    let given = by(65533, &["create", own.to_str().unwrap(), "--group", "0"]);
    given.assert_complaint(77, &["give it to that group"]);
}

/// A container's /run may be no tmpfs.
#[test]
fn a_file_system_that_is_refused_is_not_praised() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let folders = ["lower", "upper", "work"].map(|name| place.path(name));
    for folder in &folders {
        fs::create_dir(folder).unwrap();
    }
    let [lower, upper, work] = folders.each_ref().map(|folder| folder.display());
    let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
    let on = place.path("run");
    let _overlay = Mounted::new("overlay", &options, &on);
    let path = on.join("x.barrier");
    let refused = place.run(["create", path.to_str().unwrap()]);
    refused.assert_complaint(69, &["overlayfs", "mount a tmpfs there"]);
    let _memory = Mounted::new("tmpfs", "size=1m", &on);
    assert_eq!(place.run(["create", path.to_str().unwrap()]).code(), 0);
}
