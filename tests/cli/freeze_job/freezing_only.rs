//! Jobs that do nothing but freeze.

use std::fs;

use serde_json::Value;

use super::{command, frozen, gates, is_free, place, place_that_freezes, thaw, told};
use crate::common::{run, until};

#[test]
fn a_job_that_only_freezes_is_frozen_as_any_other() {
    let place = place_that_freezes(
        "[snapshot]\nlabel = 'vm'\n[limits]\nhold = 7\ndrain = 0.5\n[others]\nalso = ['flock:/dev/null']\n",
    );
    let lock = place.path("lock");
    fs::write(&lock, "").unwrap();
    let text = fs::read_to_string(place.path("jobs.d/nightly.toml")).unwrap();
    let text = text.replace("/dev/null", lock.to_str().unwrap());
    fs::write(place.path("jobs.d/nightly.toml"), text).unwrap();
    let tokens = frozen(&place, &[]);
    let status = place.run(["status", "--json", "mail"]).stdout;
    let holder = serde_json::from_str::<Value>(&status).unwrap()["holder"].clone();
    assert_eq!((&holder["label"], &holder["limit_ms"]), (&"vm".into(), &7500.0.into()));
    assert!(!is_free(&lock));
    assert!(tokens.iter().all(|token| thaw(&place, token).code() == 0));
    assert!(is_free(&lock));
}

/// Nobody waits for a snapshot, a timer or a record of it.
#[test]
fn every_verb_knows_what_such_a_job_is() {
    let place = place_that_freezes("");
    let refused = told(&place, &["job", "run", "nightly"]);
    refused.assert_refused(64, "this job only freezes, for a host that takes the snapshot");
    assert!(refused.stderr.contains("`stillpoint freeze --job nightly`"), "{refused:?}");
    let coordinated = told(&place, &["job", "run", "--coordinated", "nightly"]);
    assert_ne!(coordinated.code(), 0, "{coordinated:?}");

    let checked = told(&place, &["job", "check", "nightly"]);
    assert_eq!((checked.code(), checked.stderr.as_str()), (0, ""), "{checked:?}");
    assert_eq!(checked.stdout, "nightly: could be frozen\n");
    let list = told(&place, &["job", "list"]);
    assert!(list.stdout.contains("only freezes") && !list.stdout.contains("never"), "{list:?}");
    let list: Value =
        serde_json::from_str(&told(&place, &["job", "list", "--json"]).stdout).unwrap();
    assert_eq!(list[0]["only_freezes"], true);

    let units = place.path("units");
    let made = told(&place, &["job", "units", units.to_str().unwrap()]);
    assert_eq!((made.code(), made.stderr.as_str()), (0, ""), "{made:?}");
    assert!(!units.exists(), "no timer has a moment of it");

    let found = told(&place, &["check", "--json", "nightly"]).stdout;
    let found: Value = serde_json::from_str(&found).unwrap();
    let of_job: Vec<&Value> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["subject"] == "nightly")
        .collect();
    assert!(!of_job.is_empty() && of_job.iter().all(|one| one["level"] == "ok"), "{of_job:?}");
    // Of its barrier no snapshot is expected, however old.
    let aged = told(&place, &["check", "--critical-age", "1h", "nightly"]);
    assert!(!aged.stdout.contains("has never taken a snapshot"), "{aged:?}");

    fs::remove_file(place.barrier()).unwrap();
    assert_eq!(told(&place, &["job", "check", "nightly"]).code(), 66);
}

/// Whoever has no tokens: the last one that was frozen is meant.
#[test]
fn a_job_is_thawed_as_a_whole() {
    let place = place_that_freezes("");
    let thaw_all = || told(&place, &["thaw", "--job", "nightly"]);
    frozen(&place, &[]);
    let thawed = thaw_all();
    assert_eq!((thawed.code(), thawed.stderr.as_str()), (0, ""), "{thawed:?}");
    assert_eq!(gates(&place), ["open", "open"]);
    assert_eq!(thaw_all().stderr.matches("thawed before").count(), 2);

    // One did not hold, or is not there: the others are opened all the same.
    frozen(&place, &["--hold", "0.2"]);
    until("the limit", || gates(&place) == ["open", "open"]);
    let late = thaw_all();
    assert_eq!((late.code(), late.stderr.matches("throw away").count()), (124, 2), "{late:?}");
    frozen(&place, &[]);
    fs::rename(place.path("jobs.d/nightly.toml"), place.path("jobs.d/x.toml")).unwrap();
    assert_eq!(thaw_all().code(), 66);
    let more = "barriers = ['mail', 'news', 'none']\n";
    fs::write(place.path("jobs.d/nightly.toml"), more).unwrap();
    let missing = thaw_all();
    assert_eq!(missing.code(), 66, "{missing:?}");
    assert_eq!(gates(&place), ["open", "open"]);
    for words in [&["mail"][..], &["--user"], &["--token", "0123456789abcdef0123456789abcdef"]] {
        let both = told(&place, &[&["thaw", "--job", "nightly"], words].concat());
        assert_eq!(both.code(), 64, "{words:?}");
    }
    assert_eq!(place.run(["thaw"]).code(), 64);
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
