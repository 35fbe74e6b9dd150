//! Wrong usage: what it takes is named, on a terminal and in the journal.

use crate::common::command::Place;
use crate::common::run;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;

/// What the journal is told, one entry a line.
fn journal(place: &Place, words: &[&str]) -> Vec<String> {
    let path = place.path("journal");
    let file = File::create(&path).unwrap();
    let stream = file.metadata().map(|file| format!("{}:{}", file.dev(), file.ino())).unwrap();
    let mut shell = place.program("/bin/sh");
    shell.args(["-c", "exec \"$S\" \"$@\" 2>>\"$JOURNAL\"", "sh"]).args(words);
    shell.env("JOURNAL_STREAM", stream).env("JOURNAL", &path);
    assert_eq!(run(shell).code(), 64, "{words:?}");
    fs::read_to_string(path).unwrap().lines().map(str::to_string).collect()
}

#[test]
fn the_journal_is_told_what_is_missing() {
    let place = Place::new();
    for (words, named) in [
        (&["run"] as &[&str], &["required", "<BARRIER>"] as &[&str]),
        (&["snapshot", "mail"], &["required", "--btrfs", "--copy", "COMMAND"]),
        (&["recover", "mail"], &["required", "CHECK-COMMAND", "--acknowledge"]),
        (&["prune"], &["required", "--keep"]),
        (&["run", "--lable", "x", "mail", "true"], &["--lable", "tip:", "'--label'"]),
        (
            &["snapshot", "mail", "--on-dirty", "x", "--", "true"],
            &["--on-dirty", "[possible values: warn"],
        ),
        (&["creat", "mail"], &["creat", "'create'"]),
        (&[], &["verb", "stillpoint --help"]),
    ] {
        let entries = journal(&place, words);
        assert_eq!(entries.len(), 1, "{words:?}: {entries:?}");
        assert!(entries[0].starts_with("<3>stillpoint: "), "{entries:?}");
        for part in named {
            assert!(entries[0].contains(part), "{words:?}: no {part:?} in {entries:?}");
        }
        assert!(!entries[0].contains("Usage"), "{entries:?}");
    }
}

/// A name where a verb stands: what is called that is there, and which verb goes before it.
#[test]
fn a_job_or_barrier_where_a_verb_stands_is_told_its_verb() {
    let place = Place::with_barrier();
    fs::create_dir(place.path("jobs.d")).unwrap();
    fs::write(place.path("jobs.d/nightly.toml"), "").unwrap();
    for (words, advice) in [
        (&["nightly"] as &[&str], "tip: nightly is a job: `stillpoint job run nightly` runs it"),
        (&["job", "nightly"], "tip: nightly is a job: `stillpoint job run nightly` runs it"),
        (&["mail"], "tip: mail is a barrier: `stillpoint status mail` shows it"),
    ] {
        let mut command = place.command(words);
        let done = run(command.env("STILLPOINT_JOBS", place.path("jobs.d")));
        assert_eq!(done.code(), 64, "{done:?}");
        assert!(done.stderr.contains(advice), "{done:?}");
    }
    for words in [["nihgtly"], ["nothing"]] {
        assert!(!place.run(words).stderr.contains("tip"), "{words:?}");
    }
}
