//! `stillpoint status --prometheus`.

use crate::common::command::Place;
use std::collections::{BTreeMap, BTreeSet};

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
    let age = newest("age").unwrap();
    assert!((0.0..60.0).contains(&age), "{age}");

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

#[test]
fn a_catalogue_that_cannot_be_read_is_said_and_the_rest_is_shown() {
    let place = Place::with_barrier();
    let file = place.path("catalog");
    std::fs::write(&file, "").unwrap();
    let done = place.run(["status", "--prometheus", "--catalog", file.to_str().unwrap()]);
    done.assert_complaint(71, &["catalog"]);
    assert!(parse(&done.stdout).keys().any(|name| name.starts_with("stillpoint_writers{")));
}

#[test]
fn a_barrier_that_is_missing_is_said_and_the_others_are_shown() {
    let place = Place::with_barrier();
    let done = place.run(["status", "--prometheus", "nothing", "mail"]);
    done.assert_complaint(66, &["nothing.barrier"]);
    assert!(!parse(&done.stdout).is_empty());
    for other in ["--json", "--watch"] {
        assert_eq!(place.run(["status", "--prometheus", other]).code(), 64);
    }
    assert_eq!(place.run(["status", "--catalog", "/x"]).code(), 64);
}
