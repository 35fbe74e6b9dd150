//! What a job runs around its pause.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{command, frozen, gate, gates, place, place_that_freezes, thaw, told};
use crate::common::command::Place;
use crate::common::{Running, run, start, until};

/// Commands around it, each of which writes down its word and what it is told.
fn hooks(place: &Place, before: &str) -> String {
    let notes = place.path("notes").display().to_string();
    let note = |word: &str| {
        format!(
            "echo {word} $STILLPOINT_JOB $STILLPOINT_JOB_FAILED $STILLPOINT_JOB_STATUS >>{notes}"
        )
    };
    let [first, after, failed] = ["before", "after", "failed"].map(note);
    format!("[hooks]\nbefore = '{first}; {before}'\nafter = '{after}'\non-failure = '{failed}'\n")
}

/// The same job with these.
fn add(place: &Place, more: &str) {
    let file = place.path("jobs.d/nightly.toml");
    fs::write(&file, fs::read_to_string(&file).unwrap() + more).unwrap();
}

fn notes(place: &Place) -> Vec<String> {
    let text = fs::read_to_string(place.path("notes")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[track_caller]
fn until_noted(place: &Place, expected: &[&str]) {
    until("the last command has run", || notes(place).len() >= expected.len());
    assert_eq!(notes(place), expected);
}

fn record(place: &Place) -> Option<Value> {
    let text = fs::read(place.path("state/jobs/nightly.json")).ok()?;
    serde_json::from_slice(&text).unwrap()
}

/// That of its last pause, when all is over.
fn ended(place: &Place) -> Value {
    let is_over = |record: &Value| !record["ended"].is_null();
    until("it is written down", || record(place).is_some_and(|record| is_over(&record)));
    record(place).unwrap()
}

fn kill_keeper(place: &Place, barrier: &str) {
    let status = place.run(["status", "--json", barrier]).stdout;
    let status: Value = serde_json::from_str(&status).unwrap();
    let keeper = i32::try_from(status["holder"]["pid"].as_i64().unwrap()).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(keeper), Signal::SIGKILL).unwrap();
}

/// Of a job that takes snapshots, too; but its record is that of its snapshots.
#[test]
fn what_a_job_runs_is_run_around_its_pause() {
    for only_freezes in [false, true] {
        let place = if only_freezes { place_that_freezes("") } else { place("") };
        add(&place, &hooks(&place, "true"));
        let tokens = frozen(&place, &[]);
        assert_eq!(notes(&place), ["before nightly 0"]);
        assert_eq!(thaw(&place, &tokens[0]).code(), 0);
        assert_eq!(notes(&place).len(), 1, "the first one is closed");
        assert_eq!(thaw(&place, &tokens[1]).code(), 0);
        until_noted(&place, &["before nightly 0", "after nightly 0"]);
        if !only_freezes {
            assert!(record(&place).is_none());
            continue;
        }
        let kept = ended(&place);
        assert_eq!((&kept["exit"], &kept["failed"]), (&0.into(), &Value::Null), "{kept}");
        assert_eq!(kept["succeeded"], kept["ended"]);
        assert!(told(&place, &["job", "list"]).stdout.contains("  well  "));
        let metrics = told(&place, &["status", "--prometheus"]).stdout;
        let sample = "stillpoint_job_last_success_timestamp_seconds{stillpoint_job=\"nightly\"} ";
        let (_, value) = metrics.split_once(sample).unwrap();
        assert!(!value.starts_with("0\n"), "{metrics}");
    }
}

/// A host is not kept waiting for what comes after; its next pause is.
#[test]
fn what_comes_after_one_pause_is_over_before_the_next() {
    let place = place_that_freezes("");
    let notes_file = place.path("notes").display().to_string();
    let (go, waits) = (place.path("go"), "while [ ! -e GO ]; do sleep 0.01; done");
    let waits = waits.replace("GO", go.to_str().unwrap());
    add(
        &place,
        &format!(
            "[hooks]\nbefore = 'echo before >>{notes_file}'\nafter = '{waits}; echo after >>{notes_file}'\ntimeout = 20\n"
        ),
    );
    for token in frozen(&place, &[]) {
        assert_eq!(thaw(&place, &token).code(), 0);
    }
    run(&mut command(&place, &["-w", "0.3"])).assert_refused(75, "job nightly: is running");
    let mut next = start(command(&place, &["-w", "30"]));
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(notes(&place), ["before"]);
    fs::write(&go, "").unwrap();
    assert_eq!(next.end(), 0);
    assert_eq!(notes(&place), ["before", "after", "before"]);
    assert_eq!(told(&place, &["thaw", "--job", "nightly"]).code(), 0);
    until("it is over", || notes(&place).len() == 4);
}

/// What was stopped goes on, though nobody ever comes, and somebody is told.
#[test]
fn a_pause_that_did_not_hold_is_a_failure_of_the_job() {
    let place = place_that_freezes("[limits]\nhold = 0.2\n");
    add(&place, &hooks(&place, "true"));
    frozen(&place, &[]);
    let expected = ["before nightly 0", "after nightly freeze 124", "failed nightly freeze 124"];
    until_noted(&place, &expected);
    let kept = ended(&place);
    assert_eq!((&kept["exit"], &kept["failed"]), (&124.into(), &"freeze".into()), "{kept}");
    let list = told(&place, &["job", "list"]).stdout;
    assert!(list.contains("failed (124)") && list.contains("nobody thawed it"), "{list}");
    let found = told(&place, &["check", "nightly"]);
    assert_eq!(found.code(), 1, "{found:?}");
    assert!(found.stdout.contains("its last run failed at freeze with 124"), "{found:?}");
}

#[test]
fn a_command_before_it_that_fails_keeps_it_from_being_frozen() {
    for (before, words, code) in [("exit 8", &[][..], 8), ("exec sleep 60", &["-w", "0.3"], 124)] {
        let place = place_that_freezes("");
        add(&place, &hooks(&place, before));
        run(command(&place, words)).assert_refused(code, "job nightly: before: ");
        let noted = format!("nightly before {code}");
        let (after, failed) = (format!("after {noted}"), format!("failed {noted}"));
        assert_eq!(notes(&place), ["before nightly 0", &after, &failed]);
        let status = place.run(["status", "--json", "mail"]).stdout;
        assert_eq!(serde_json::from_str::<Value>(&status).unwrap()["generation"], 0);
        assert_eq!(record(&place).unwrap()["failed"], "before");
    }
}

/// However a host gives up on it, and at which step.
#[test]
fn what_was_stopped_before_goes_on_when_a_freeze_is_killed() {
    for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT] {
        for waits in [false, true] {
            let place = place_that_freezes("");
            let begun = place.path("begun");
            let wait = format!("touch {}; exec sleep 60", begun.display());
            add(&place, &hooks(&place, if waits { &wait } else { "true" }));
            let mut writer =
                place.start(["run", "-s", "news", "sh", "-c", "echo in; exec sleep 60"]);
            writer.line();
            let mut freeze: Running = start(command(&place, &["-w", "30", "--drain", "0.1"]));
            match waits {
                true => until("it has begun", || begun.exists()),
                false => until("the first is closed", || gate(&place, "mail") == "closed"),
            }
            freeze.signal(signal);
            freeze.end();
            until("both are open", || gates(&place) == ["open", "open"]);
            until("all have run", || notes(&place).len() == 3);
            let notes = notes(&place);
            assert!(notes[1].starts_with("after ") && notes[2].starts_with("failed "), "{notes:?}");
        }
    }
}

/// The snapshot is void once one of them is open.
#[test]
fn one_that_ends_early_takes_those_before_it_along() {
    let place = place("[limits]\nhold = 0.3\n");
    let tokens = frozen(&place, &[]);
    until("the limit", || gates(&place) == ["open", "open"]);
    assert!(tokens.iter().all(|token| thaw(&place, token).code() == 124));

    let tokens = frozen(&place, &["--hold", "60"]);
    let status = place.run(["status", "--json", "news"]);
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    let keeper = i32::try_from(status["holder"]["pid"].as_i64().unwrap()).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(keeper), Signal::SIGTERM).unwrap();
    until("both are open", || gates(&place) == ["open", "open"]);
    assert!(tokens.iter().all(|token| thaw(&place, token).code() == 124));
}

/// It would tell a host that all stand still.
#[test]
fn a_gate_that_opens_while_another_is_waited_for_is_no_pause() {
    let place = place_that_freezes("[limits]\nhold = 0.3\ndrain = 0.1\n");
    let leave = place.path("leave");
    let script = format!("echo in; until test -e {}; do sleep 0.02; done", leave.display());
    let mut writer = place.start(["run", "-s", "news", "sh", "-c", &script]);
    writer.line();
    let mut freeze: Running = start(command(&place, &["-w", "30"]));
    until("the first is closed", || gate(&place, "mail") == "closed");
    until("its limit has come", || gate(&place, "mail") == "open");
    fs::write(&leave, "").unwrap();
    assert_eq!(freeze.end(), 75);
    until("both are open", || gates(&place) == ["open", "open"]);
    let record = ended(&place);
    assert_eq!((&record["exit"], &record["failed"]), (&75.into(), &"freeze".into()), "{record}");
}

/// Whichever of them it was that did not hold, the pause of the job has not.
#[test]
fn what_did_not_hold_of_one_barrier_did_not_of_the_job() {
    let place = place_that_freezes("");
    add(&place, &hooks(&place, "true"));
    let tokens = frozen(&place, &[]);
    kill_keeper(&place, "mail");
    // That of the last one closed comes first, and held.
    assert_eq!([0, 1].map(|index| thaw(&place, &tokens[index]).code()), [0, 124]);
    let record = ended(&place);
    assert_eq!((&record["exit"], &record["failed"]), (&124.into(), &"freeze".into()), "{record}");
    until_noted(
        &place,
        &["before nightly 0", "after nightly freeze 124", "failed nightly freeze 124"],
    );
}

/// Nobody was left to write down how it ended.
#[test]
fn a_pause_that_was_cut_short_is_told() {
    let place = place_that_freezes("");
    frozen(&place, &[]);
    let list = told(&place, &["job", "list"]).stdout;
    assert!(!list.contains("cut short"), "{list}");
    kill_keeper(&place, "news");
    until("both are open", || {
        place.assert_writers_go_on();
        gate(&place, "mail") == "open"
    });
    let list = told(&place, &["job", "list"]).stdout;
    assert!(list.contains("cut short"), "{list}");
    let found = told(&place, &["check", "nightly"]);
    assert!(found.code() == 1 && found.stdout.contains("was cut short"), "{found:?}");
    let next = run(command(&place, &[]));
    assert_eq!(next.code(), 0, "{next:?}");
    assert!(next.stderr.contains("job nightly: the pause that began at "), "{next:?}");
    assert_eq!(told(&place, &["thaw", "--job", "nightly"]).code(), 0);
    assert_eq!(ended(&place)["exit"], 0);
}
