//! `freeze --job`: the barriers of a job, of which each has a keeper.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::command::Place;
use crate::common::{Done, Running, run, start, until};

/// A place with a job of two barriers, and `more` in its file.
fn place(more: &str) -> Place {
    let place = Place::with_barrier();
    assert_eq!(place.run(["create", "news"]).code(), 0);
    fs::create_dir(place.path("jobs.d")).unwrap();
    let text = format!(
        "barriers = ['mail', 'news']\n[snapshot]\nreflink = '/srv/mail'\nto = '/srv/snapshots'\n{more}"
    );
    fs::write(place.path("jobs.d/nightly.toml"), text).unwrap();
    place
}

fn command(place: &Place, words: &[&str]) -> std::process::Command {
    let mut command = place.command([&["freeze", "--job", "nightly"], words].concat());
    command.env("STILLPOINT_JOBS", place.path("jobs.d"));
    command
}

/// The tokens, each with its barrier, as they were printed.
fn frozen(place: &Place, words: &[&str]) -> Vec<(String, String)> {
    let done = run(command(place, words));
    assert_eq!((done.code(), done.stderr.as_str()), (0, ""), "{done:?}");
    let pair = |line: &str| {
        let (token, barrier) = line.split_once(' ').unwrap();
        (token.to_owned(), barrier.to_owned())
    };
    done.stdout.lines().map(pair).collect()
}

fn thaw(place: &Place, (token, barrier): &(String, String)) -> Done {
    place.run(["thaw", "--token", token, barrier])
}

fn gate(place: &Place, barrier: &str) -> Value {
    let done = place.run(["status", "--json", barrier]);
    serde_json::from_str::<Value>(&done.stdout).unwrap()["gate"].clone()
}

fn gates(place: &Place) -> [Value; 2] {
    ["mail", "news"].map(|barrier| gate(place, barrier))
}

#[test]
fn each_is_thawed_by_its_own_token_in_any_order() {
    let place = place("");
    for order in [[0, 1], [1, 0]] {
        let tokens = frozen(&place, &[]);
        assert!(tokens[0].1.ends_with("/news.barrier") && tokens[1].1.ends_with("/mail.barrier"));
        assert_eq!(gates(&place), ["closed", "closed"]);
        for index in order {
            let done = thaw(&place, &tokens[index]);
            assert_eq!((done.code(), done.stderr.as_str()), (0, ""), "{order:?} {done:?}");
        }
        assert_eq!(gates(&place), ["open", "open"]);
    }
}

/// They are still from when all barriers are closed until the last that was closed is open.
#[test]
fn others_of_the_job_stand_still() {
    let told = r#"with = ["/bin/sh -c 'echo ready; while read -r word limit; do echo $word >>told; case $word in freeze) echo frozen ;; thaw) echo thawed ;; esac; done'"]"#;
    let place = place(&format!("[others]\n{told}\n"));
    let tokens = frozen(&place, &[]);
    assert_eq!(fs::read_to_string(place.path("told")).unwrap(), "freeze\n");
    for token in &tokens {
        let done = thaw(&place, token);
        assert_eq!((done.code(), done.stderr.as_str()), (0, ""), "{done:?}");
    }
    assert_eq!(fs::read_to_string(place.path("told")).unwrap(), "freeze\nthaw\n");
}

/// Whoever gives up on it kills it, and has no token.
#[test]
fn a_freeze_that_is_killed_between_two_barriers_leaves_none_closed() {
    for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT] {
        let place = place("");
        let mut writer = place.start(["run", "-s", "news", "sh", "-c", "echo in; exec sleep 60"]);
        writer.line();
        let mut freeze: Running = start(command(&place, &["-w", "30", "--drain", "0.1"]));
        until("the first is closed", || gate(&place, "mail") == "closed");
        freeze.signal(signal);
        freeze.end();
        until("both are open", || gates(&place) == ["open", "open"]);
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

#[test]
fn what_a_job_cannot_have_is_refused() {
    let place = place("");
    for words in [&["mail"][..], &["--user"], &["--state", "none"], &["--with", "sqlite /x"]] {
        assert_eq!(run(command(&place, words)).code(), 64, "{words:?}");
    }
    assert_eq!(place.run(["freeze"]).code(), 64);
    let missing = run(command(&place, &["--job", "nihgtly"]));
    assert_eq!(missing.code(), 64, "twice");
    fs::rename(place.path("jobs.d/nightly.toml"), place.path("jobs.d/other.toml")).unwrap();
    assert_eq!(run(command(&place, &[])).code(), 66);
    assert_eq!(gates(&place), ["open", "open"]);
}
