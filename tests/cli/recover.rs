//! `stillpoint recover`.

use crate::common::command::Place;
use crate::common::{STILLPOINT, is_alive, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// A place whose barrier lost a writer, and nobody has noticed yet.
fn with_lost_writer() -> Place {
    let place = Place::with_barrier();
    lose_a_writer(&place);
    place
}

/// Kills a writer and its command with SIGKILL: nobody is left to raise the dirty epoch.
fn lose_a_writer(place: &Place) {
    let script = "echo $$; exec sleep 60";
    let mut writer = place.start(["run", "-s", "--label", "lmtp", "mail", "sh", "-c", script]);
    let command = Pid::from_raw(writer.line().parse().unwrap());
    writer.signal(Signal::SIGKILL);
    assert_eq!(writer.end(), 128 + 9);
    kill(command, Signal::SIGKILL).unwrap();
    until("the command is gone", || !is_alive(command));
}

/// Epoch and acknowledged epoch, which barrier and state must agree on.
fn epochs(place: &Place) -> (u64, u64) {
    let (dirty, state) = (place.status()["dirty"].clone(), place.saved());
    for field in ["epoch", "acknowledged"] {
        assert_eq!(dirty[field], state[field], "{field}");
    }
    (dirty["epoch"].as_u64().unwrap(), dirty["acknowledged"].as_u64().unwrap())
}

#[test]
fn a_check_that_succeeds_acknowledges() {
    let place = with_lost_writer();
    let refused = place.clean_snapshot(&["mail"]);
    assert_eq!(refused.code(), 65, "{refused:?}");

    let script = "$S status --json mail; $S run -s mail echo repaired; $S run -x mail true";
    let recovered = place.run(["recover", "mail", "--", "sh", "-c", script]);
    recovered.assert_complaint(0, &["mail.barrier", "acknowledged epoch 1", "(lmtp)"]);
    let (status, printed) = recovered.stdout.split_once('\n').unwrap();
    let status: Value = serde_json::from_str(status).unwrap();
    assert_eq!(status["gate"], "closed");
    assert_eq!(status["holder"]["label"], "recover");
    assert_eq!(status["dirty"]["acknowledged"], 0, "not before the check has ended");
    assert_eq!(printed, "repaired\n", "inside, it need not wait for itself");

    assert_eq!(epochs(&place), (1, 1));
    assert_eq!(place.status()["gate"], "open");
    let made = place.clean_snapshot(&["mail"]);
    assert_eq!(made.code(), 0, "{made:?}");
}

#[test]
fn acknowledging_without_a_check() {
    let place = with_lost_writer();
    lose_a_writer(&place);
    let recovered = place.run(["recover", "--acknowledge", "mail"]);
    recovered.assert_complaint(0, &["acknowledged epoch 2", "(lmtp), "]);
    assert_eq!(recovered.stdout, "");
    assert_eq!(epochs(&place), (2, 2));

    lose_a_writer(&place);
    let again = place.run(["recover", "mail", "--acknowledge"]);
    again.assert_complaint(0, &["acknowledged epoch 3"]);
    assert_eq!(again.stderr.matches("lmtp").count(), 1, "the others are forgiven: {again:?}");
}

#[test]
fn a_check_that_fails_acknowledges_nothing() {
    let place = with_lost_writer();
    for (script, code) in [("exit 3", 3), ("kill -KILL $$", 128 + 9)] {
        let failed = place.run(["recover", "mail", "--", "sh", "-c", script]);
        failed.assert_complaint(code, &["nothing acknowledged", "epoch 1, acknowledged 0"]);
        // The loss that the drain met is on disk all the same.
        assert_eq!(epochs(&place), (1, 0));
    }
    place.run(["recover", "mail", "--", "no-such-check"]).assert_complaint(127, &["no-such-check"]);
    assert_eq!(epochs(&place), (1, 0));
    assert_eq!(place.status()["gate"], "open");
}

#[test]
fn the_raise_is_on_disk_before_the_check_begins() {
    let place = with_lost_writer();
    assert_eq!(place.saved()["epoch"], 0);
    let path = place.state();
    let seen = place.run(["recover", "mail", "--", "cat", path.to_str().unwrap()]);
    assert_eq!(seen.code(), 0, "{seen:?}");
    let seen: Value = serde_json::from_str(&seen.stdout).unwrap();
    assert_eq!((&seen["epoch"], &seen["acknowledged"]), (&json!(1), &json!(0)));
}

#[test]
fn a_check_at_the_hold_limit_is_ended_and_acknowledges_nothing() {
    let place = with_lost_writer();
    let script = "sleep 60 & echo $!; wait";
    let ended = place.run(["recover", "--hold", "0.3", "mail", "--", "sh", "-c", script]);
    ended.assert_complaint(124, &["hold limit of 300.0 ms", "--hold"]);
    let left = Pid::from_raw(ended.stdout.trim().parse().unwrap());
    assert!(!is_alive(left), "{left}");
    assert_eq!(epochs(&place), (1, 0));
    let lifted = place.run(["recover", "--hold", "none", "mail", "--", "true"]);
    assert_eq!(lifted.code(), 0, "{lifted:?}");
    assert_eq!(epochs(&place), (1, 1));
}

#[test]
fn a_check_that_was_interrupted_acknowledges_nothing() {
    let place = with_lost_writer();
    let script = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.02; done";
    let mut recover = place.start(["recover", "mail", "--", "sh", "-c", script]);
    assert_eq!(recover.line(), "ready");
    recover.signal(Signal::SIGTERM);
    assert_eq!(recover.end(), 128 + 15);
    assert_eq!(epochs(&place), (1, 0));
    assert!(place.is_quiet());
}

#[test]
fn a_writer_lost_during_the_check_is_not_forgiven() {
    for (place, expected) in [(with_lost_writer(), (2, 1)), (Place::with_barrier(), (1, 0))] {
        let lost = "$S run -s --label late mail sh -c 'kill -KILL $$'; true";
        let recovered = place.run(["recover", "mail", "--", "sh", "-c", lost]);
        recovered.assert_complaint(75, &["dirty again"]);
        assert_eq!(epochs(&place), expected);
    }
}

#[test]
fn a_barrier_that_is_not_dirty() {
    let place = Place::with_barrier();
    let before = std::fs::read(place.state()).unwrap();
    place.run(["recover", "mail", "--acknowledge"]).assert_complaint(0, &["not dirty (epoch 0)"]);
    for (script, code) in [("echo checked", 0), ("echo checked; exit 4", 4)] {
        let checked = place.run(["recover", "mail", "--", "sh", "-c", script]);
        checked.assert_complaint(code, &["not dirty"]);
        assert_eq!(checked.stdout, "checked\n");
    }
    assert_eq!(std::fs::read(place.state()).unwrap(), before);
}

#[test]
fn a_check_or_an_acknowledgement_must_be_given() {
    let place = with_lost_writer();
    for arguments in [
        &["recover", "mail"] as &[&str],
        &["recover", "mail", "--"],
        &["recover", "--acknowledge"],
        &["recover", "mail", "true"],
        &["recover", "mail", "--acknowledge", "--", "true"],
        &["recover", "mail", "--hold", "0", "--", "true"],
        &["recover", "mail", "-w", "soon", "--", "true"],
    ] {
        let outcome = place.run(arguments);
        assert_eq!(outcome.code(), 64, "{arguments:?} {outcome:?}");
        assert!(!outcome.stderr.is_empty());
    }
    assert_eq!(
        place.run(["run", "-s", "mail", STILLPOINT, "recover", "mail", "--acknowledge"]).code(),
        64
    );
    assert_eq!(place.status()["dirty"]["acknowledged"], 0);
}

#[test]
fn waits_for_the_writers_inside_as_long_as_asked() {
    let place = with_lost_writer();
    let writer = place.hold(&["-s", "--label", "import"]);
    for wait in ["0", "0.3"] {
        let late = place.run(["recover", "-w", wait, "mail", "--", "echo", "ran"]);
        late.assert_complaint(75, &["import"]);
        assert_eq!(late.stdout, "");
    }
    assert_eq!(place.status()["dirty"]["acknowledged"], 0);
    assert_eq!(place.run(["run", "-s", "-n", "mail", "true"]).code(), 0, "the gate is open");

    let mut waiting = place.start(["recover", "mail", "--", "echo", "my turn"]);
    until("wanted", || place.status()["wanted"] == true);
    writer.signal(Signal::SIGTERM);
    assert_eq!(waiting.line(), "my turn");
    assert_eq!(waiting.end(), 0);
}

#[test]
fn retiring_counts_the_losses_that_no_tool_has_met() {
    let place = with_lost_writer();
    assert_eq!(place.dirty_epoch(), 0, "nobody has met it");
    assert_eq!(place.run(["retire", "mail"]).code(), 0);
    assert_eq!((&place.saved()["epoch"], &place.saved()["acknowledged"]), (&json!(1), &json!(0)));
    place.run(["create", "mail"]).assert_complaint(0, &["dirty (epoch 1, acknowledged 0)"]);
}

#[test]
fn the_acknowledgement_outlives_the_barrier() {
    let place = with_lost_writer();
    assert_eq!(place.run(["recover", "mail", "--acknowledge"]).code(), 0);
    assert_eq!(place.run(["retire", "mail"]).code(), 0);
    let created = place.run(["create", "mail"]);
    assert_eq!((created.code(), created.stderr.as_str()), (0, ""));
    assert_eq!(epochs(&place), (1, 1));

    // After a power cut nobody knows who was lost, but why; what was acknowledged before stays so.
    std::fs::remove_file(place.barrier()).unwrap();
    place.run(["create", "mail"]).assert_complaint(0, &["epoch 2, acknowledged 1"]);
    let recovered = place.run(["recover", "mail", "--", "true"]);
    recovered.assert_complaint(
        0,
        &["acknowledged epoch 2", "lost inside: crash or power cut: not retired"],
    );
    assert_eq!(epochs(&place), (2, 2));
}

#[test]
fn the_state_must_be_that_of_the_barrier() {
    let place = with_lost_writer();
    let good = std::fs::read_to_string(place.state()).unwrap();
    let uuid = place.status()["uuid"].as_str().unwrap().to_string();
    for (spoilt, code) in
        [("{".to_string(), 65), (good.replace(&uuid, "0123456789abcdef0123456789abcdef"), 65)]
    {
        std::fs::write(place.state(), &spoilt).unwrap();
        let refused = place.run(["recover", "mail", "--", "echo", "ran"]);
        refused.assert_complaint(code, &["mail.state"]);
        assert_eq!(refused.stdout, "");
        assert_eq!(std::fs::read_to_string(place.state()).unwrap(), spoilt);
    }
    let elsewhere = place.path("no.state");
    let named = ["recover", "mail", "--acknowledge", "--state", elsewhere.to_str().unwrap()];
    place.run(named).assert_complaint(66, &["no.state", "--state"]);
    assert_eq!(place.status()["dirty"]["acknowledged"], 0);

    // Without one, the barrier alone remembers.
    let none = place.run(["recover", "mail", "--acknowledge", "--state", "none"]);
    assert_eq!(none.code(), 0, "{none:?}");
    assert_eq!(place.status()["dirty"]["acknowledged"], 1);
    std::fs::remove_file(place.state()).unwrap();
    lose_a_writer(&place);
    assert_eq!(place.run(["recover", "mail", "--acknowledge"]).code(), 0);
    assert_eq!(place.status()["dirty"]["acknowledged"], 2);
    assert!(!place.state().exists());
}
