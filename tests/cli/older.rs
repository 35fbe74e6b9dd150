//! What goes backwards: the barrier's file, its state, the machine that the state is of. Nothing is called
//! clean that some file still knows to be dirty, and no tool forgets what another one has written down.

use std::path::Path;
use std::process::Command;

use crate::common::command::Place;
use crate::common::run;
use serde_json::Value;
use stillpoint::Barrier;

fn copy(from: &Path, to: &Path) {
    let mut copy = Command::new("cp");
    copy.arg("-a").arg(from).arg(to);
    assert_eq!(run(copy).code(), 0);
}

/// Epoch and acknowledged epoch that the state has.
fn on_disk(place: &Place) -> (u64, u64) {
    let state = place.saved();
    (state["epoch"].as_u64().unwrap(), state["acknowledged"].as_u64().unwrap())
}

/// The same as `status` says it.
fn shown(place: &Place) -> (u64, u64) {
    let dirty = &place.status()["dirty"];
    (dirty["epoch"].as_u64().unwrap(), dirty["acknowledged"].as_u64().unwrap())
}

fn boot_of_another(place: &Place) {
    let mut state = place.saved();
    state["boot_id"] = "0123456789abcdef0123456789abcdef".into();
    std::fs::write(place.state(), state.to_string()).unwrap();
}

/// A place whose barrier file is a copy from before `losses` writers were lost; all of them are in the
/// state, acknowledged or not.
fn with_older_file(losses: u64, acknowledged: bool) -> Place {
    let place = Place::with_barrier();
    let old = place.path("old");
    copy(&place.barrier(), &old);
    for _ in 0..losses {
        place.lose("lmtp");
    }
    if acknowledged {
        assert_eq!(place.run(["recover", "mail", "--acknowledge"]).code(), 0);
    }
    assert_eq!(on_disk(&place), (losses, if acknowledged { losses } else { 0 }));
    std::fs::rename(old, place.barrier()).unwrap();
    place
}

#[test]
fn an_older_file_is_dirty_for_every_tool() {
    let tools: [&[&str]; 6] = [
        &["create", "mail"],
        &["run", "-x", "mail", "true"],
        &["recover", "mail", "--", "false"],
        &["recover", "mail", "--", "true"],
        &["snapshot", "mail", "--on-dirty", "fail", "--", "true"],
        &["retire", "mail"],
    ];
    for tool in tools {
        let place = with_older_file(3, false);
        assert_eq!(shown(&place), (4, 0), "{tool:?}: it is said before a tool has come");
        let text = place.run(["status", "mail"]).stdout;
        assert!(text.contains("lost     an older copy in its place, "), "{text}");
        place.run(tool);
        let recovered = tool[0] == "recover" && tool.ends_with(&["true"]);
        let expected = if recovered { (4, 4) } else { (4, 0) };
        if tool[0] == "snapshot" {
            // Refused before it came to write.
            assert_eq!(on_disk(&place), (3, 0));
        } else {
            assert_eq!(on_disk(&place), expected, "{tool:?}");
        }
        if tool[0] == "retire" {
            assert_eq!(place.run(["create", "mail"]).code(), 0);
        }
        assert_eq!(shown(&place), expected, "{tool:?}");
        let code = if recovered { 0 } else { 65 };
        assert_eq!(place.clean_snapshot(&["mail"]).code(), code, "{tool:?}");
        let recovered = place.run(["recover", "mail", "--acknowledge"]);
        assert_eq!(recovered.code(), 0, "{recovered:?}");
        assert_eq!(place.clean_snapshot(&["mail"]).code(), 0, "{tool:?}: there is a way out");
    }
}

#[test]
fn who_was_lost_is_known_again() {
    let place = with_older_file(2, false);
    let told = |place: &Place| -> Vec<String> {
        let lost = place.status()["dirty"]["lost"].clone();
        let label =
            |lost: &Value| format!("{}: {}", lost["epoch"], lost["label"].as_str().unwrap());
        lost.as_array().unwrap().iter().map(label).collect()
    };
    let expected = ["3: an older copy in its place", "2: lmtp", "1: lmtp"];
    assert_eq!(told(&place), expected);
    assert_eq!(place.run(["create", "mail"]).code(), 0);
    assert_eq!(told(&place), expected);
}

/// Of forty the ring remembers the last ones, and the names of those before are not theirs.
#[test]
fn a_file_that_is_far_behind() {
    let place = Place::with_barrier();
    place.lose("early");
    let old = place.path("old");
    copy(&place.barrier(), &old);
    let barrier = Barrier::open(place.barrier()).unwrap();
    for _ in 0..64 {
        barrier.raise_dirty(0, "late");
    }
    drop(barrier);
    assert_eq!(place.run(["create", "mail"]).code(), 0);
    std::fs::rename(old, place.barrier()).unwrap();
    assert_eq!(place.run(["create", "mail"]).code(), 0);
    assert_eq!(shown(&place), (66, 0));
    let lost = place.status()["dirty"]["lost"].clone();
    let lost = lost.as_array().unwrap();
    assert!(lost.len() == 32 && lost.iter().all(|lost| lost["label"] != "early"), "{lost:?}");
}

#[test]
fn losses_that_were_acknowledged_do_not_make_an_older_file_clean() {
    let place = with_older_file(2, true);
    assert_eq!(shown(&place), (3, 0));
    place.clean_snapshot(&["mail"]).assert_complaint(65, &["epoch 3, acknowledged 0", "recover"]);
}

/// Who died inside the newer file is known to nobody, as that file is gone.
#[test]
fn another_file_than_was_made_is_dirty_although_no_epoch_tells() {
    let place = Place::with_barrier();
    assert_eq!(place.clean_snapshot(&["mail"]).code(), 0);
    let old = place.path("old");
    copy(&place.barrier(), &old);
    std::fs::rename(old, place.barrier()).unwrap();
    assert_eq!(shown(&place), (1, 0));
    place.clean_snapshot(&["mail"]).assert_complaint(65, &["epoch 1, acknowledged 0"]);
    place.clean_snapshot(&["mail"]).assert_complaint(65, &["epoch 1, acknowledged 0"]);
    assert_eq!(place.run(["recover", "mail", "--acknowledge"]).code(), 0);
    assert_eq!(place.clean_snapshot(&["mail"]).code(), 0);
    assert_eq!(shown(&place), (1, 1));
}

#[test]
fn an_older_state_learns_what_the_barrier_knows() {
    let place = Place::with_barrier();
    let old = place.path("old");
    assert_eq!(place.run(["retire", "mail"]).code(), 0);
    copy(&place.state(), &old);
    assert_eq!(place.saved()["state"], "retired");
    assert_eq!(place.run(["create", "mail"]).code(), 0);
    place.lose("lmtp");
    assert_eq!(place.run(["recover", "mail", "--acknowledge"]).code(), 0);
    std::fs::rename(old, place.state()).unwrap();
    // Every tool that closes the gate is enough.
    assert_eq!(place.run(["run", "-x", "mail", "true"]).code(), 0);
    assert_eq!((on_disk(&place).0, &place.saved()["state"]), (1, &"open".into()));
    std::fs::remove_file(place.barrier()).unwrap();
    place.run(["create", "mail"]).assert_complaint(0, &["starts dirty", "not retired"]);
}

#[test]
fn a_path_that_leads_where_a_name_does_is_that_barrier() {
    let place = Place::with_barrier();
    // The power failed, and a writer was faster than the service.
    std::fs::remove_file(place.barrier()).unwrap();
    assert_eq!(place.run(["run", "-s", "--create", "mail", "true"]).code(), 0);
    let linked = place.path("linked");
    std::os::unix::fs::symlink(place.barrier().parent().unwrap(), &linked).unwrap();
    let (barrier, linked) = (place.barrier(), linked.join("mail.barrier"));
    for named in ["mail", barrier.to_str().unwrap(), linked.to_str().unwrap()] {
        let refused = place.clean_snapshot(&[named]);
        refused.assert_complaint(65, &["mail.state is the state of another barrier"]);
        let status = place.run(["status", named]);
        assert_eq!(status.code(), 0, "{status:?}");
        assert!(status.stderr.contains("state of another barrier; run `stillpoint create mail`"));
    }
    assert_eq!(place.run(["create", "mail"]).code(), 0);
    assert_eq!(place.clean_snapshot(&[barrier.to_str().unwrap()]).code(), 65, "dirty now");
}

#[test]
fn a_crash_is_not_forgotten_by_keeping_the_state_elsewhere() {
    for crashed in [true, false] {
        for elsewhere in ["none", "new.state"] {
            let place = Place::with_barrier();
            match crashed {
                true => std::fs::remove_file(place.barrier()).unwrap(),
                false => assert_eq!(place.run(["retire", "mail"]).code(), 0),
            }
            let created = place.run(["create", "mail", "--state", elsewhere]);
            assert_eq!(created.code(), 0, "{created:?}");
            let made = place.clean_snapshot(&["mail", "--state", elsewhere]);
            assert_eq!(made.code(), if crashed { 65 } else { 0 }, "{elsewhere} {made:?}");
            assert_eq!(created.stderr.contains("not retired"), crashed, "{created:?}");
            if crashed {
                let recover = ["recover", "mail", "--state", elsewhere, "--acknowledge"];
                assert_eq!(place.run(recover).code(), 0);
                assert_eq!(place.clean_snapshot(&["mail", "--state", elsewhere]).code(), 0);
                assert_eq!(place.run(["create", "mail", "--state", elsewhere]).code(), 0);
                assert_eq!(place.clean_snapshot(&["mail", "--state", elsewhere]).code(), 0);
            }
        }
    }
}

/// Two machines keep their states in one folder, by a network file system.
#[test]
fn a_machine_does_not_retire_the_barrier_of_another() {
    let place = Place::with_barrier();
    boot_of_another(&place);
    let before = std::fs::read(place.state()).unwrap();
    let retired = place.run(["retire", "mail"]);
    retired.assert_complaint(65, &["mail.state is of another boot", "`stillpoint create mail`"]);
    assert_eq!(std::fs::read(place.state()).unwrap(), before);
    assert_eq!(place.run(["create", "mail"]).code(), 0);
    assert_eq!(place.run(["retire", "mail"]).code(), 0);
}

/// Two barriers got one state, by mistake: neither is ever clean without somebody saying so.
#[test]
fn two_barriers_with_one_state() {
    let place = Place::new();
    let shared = place.path("one.state");
    let shared = ["--state", shared.to_str().unwrap()];
    for name in ["mail", "news"] {
        assert_eq!(place.run([&["create", name], &shared[..]].concat()).code(), 0);
    }
    for name in ["mail", "news"] {
        let made = place.clean_snapshot(&[&[name], &shared[..]].concat());
        assert_eq!(made.code(), 65, "{name} {made:?}");
    }
}

/// Whoever looks for it where it is not would be told of no loss, for ever.
#[test]
fn a_state_that_is_named_and_is_not_there_is_refused_by_every_verb() {
    let place = Place::with_barrier();
    let generation = place.status()["generation"].clone();
    for missing in [place.path("no.state"), place.path("no/folder/mail.state")] {
        let state = missing.to_str().unwrap();
        for verb in [
            &["snapshot", "mail", "--state", state, "--", "true"][..],
            &["snapshot", "mail", "--state", state, "--dry-run", "--", "true"],
            &["recover", "mail", "--state", state, "--acknowledge"],
            &["run", "-x", "--state", state, "mail", "true"],
            &["run", "-s", "--state", state, "mail", "true"],
            &["freeze", "--state", state, "mail"],
            &["retire", "mail", "--state", state],
        ] {
            let told = ["there is no state", state, "give the --state that `create` got"];
            place.run(verb).assert_complaint(66, &told);
        }
    }
    assert_eq!(place.status()["generation"], generation, "no gate was closed for it");
    assert_eq!(place.snapshot(&["mail", "--state", "none"]).code(), 0);
}

/// A state is a regular file; whatever else is there is neither waited for nor advised to be removed.
#[test]
fn what_is_no_regular_file_is_no_state() {
    let place = Place::with_barrier();
    let pipe = place.path("pipe.state");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for state in [pipe.to_str().unwrap(), "/dev/null", place.path("").to_str().unwrap()] {
        for verb in [
            vec!["snapshot", "mail", "--state", state, "--", "true"],
            vec!["recover", "mail", "--state", state, "--acknowledge"],
            vec!["create", "other", "--state", state],
            vec!["retire", "mail", "--state", state],
        ] {
            let refused = place.run(&verb);
            assert_eq!(refused.code(), 65, "{verb:?} {refused:?}");
            assert!(refused.stderr.contains("no regular file"), "{verb:?} {refused:?}");
            assert!(!refused.stderr.contains("remove"), "{verb:?} {refused:?}");
        }
    }
    std::fs::remove_file(place.state()).unwrap();
    nix::unistd::mkfifo(&place.state(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for verb in [&["status", "mail"][..], &["run", "-x", "mail", "true"], &["status"]] {
        let done = place.run(verb);
        assert!([0, 65].contains(&done.code()), "{verb:?} {done:?}");
    }
}
