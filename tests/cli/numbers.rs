//! Every number on the command line, over its whole range: it is taken for what it is, or refused on one
//! line that says which, and nothing has happened.
use crate::common::command::Place;

/// Refused as usage, naming the option and the value; nothing was made of it.
#[track_caller]
fn refused(place: &Place, words: &[&str], value: &str, why: &str) {
    let words: Vec<&str> =
        words.iter().map(|word| if *word == "VALUE" { value } else { word }).collect();
    let outcome = place.run(&words);
    assert_eq!((outcome.code(), outcome.stdout.as_str()), (64, ""), "{words:?} {outcome:?}");
    let line = outcome.stderr.lines().next().unwrap();
    assert!(line.contains(&format!("'{value}' for '--")), "{words:?}: {line}");
    assert!(line.contains(why), "{words:?}: {line}");
}

/// Where a duration is taken.
const DURATIONS: [&[&str]; 9] = [
    &["run", "-w", "VALUE", "mail", "echo", "ran"],
    &["run", "--hold", "VALUE", "mail", "echo", "ran"],
    &["recover", "-w", "VALUE", "mail", "--acknowledge"],
    &["recover", "--hold", "VALUE", "mail", "--", "echo", "ran"],
    &["freeze", "-w", "VALUE", "mail"],
    &["freeze", "--drain", "VALUE", "mail"],
    &["freeze", "--hold", "VALUE", "mail"],
    &["snapshot", "mail", "--patience", "VALUE", "--", "echo", "ran"],
    &["snapshot", "mail", "--min-open", "VALUE", "--", "echo", "ran"],
];

#[test]
fn durations() {
    let place = Place::with_barrier();
    for words in DURATIONS {
        for value in ["nan", "", "soon", "1,5", "0x10", "-n", "1.5.2"] {
            refused(&place, words, value, "expected seconds");
        }
        for value in ["-1", "-0.001", "-1s", "-inf"] {
            refused(&place, words, value, "must not be negative");
        }
        for value in ["1e300", "inf", "99999999999999999999", "4000d", "1e9"] {
            refused(&place, words, value, "more than ten years");
        }
    }
    for value in ["1e8", "3600d", "1e-9", "0", "-0", "+5", "1m30s"] {
        let outcome = place.run(["run", "-w", value, "mail", "echo", "ran"]);
        assert_eq!((outcome.code(), outcome.stdout.as_str()), (0, "ran\n"), "{value}: {outcome:?}");
    }
}

#[test]
fn a_hold_is_long_enough_to_be_told() {
    let place = Place::with_barrier();
    for words in DURATIONS.iter().filter(|words| words.contains(&"--hold")) {
        for value in ["0", "1e-20", "0.0009", "999us"] {
            refused(&place, words, value, "must be at least 1ms, or none");
        }
    }
    assert_eq!(place.run(["run", "--hold", "1e8", "mail", "true"]).code(), 0);
    // So short that the command is ended, and the limit is named.
    let ended = place.run(["run", "--hold", "1ms", "mail", "sleep", "5"]);
    ended.assert_complaint(124, &["hold limit of 1.0 ms"]);
}

#[test]
fn whole_numbers() {
    let place = Place::with_barrier();
    for value in ["-1", "256", "1.5", "", "x"] {
        refused(&place, &["run", "-E", "VALUE", "mail", "true"], value, "");
    }
    for value in ["-1", "0", "4294967296", "1.5"] {
        refused(&place, &["snapshot", "mail", "--attempts", "VALUE", "--", "true"], value, "");
    }
    for value in ["-1", "4294967296", "1.5", "some"] {
        refused(&place, &["create", "other", "--readmit", "VALUE"], value, "");
    }
    for value in ["0", "-1", "1.5", "99999999999T", "10X"] {
        let words = ["snapshot", "mail", "--lvm", "a/b", "--size", "VALUE"];
        refused(&place, &words, value, "expected a number of bytes");
    }
    for value in ["-1", "0", "4294967296", "1.5"] {
        refused(&place, &["prune", "--keep", "VALUE"], value, "");
        refused(&place, &["use", "--while", "VALUE", "name"], value, "");
    }
    for value in ["-1", "-5d", "nan", "inf", "1e300", "0d", "99999999999y", "10000000mo"] {
        refused(&place, &["prune", "--keep-within", "VALUE"], value, "");
    }
    for (value, code) in [("0", 0), ("255", 255)] {
        let _holder = place.hold(&["-s"]);
        assert_eq!(place.run(["run", "-n", "-E", value, "mail", "true"]).code(), code);
    }
}

/// -1, which says to chown(2) that nothing is to change.
#[test]
fn the_group_that_is_none() {
    let place = Place::new();
    for value in ["4294967295", "4294967296", "-1", "no-such-group-here"] {
        refused(&place, &["create", "mail", "--group", "VALUE"], value, "group");
        assert!(!place.barrier().exists(), "{value}");
    }
}

#[test]
fn permissions() {
    let place = Place::new();
    for value in ["", "-660", "0o660", "888", "77777777777", "0666", "0662", "0060", "4660", "rw"] {
        refused(&place, &["create", "mail", "--mode", "VALUE"], value, "");
    }
    refused(&place, &["create", "mail", "--mode", "VALUE"], "0620", "must read too");
    assert!(!place.barrier().exists());
}

#[test]
fn what_is_asked_of_a_barrier_that_is_there_is_not_passed_over() {
    let place = Place::new();
    assert_eq!(place.run(["create", "mail", "--readmit", "4294967295"]).code(), 0);
    assert_eq!(place.run(["create", "mail", "--readmit", "4294967295"]).code(), 0);
    let other = place.run(["create", "mail", "--readmit", "0"]);
    other.assert_complaint(73, &["another readmit", "retire"]);
    assert_eq!(place.run(["retire", "mail"]).code(), 0);
    assert_eq!(place.run(["create", "mail", "--readmit", "0"]).code(), 0);
}
