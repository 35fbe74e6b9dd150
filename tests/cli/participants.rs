//! `--with` of `run -x` and of `freeze`, and `participant check`.

use std::fs;
use std::process::Command;

use crate::common::command::Place;
use crate::common::{self, Done, STILLPOINT, is_alive, must, root, until};
use nix::unistd::Pid;

/// Keeps to everything, and writes to `$1` what it is told.
const GOOD: &str = r#"
echo $$ >>"$1"
echo ready
limit=
while read -r ${limit:+-t "$limit"} word milliseconds || [ $? -gt 128 ]; do
    echo "${word:=expired}" >>"$1"
    limit=
    case $word in
    freeze)
        limit=$((milliseconds / 1000)).$(printf %03d $((milliseconds % 1000)))
        echo frozen
        ;;
    thaw) echo thawed ;;
    expired) echo expired ;;
    esac
done
echo end >>"$1"
"#;

fn good(place: &Place) -> String {
    fs::write(place.path("good"), GOOD).unwrap();
    format!("/bin/bash {} {}", place.path("good").display(), place.path("log").display())
}

fn by(script: &str) -> String {
    format!("/bin/sh -c '{script}'")
}

/// Without its first line, which is the number of the process.
fn told(place: &Place) -> Vec<String> {
    let text = fs::read_to_string(place.path("log")).unwrap_or_default();
    text.lines().skip(1).map(str::to_owned).collect()
}

fn process(place: &Place) -> Pid {
    let text = fs::read_to_string(place.path("log")).unwrap();
    Pid::from_raw(text.lines().next().unwrap().parse().unwrap())
}

#[test]
fn it_stands_still_while_the_command_runs() {
    let place = Place::with_barrier();
    let with = good(&place);
    let done =
        place.run(["run", "-x", "--with", &with, "mail", "sh", "-c", "echo run >>log; exit 5"]);
    assert_eq!((done.code(), done.stderr.as_str()), (5, ""));
    assert_eq!(told(&place), ["freeze", "run", "thaw", "end"]);
    assert!(!is_alive(process(&place)));
}

#[test]
fn run_ends_with_its_own_status_for_not_now() {
    let place = Place::with_barrier();
    let refuses = by("echo ready; read x; echo busy >&2; echo failed; read x; echo thawed; read x");
    let run = |options: &[&str]| {
        place.run([&["run", "-x", "--with", &refuses], options, &["mail", "touch", "ran"]].concat())
    };
    run(&[]).assert_complaint(75, &["participant sh: could not be frozen: busy"]);
    run(&["-E", "9"]).assert_complaint(9, &["participant sh: could not be frozen: busy"]);
    assert!(!place.path("ran").exists());
    place.assert_writers_go_on();
}

#[test]
fn run_says_if_it_did_not_stand_still() {
    let place = Place::with_barrier();
    let leaves =
        by("echo $$ >pid; echo ready; read x; echo frozen; until test -e ran; do sleep 0.01; done");
    let wait =
        "touch ran; until grep -q \"^State:.Z\" /proc/$(cat pid)/status; do sleep 0.01; done";
    let done = place.run(["run", "-x", "--with", &leaves, "mail", "sh", "-c", wait]);
    done.assert_complaint(124, &["participant sh: ended with status 0", "not to be trusted"]);
}

#[test]
fn only_who_holds_the_exclusive_side_has_participants() {
    let place = Place::with_barrier();
    let with = good(&place);
    for options in [&["-s"][..], &["-x", "-F"]] {
        let done = place.run([&["run"], options, &["--with", &with, "mail", "true"]].concat());
        assert_eq!(done.code(), 64, "{done:?}");
    }
    for verb in [&["run", "-x"][..], &["freeze"]] {
        let words = [verb, &["--with", &with, "--hold", "none", "mail"]].concat();
        let words = if verb[0] == "run" { [&words[..], &["true"]].concat() } else { words };
        place.run(words).assert_complaint(64, &["--hold"]);
    }
    assert!(!place.path("log").exists(), "it was started");
}

/// It belongs to the keeper, and holds nothing of whoever called `freeze`: that would be waited for here.
#[test]
fn a_frozen_barrier_keeps_it() {
    let place = Place::with_barrier();
    let with = good(&place);
    let thaw = || -> Done { place.run(["thaw", "mail"]) };
    assert_eq!(place.run(["freeze", "--with", &with, "mail"]).code(), 0);
    assert_eq!(told(&place), ["freeze"]);
    assert!(is_alive(process(&place)));
    assert_eq!(thaw().code(), 0);
    until("it has thawed", || told(&place) == ["freeze", "thaw", "end"]);
    until("it is gone", || !is_alive(process(&place)));

    fs::remove_file(place.path("log")).unwrap();
    assert_eq!(place.run(["freeze", "--with", &with, "mail"]).code(), 0);
    nix::sys::signal::kill(process(&place), nix::sys::signal::Signal::SIGKILL).unwrap();
    // Nobody waits for an end of a pause that is worth nothing.
    until("the gate is open", || place.status()["gate"] == "open");
    assert_eq!(thaw().code(), 124);
    place.assert_writers_go_on();

    let refuses = by("echo ready; read x; echo no >&2; exit 1");
    place
        .run(["freeze", "--with", &refuses, "mail"])
        .assert_complaint(69, &["participant sh: ended with status 1: no"]);
    place.assert_writers_go_on();
}

/// As it does here, to know that they can.
#[test]
fn writers_go_on_before_it_thaws() {
    let place = Place::with_barrier();
    let enters = format!("{STILLPOINT} run -s -w 4 mail touch entered");
    let script = |answer: &str| {
        by(&format!("echo ready; read x; echo {answer}; read x; {enters} && echo thawed; read x"))
    };
    let entered = || fs::remove_file(place.path("entered")).is_ok();
    let with = script("frozen");
    assert_eq!(place.run(["run", "-x", "--with", &with, "mail", "true"]).code(), 0);
    assert!(entered());
    assert_eq!(place.run(["freeze", "--with", &with, "mail"]).code(), 0);
    assert_eq!(place.run(["thaw", "mail"]).code(), 0);
    assert!(entered());
    // Without its end having been asked for.
    assert_eq!(place.run(["freeze", "--hold", "0.2", "--with", &with, "mail"]).code(), 0);
    until("it has thawed", entered);
    assert_eq!(place.run(["thaw", "mail"]).code(), 124);
    let with = script("failed");
    for verb in
        [&["run", "-x", "--with", &with, "mail", "true"][..], &["freeze", "--with", &with, "mail"]]
    {
        assert_eq!(place.run(verb).code(), 75, "{verb:?}");
        assert!(entered(), "{verb:?}");
    }
}

/// The answer waits for what it depends on, and the gate does not.
#[test]
fn one_that_takes_long_to_thaw_keeps_nobody_else_waiting() {
    let place = Place::with_barrier();
    let slow = by(
        "echo ready; read x; echo frozen; read x; until test -e go; do sleep 0.01; done; test -s go && echo thawed",
    );
    for (word, code) in [("yes", 0), ("", 124)] {
        let _ = fs::remove_file(place.path("go"));
        assert_eq!(place.run(["freeze", "--with", &slow, "mail"]).code(), 0);
        let thaw = place.start(["thaw", "mail"]);
        until("the gate is open", || place.status()["gate"] == "open");
        place.assert_writers_go_on();
        fs::write(place.path("go"), word).unwrap();
        assert_eq!(thaw.wait().code(), code, "{word:?}");
    }
}

#[test]
fn one_that_keeps_to_all_of_it_passes() {
    let place = Place::new();
    let with = good(&place);
    let done = place.run(["participant", "check", &with]);
    assert_eq!((done.code(), done.stderr.as_str()), (0, ""), "{}", done.stdout);
    assert!(done.stdout.lines().all(|line| line.starts_with("ok ")), "{}", done.stdout);
    let done = place.run(["participant", "check", "--json", &with]);
    let report: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&report["conforms"], &report["participant"]), (&true.into(), &"bash".into()));
    assert!(report["rules"].as_array().unwrap().iter().all(|rule| rule["ok"] == true));
}

/// That of the manual page.
#[test]
fn the_example_of_the_page_passes() {
    let place = Place::new();
    let page = fs::read_to_string(root().join("man/stillpoint-participants.7")).unwrap();
    let (_, example) = page.split_once(".Sh EXAMPLES").unwrap();
    let (_, example) = example.split_once("-offset indent\n").unwrap();
    let example = example.split(".Ed").next().unwrap();
    let lock = place.path("lock");
    let example = example.replace("/run/store.lock", lock.to_str().unwrap());
    assert!(example.starts_with("#!/bin/bash") && example.contains(lock.to_str().unwrap()));
    fs::write(place.path("store"), example).unwrap();
    let with = format!("/bin/bash {}", place.path("store").display());
    let done = place.run(["participant", "check", &with]);
    assert_eq!(done.code(), 0, "{done:#?}");
}

/// Where they are looked for: the folder of the environment, and that of whoever installed the command.
#[test]
fn a_name_is_found_beside_the_command() {
    let place = Place::with_barrier();
    let with = good(&place);
    let store = format!("#!/bin/sh\nexec {with} \"$@\"\n");
    fs::write(place.path("text"), store).unwrap();
    for (program, to) in [
        (STILLPOINT.into(), "prefix/bin/stillpoint"),
        (place.path("text"), "prefix/share/stillpoint/participants/store"),
        (place.path("text"), "own/mine"),
    ] {
        let mut install = Command::new("install");
        must(install.args(["-D", "-m", "755"]).arg(program).arg(place.path(to)));
    }
    let run = |name: &str| {
        let mut command = place.program(place.path("prefix/bin/stillpoint"));
        command.env("STILLPOINT_PARTICIPANTS", place.path("own"));
        common::run(command.args(["run", "-x", "--with", name, "mail", "true"]))
    };
    for name in ["store", "mine", "'store'"] {
        assert_eq!(run(name).code(), 0, "{name}");
        assert_eq!(told(&place), ["freeze", "thaw", "end"], "{name}");
        fs::remove_file(place.path("log")).unwrap();
    }
    run("text").assert_complaint(69, &["participant text: is not in ", "/own, ", "/prefix/share/"]);
}

/// Each breaks one rule, or those named.
#[test]
fn one_that_breaks_a_rule_is_told_which() {
    let place = Place::new();
    let answers = "while read -r w l; do last=$w; case $w in freeze) echo frozen;; thaw) echo thawed;; esac; done";
    let participants = [
        (format!("echo ready; {answers}"), &["thaws by itself"][..]),
        ("echo covers 1; cat".to_owned(), &["gets ready", "again", "before it is frozen"]),
        (
            format!("echo ready; {answers}; test \"$last\" = freeze && sleep 60"),
            &["when its input ends while it is frozen"],
        ),
        (format!("trap \"\" TERM; echo ready; {answers}"), &["ends by TERM"]),
        (format!("sleep 60 & echo ready; {answers}"), &["when its input ends"]),
        ("echo ready; read x; echo frozen; read x; echo thawed".to_owned(), &["does so again"]),
        ("echo ready; read x; sleep 0.1; echo frozen; read x".to_owned(), &["and thaws"]),
        ("echo ready; read x; echo frozen; sleep 0.5".to_owned(), &["at its limit, not before"]),
    ];
    let check = |script: &str, rules: &[&str]| {
        let done = place.run(["participant", "check", "--patience", "0.3", &by(script)]);
        assert_eq!((done.code(), done.stderr.as_str()), (1, ""), "{script}: {}", done.stdout);
        for rule in rules {
            let is_broken = |line: &str| line.starts_with("FAILS ") && line.contains(rule);
            assert!(done.stdout.lines().any(is_broken), "{script}: {rule}: {}", done.stdout);
        }
    };
    // They wait, all of them.
    std::thread::scope(|scope| {
        for (script, rules) in &participants {
            scope.spawn(|| check(script, rules));
        }
    });
}

#[test]
fn one_that_is_not_there_breaks_no_rule() {
    let place = Place::new();
    place.run(["participant", "check", "nosuch"]).assert_complaint(69, &["participant nosuch"]);
    assert_eq!(place.run(["participant", "check", "'"]).code(), 64);
}
