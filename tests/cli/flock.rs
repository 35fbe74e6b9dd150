//! `stillpoint run` beside flock(1): the same words, the same outcome, but for what the manual lists.

use std::process::Command;

const MAN: &str = include_str!("../../man/stillpoint-run.1");

/// Exit statuses of one command line.
#[derive(Clone, Copy)]
enum Expected {
    /// Both end with this.
    Same(i32),
    /// flock(1) with the first, we with the second; the manual has a row that begins with these words.
    Differ(i32, i32, &'static str),
}

use crate::common::command::Place;
use crate::common::{Done, run, start};
use Expected::{Differ, Same};

const STATUS: &str = "exit status";

/// What stands before the lock, which is free.
const OPTIONS: &[(&str, Expected)] = &[
    ("", Same(0)),
    ("-n", Same(0)),
    ("--nb", Same(0)),
    ("--nonblock", Same(0)),
    ("--nonblocking", Same(0)),
    ("--nonb", Same(0)),
    ("--no", Same(64)),
    ("-s", Same(0)),
    ("--shared", Same(0)),
    ("--sh", Same(0)),
    ("-x", Same(0)),
    ("-e", Same(0)),
    ("--exclusive", Same(0)),
    ("--ex", Same(0)),
    ("-s -x", Same(0)),
    ("-x -s", Same(0)),
    ("-s -s", Same(0)),
    ("-nx", Same(0)),
    ("-sn --", Same(0)),
    ("-n -n", Same(0)),
    ("-n --nonblock", Same(0)),
    ("-w 1", Same(0)),
    ("-w1", Same(0)),
    ("-w 1 -w 2", Same(0)),
    ("-w 1e-3", Same(0)),
    ("-w .5", Same(0)),
    ("-w 0", Same(0)),
    ("-n -w 1", Same(0)),
    ("--timeout 1", Same(0)),
    ("--timeout=1", Same(0)),
    ("--ti 1", Same(0)),
    ("--wait 1", Same(0)),
    ("--wait=1 --timeout 2", Same(0)),
    ("-w abc", Same(64)),
    ("-w =1", Same(64)),
    ("-w -1", Differ(71, 64, "seconds")),
    ("-w inf", Differ(71, 64, "seconds")),
    ("-w nan", Differ(71, 64, "seconds")),
    ("-E 3", Same(0)),
    ("-E 3 -E 4", Same(0)),
    ("--conflict-exit-code 3", Same(0)),
    ("--con 3", Same(0)),
    ("-E 0", Same(0)),
    ("-E 255", Same(0)),
    ("-E 256", Same(64)),
    ("-E -1", Same(64)),
    ("-E abc", Same(64)),
    ("-o", Same(0)),
    ("-o -o", Same(0)),
    ("--close", Same(0)),
    ("--clo", Same(0)),
    ("-F", Same(0)),
    ("--no-fork", Same(0)),
    ("--no-f", Same(0)),
    ("-o -F", Same(64)),
    ("--verbose", Same(0)),
    ("--verb --verbose", Same(0)),
    ("--nosuch", Same(64)),
    ("-q", Same(64)),
    ("--s", Differ(0, 64, "--s")),
    ("-c true", Same(64)),
    ("-u", Differ(0, 64, "-u")),
    ("--unlock", Differ(0, 64, "-u")),
];

/// What follows the lock, which is free.
const COMMANDS: &[(&str, Expected)] = &[
    ("true", Same(0)),
    ("false", Same(1)),
    ("-c true", Same(0)),
    ("-c exit${IFS}7", Same(7)),
    ("--command true", Same(0)),
    ("-c", Same(64)),
    ("-c true x", Same(64)),
    ("", Same(64)),
    ("sh -c exit${IFS}3", Same(3)),
    ("sh -c kill${IFS}-9${IFS}$$", Same(137)),
    ("--", Differ(69, 64, "--")),
    ("-- true", Differ(69, 0, "--")),
    ("nosuch", Differ(69, 127, STATUS)),
    ("/dev/null", Differ(69, 126, STATUS)),
    ("/tmp", Differ(69, 126, STATUS)),
    ("-n true", Differ(69, 127, STATUS)),
];

/// What the options come to while somebody else has the other side, or the same.
const CONFLICTS: &[(&str, &str, Expected)] = &[
    ("-s", "-n -x", Differ(1, 75, "conflict")),
    ("-s", "-w 0 -x", Differ(1, 75, "conflict")),
    ("-s", "-w .05", Differ(1, 75, "conflict")),
    ("-s", "--nonblocking -E 9", Same(9)),
    ("-s", "-n -E 9 -E 0", Same(0)),
    ("-s", "-w 5 -w .05 -E 8", Same(8)),
    ("-s", "-w .05 -n -E 8", Same(8)),
    ("-s", "-s -n -E 9", Same(5)),
    ("-s", "-x -n -s -E 9", Same(5)),
    ("-x", "-s -n -E 9", Same(9)),
    ("-x", "-n -E 9", Same(9)),
    ("-x", "-n -F -E 9", Same(9)),
];

/// Both programs with the same words around the lock.
fn both(place: &Place, options: &str, words: &str) -> [Done; 2] {
    let flock = place.program("flock");
    let ours = place.command(["run"]);
    [(flock, "./flock.lock"), (ours, "mail")].map(|(mut command, lock)| {
        command.args(options.split_whitespace()).arg(lock).args(words.split_whitespace());
        run(command)
    })
}

fn check(outcomes: [Done; 2], expected: Expected, what: &str) {
    let codes = outcomes.each_ref().map(Done::code);
    let wanted = match expected {
        Same(code) => [code, code],
        Differ(theirs, ours, row) => {
            assert!(
                rows().iter().any(|found| found.starts_with(row)),
                "no row {row:?} in the manual"
            );
            [theirs, ours]
        }
    };
    assert_eq!(codes, wanted, "{what}: {outcomes:?}");
}

/// The first cells of the manual's table of differences, without markup.
fn rows() -> Vec<String> {
    let section = MAN.lines().skip_while(|line| *line != ".Sh DIFFERENCES FROM FLOCK").skip(1);
    let section = section.take_while(|line| !line.starts_with(".Sh "));
    section
        .filter_map(|line| line.strip_prefix(".It "))
        .map(|row| row.replace("Fl -", "--").replace("Fl ", "-").replace("Sq ", ""))
        .collect()
}

#[test]
fn options_that_flock_takes_are_taken() {
    let place = Place::with_barrier();
    for (options, expected) in OPTIONS {
        check(both(&place, options, "true"), *expected, options);
    }
    check(both(&place, "-c true", ""), Differ(64, 0, "-c"), "-c before the lock");
}

#[test]
fn commands_are_what_they_are_to_flock() {
    let place = Place::with_barrier();
    for (words, expected) in COMMANDS {
        check(both(&place, "", words), *expected, words);
    }
}

#[test]
fn conflicts_end_as_those_of_flock() {
    let place = Place::with_barrier();
    for side in ["-s", "-x"] {
        let mut flock = place.program("flock");
        flock.args([side, "./flock.lock", "sh", "-c", "echo; exec sleep 60"]);
        let mut theirs = start(flock);
        theirs.line();
        let ours = place.hold(&[side]);
        for (_, options, expected) in CONFLICTS.iter().filter(|(held, ..)| *held == side) {
            check(both(&place, options, "sh -c exit${IFS}5"), *expected, options);
        }
        drop((theirs, ours));
    }
}

#[test]
fn other_places_of_the_lock_are_as_the_manual_says() {
    let place = Place::with_barrier();
    std::fs::write(place.path("file"), "text").unwrap();
    std::fs::create_dir(place.path("folder")).unwrap();
    for (lock, expected) in [
        ("./file", Differ(0, 66, "existing")),
        ("./folder", Differ(0, 66, "existing")),
        ("./new", Differ(0, 66, "missing")),
        ("./nodir/new", Same(66)),
        ("word", Differ(0, 66, "a word")),
    ] {
        let mut flock = place.program("flock");
        flock.args([lock, "true"]);
        check([run(flock), place.run(["run", lock, "true"])], expected, lock);
        let _ = std::fs::remove_file(place.path("new"));
    }
    let mut numbers = Command::new("sh");
    numbers.args(["-c", "exec 9>nine; flock -n 9 && ! \"$S\" run -n 9 2>/dev/null"]);
    let environment = place.program("sh");
    numbers.envs(environment.get_envs().filter_map(|(name, value)| Some((name, value?))));
    numbers.current_dir(place.path(""));
    assert_eq!(run(numbers).code(), 0);
    assert!(rows().iter().any(|row| row.starts_with("a descriptor")));
}

#[test]
fn a_conflict_is_a_line_on_standard_error_and_so_is_what_verbose_says() {
    let place = Place::with_barrier();
    let _holder = place.hold(&["-s"]);
    let outcome = place.run(["run", "-n", "mail", "true"]);
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.lines().count()), ("", 1), "{outcome:?}");
    let outcome = place.run(["run", "-s", "--verbose", "mail", "true"]);
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.lines().count()), ("", 1), "{outcome:?}");
    for row in ["the line at a conflict", "--verbose", "TERM", "the background"] {
        assert!(rows().iter().any(|found| found.starts_with(row)), "{row}: {:?}", rows());
    }
}
