//! `stillpoint status --prometheus`.

use crate::common::command::Place;
use crate::common::run;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;

/// Metric and labels with their value, of a text that keeps to the format: each metric once, behind its
/// HELP and TYPE, and each sample once.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let (mut samples, mut metrics, mut current) = (BTreeMap::new(), BTreeSet::new(), String::new());
    assert!(text.is_empty() || text.ends_with('\n'));
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            current = help.split_once(' ').unwrap().0.to_string();
            assert!(metrics.insert(current.clone()), "{current} twice");
            let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {current} ")).unwrap();
            assert!(["gauge", "counter", "histogram"].contains(&kind), "{kind}");
            assert_eq!(kind == "counter", current.ends_with("_total"), "{current}");
            continue;
        }
        assert!(line.starts_with(&current), "{line} below {current}");
        let (sample, value) = line.rsplit_once(' ').unwrap();
        let before = samples.insert(sample.to_string(), value.parse().unwrap());
        assert_eq!(before, None, "{sample} twice");
    }
    samples
}

fn samples(place: &Place, arguments: &[&str]) -> BTreeMap<String, f64> {
    let done = place.run([&["status", "--prometheus"], arguments].concat());
    assert_eq!((done.code(), done.stderr.as_str()), (0, ""), "{done:?}");
    parse(&done.stdout)
}

#[test]
fn what_goes_on_is_counted() {
    let place = Place::with_barrier();
    let barrier = format!("{{barrier=\"{}\"}}", place.barrier().display());
    let catalog = place.path("catalog");
    std::fs::create_dir(&catalog).unwrap();
    let catalog = ["--catalog", catalog.to_str().unwrap()];
    let of =
        |name: &str| samples(&place, &catalog).get(&format!("stillpoint_{name}{barrier}")).copied();
    let series = barrier.replace('}', ",provider=\"command\"}");
    let newest = |what: &str| {
        let name = format!("stillpoint_newest_clean_snapshot_{what}_seconds{series}");
        samples(&place, &catalog).get(&name).copied()
    };
    assert_eq!(of("writers"), Some(0.0));
    assert_eq!(newest("timestamp"), None);

    let snapshot = ["snapshot", "mail", catalog[0], catalog[1], "--", "true"];
    assert_eq!(place.run(snapshot).code(), 0);
    assert_eq!(of("pause_seconds_count"), Some(1.0));
    assert_eq!(
        (of("pauses_total"), of("last_pause_seconds")),
        (Some(1.0), of("pause_seconds_sum"))
    );
    let sum = of("pause_seconds_sum").unwrap();
    assert!(sum > 0.0 && sum < 30.0);
    let all = samples(&place, &catalog);
    let buckets =
        all.iter().filter(|(name, _)| name.starts_with("stillpoint_pause_seconds_bucket"));
    let buckets: Vec<f64> = buckets.map(|(_, count)| *count).collect();
    assert_eq!(buckets.len(), 16);
    let infinite = barrier.replace('}', ",le=\"+Inf\"}");
    assert_eq!(all[&format!("stillpoint_pause_seconds_bucket{infinite}")], 1.0);
    assert!(newest("timestamp").unwrap() > 1.7e9);
    // It would stand still as soon as nobody writes.
    assert!(!all.keys().any(|name| name.contains("_age_")), "{all:?}");
    assert_eq!(of("barrier_present"), Some(1.0));

    let writer = place.hold(&["-s"]);
    assert_eq!((of("writers_inside"), of("gate_closed")), (Some(1.0), Some(0.0)));
    assert_eq!(place.run(["run", "-x", "-n", "mail", "true"]).code(), 75);
    assert_eq!(of("drain_timeouts_total"), Some(1.0));
    drop(writer);
    place.run(["run", "-s", "mail", "sh", "-c", "kill -KILL $$"]);
    // The other one was ended by a signal too.
    assert_eq!(of("dirty_epoch"), Some(2.0));
    assert_eq!(of("dirty"), Some(1.0));
    assert_eq!(place.run(["recover", "mail", "--acknowledge"]).code(), 0);
    assert_eq!((of("dirty_acknowledged_epoch"), of("dirty")), (Some(2.0), Some(0.0)));
}

#[test]
fn several_barriers_share_their_metrics() {
    let place = Place::with_barrier();
    assert_eq!(place.run(["create", "news"]).code(), 0);
    let all = samples(&place, &[]);
    let writers = all.keys().filter(|name| name.starts_with("stillpoint_writers{"));
    assert_eq!(writers.count(), 2);
}

/// One sample twice makes a scraper refuse all of them.
#[test]
fn a_barrier_named_twice_is_shown_once() {
    let place = Place::with_barrier();
    let path = place.barrier();
    let all = samples(&place, &["mail", path.to_str().unwrap(), "mail"]);
    assert_eq!(all.keys().filter(|name| name.starts_with("stillpoint_writers{")).count(), 1);
}

/// Each job may have its own.
#[test]
fn all_catalogues_are_looked_at_that_are_named_or_that_jobs_have() {
    let place = Place::with_barrier();
    std::fs::create_dir(place.path("jobs.d")).unwrap();
    let path = |name: &str| place.path(name).to_str().unwrap().to_owned();
    for (catalog, label) in [("one", "a"), ("two", "b"), ("usual", "c")] {
        let words = ["snapshot", "mail", "--min-open", "0", "--catalog", &path(catalog)];
        let done = place.run([&words[..], &["--label", label, "--", "true"]].concat());
        assert_eq!(done.code(), 0, "{done:?}");
        let text = format!(
            "barriers = 'mail'\ncatalog = '{}'\n[snapshot]\ncommand = 'true'\n",
            path(catalog)
        );
        if label != "c" {
            std::fs::write(place.path("jobs.d").join(format!("{label}.toml")), text).unwrap();
        }
    }
    let labels = |verb: &[&str], words: &[&str]| {
        let mut command = place.command([verb, words].concat());
        command.env("STILLPOINT_JOBS", place.path("jobs.d"));
        let done = run(command.env("STILLPOINT_CATALOG", path("usual")));
        let has = |label: &&&str| {
            let sample = format!(
                "clean_snapshot_timestamp_seconds{{barrier=\"{}\",provider=\"command\",label=\"{label}\"}}",
                place.barrier().display()
            );
            done.stdout.contains(&sample) || done.stdout.contains(&format!("command ({label})"))
        };
        ["a", "b", "c"].iter().filter(has).copied().collect::<String>()
    };
    let two = ["--catalog", &path("one"), "--catalog", &path("usual")];
    for verb in [&["status", "--prometheus"][..], &["check"]] {
        assert_eq!(labels(verb, &[]), "abc", "{verb:?}");
        assert_eq!(labels(verb, &two[..2]), "a", "{verb:?}");
        assert_eq!(labels(verb, &two), "ac", "{verb:?}");
    }
    let none = ["status", "--prometheus", "--catalog", &path("one"), "--catalog", &path("no")];
    let done = place.run(none);
    done.assert_complaint(66, &["no: there is no such catalogue"]);
    assert!(done.stdout.contains("label=\"a\""), "the other is shown: {done:?}");
}

#[test]
fn a_catalogue_that_cannot_be_read_is_said_and_the_rest_is_shown() {
    let place = Place::with_barrier();
    let file = place.path("catalog");
    std::fs::write(&file, "").unwrap();
    let done = place.run(["status", "--prometheus", "--catalog", file.to_str().unwrap()]);
    done.assert_complaint(71, &["catalog"]);
    let all = parse(&done.stdout);
    assert!(all.keys().any(|name| name.starts_with("stillpoint_writers{")));
    assert_eq!(all["stillpoint_report_complete"], 0.0);
    // Nor one that is not there, if somebody has named it: its disk may not be mounted.
    std::fs::remove_file(&file).unwrap();
    let done = place.run(["status", "--prometheus", "--catalog", file.to_str().unwrap()]);
    done.assert_complaint(66, &["catalog"]);
    assert_eq!(parse(&done.stdout)["stillpoint_report_complete"], 0.0);
    assert_eq!(samples(&place, &[])["stillpoint_report_complete"], 1.0);
}

#[test]
fn a_barrier_that_is_missing_is_said_and_the_others_are_shown() {
    let place = Place::with_barrier();
    let done = place.run(["status", "--prometheus", "nothing", "mail"]);
    done.assert_complaint(66, &["nothing.barrier"]);
    let present = |name: &str| {
        let barrier = place.barrier().with_file_name(format!("{name}.barrier"));
        let sample = format!("stillpoint_barrier_present{{barrier=\"{}\"}}", barrier.display());
        parse(&done.stdout).get(&sample).copied()
    };
    assert_eq!((present("nothing"), present("mail")), (Some(0.0), Some(1.0)));
    for other in ["--json", "--watch"] {
        assert_eq!(place.run(["status", "--prometheus", other]).code(), 64);
    }
    assert_eq!(place.run(["status", "--catalog", "/x"]).code(), 64);
}

/// After a boot, say, before anybody has made them again; those that were retired are not asked for.
#[test]
fn a_barrier_whose_state_is_open_is_missed_whoever_asks() {
    let place = Place::with_barrier();
    let series = |place: &Place| {
        let catalog = place.path("catalog");
        let catalog = ["--catalog", catalog.to_str().unwrap()];
        let all = samples(place, &catalog);
        let present = all.iter().find(|(name, _)| name.starts_with("stillpoint_barrier_present"));
        let newest = all.iter().find(|(name, _)| name.starts_with("stillpoint_newest_clean"));
        (present.map(|(_, value)| *value), newest.map(|(_, value)| *value > 1e9))
    };
    assert_eq!(place.snapshot(&["mail"]).code(), 0);
    std::fs::remove_file(place.barrier()).unwrap();
    assert_eq!(series(&place), (Some(0.0), Some(true)), "and its snapshots are not forgotten");
    assert_eq!(place.run(["create", "mail"]).code(), 0);
    assert_eq!(series(&place), (Some(1.0), Some(true)));
    assert_eq!(place.run(["retire", "mail"]).code(), 0);
    assert_eq!(series(&place), (None, Some(true)), "nor then: nobody may have made it again");
}

/// An alert on age must see it.
#[test]
fn a_series_without_a_clean_snapshot_has_the_time_0() {
    let place = Place::with_barrier();
    let catalog = place.path("catalog");
    let catalog = catalog.to_str().unwrap();
    let failing = ["snapshot", "mail", "--catalog", catalog, "--", "false"];
    assert_eq!(place.run(failing).code(), 1);
    let all = samples(&place, &["--catalog", catalog]);
    let newest: Vec<_> = all.iter().filter(|(name, _)| name.contains("_newest_")).collect();
    assert!(newest.len() >= 3 && newest.iter().all(|(_, time)| **time == 0.0), "{newest:?}");
}

/// The folder that snapshots go to tells series apart, too: else the one that goes well hides the other.
#[test]
fn series_with_different_targets_are_told_apart() {
    let place = Place::with_barrier();
    let path = |name: &str| place.path(name).to_str().unwrap().to_owned();
    let (store, catalog) = (path("store"), path("catalog"));
    std::fs::create_dir(&store).unwrap();
    for to in [path("one"), path("two")] {
        std::fs::create_dir(&to).unwrap();
        let words = ["snapshot", "mail", "--catalog", &catalog, "--min-open", "0", "--hold", "9"];
        let copied = place.run([&words[..], &["--copy", &store, "--to", &to]].concat());
        assert_eq!(copied.code(), 0, "{copied:?}");
    }
    let all = samples(&place, &["--catalog", &catalog]);
    let counts = all.iter().filter(|(name, _)| name.starts_with("stillpoint_snapshots{"));
    assert_eq!(counts.map(|(_, count)| *count).collect::<Vec<_>>(), [1.0, 1.0]);
}

/// A file is the old one or the new one, and nothing else is replaced.
#[test]
fn a_file_for_the_collector_is_written_whole_or_not_at_all() {
    let place = Place::with_barrier();
    let folder = place.path("collector");
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("stillpoint.prom");
    let write = |file: &std::path::Path, more: &[&str]| {
        let words = ["status", "--metrics-textfile", file.to_str().unwrap()];
        place.run([&words[..], more].concat())
    };
    let done = write(&file, &[]);
    assert_eq!((done.code(), done.stdout.as_str(), done.stderr.as_str()), (0, "", ""));
    let before = std::fs::read_to_string(&file).unwrap();
    assert!(parse(&before).keys().any(|name| name.starts_with("stillpoint_writers{")));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    write(&place.barrier(), &[]).assert_complaint(73, &["stays"]);
    for other in ["--json", "--watch", "--prometheus"] {
        assert_eq!(write(&file, &[other]).code(), 64, "{other}");
    }
    // A full disk: what is bigger than this limit is not written.
    let mut full = place.program("sh");
    full.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$S\" status --metrics-textfile \"$0\""]);
    let done = crate::common::run(full.arg(&file));
    assert_eq!(done.code(), 73, "{done:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    let left = std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(left, 1, "nothing is left beside it");
}

/// What one tells, the other would hide.
#[test]
fn a_run_and_the_report_do_not_replace_each_other_s_files() {
    let place = Place::with_barrier();
    let (report, run) = (place.path("report.prom"), place.path("run.prom"));
    let written = |file: &std::path::Path| std::fs::read_to_string(file).unwrap();
    let tell = |file: &std::path::Path| {
        place.run(["status", "--metrics-textfile", file.to_str().unwrap()])
    };
    let take = |file: &std::path::Path, label: &str| {
        place.snapshot(&["mail", "--label", label, "--metrics-textfile", file.to_str().unwrap()])
    };
    assert_eq!((tell(&report).code(), take(&run, "a").code()), (0, 0));
    let before = (written(&report), written(&run));
    take(&report, "a").assert_complaint(73, &["is written by stillpoint status"]);
    tell(&run).assert_complaint(73, &["is written by runs"]);
    assert_eq!((written(&report), written(&run)), before);
    assert_eq!((tell(&report).code(), take(&run, "a").code()), (0, 0), "each its own");
    // Another series takes it over, and does not do so in silence.
    let other = take(&run, "b");
    assert_eq!(other.code(), 0, "{other:?}");
    assert!(
        other.stderr.contains("told of another series, ") && other.stderr.contains("label=\"a\""),
        "{other:?}"
    );
    let again = take(&run, "b");
    assert_eq!((again.code(), again.stderr.contains("another series")), (0, false), "{again:?}");
}
