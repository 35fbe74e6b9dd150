//! The manual page, the alerts and the dashboard name the metrics that there are, and no others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::common::command::Place;
use crate::common::root;
use crate::dashboard;
use crate::rules::RULES;

/// Every metric, as the lists of the programs have it.
fn known() -> BTreeSet<String> {
    listed("bin/stillpoint/words/metric.rs")
        .into_iter()
        .chain(listed("bin/cluster/verbs/metrics.rs"))
        .collect()
}

/// Those in the list of one program.
fn listed(file: &str) -> BTreeSet<String> {
    let list = text(file);
    let list = list.split("mod tests").next().unwrap();
    let names = list.split('"').filter(|part| part.starts_with("stillpoint_"));
    names.map(str::to_owned).collect()
}

/// Those of a report and those of a run, each of which has what the other has not.
#[test]
fn each_metric_has_one_writer() {
    let place = Place::with_barrier();
    let path = |name: &str| place.path(name).to_str().unwrap().to_owned();
    let (run, catalog, store, to) = (path("run.prom"), path("catalog"), path("store"), path("to"));
    fs::create_dir(&store).unwrap();
    fs::create_dir(&to).unwrap();
    let words = ["snapshot", "mail", "--catalog", &catalog, "--metrics-textfile", &run];
    let words = [&words[..], &["--copy", &store, "--to", &to, "--hold", "9"]].concat();
    assert_eq!(place.run(words).code(), 0);
    let jobs = path("jobs.d");
    fs::create_dir(&jobs).unwrap();
    let job = "barriers = [\"other\"]\n[snapshot]\ncommand = [\"true\"]\n";
    fs::write(format!("{jobs}/nightly.toml"), job).unwrap();
    let mut report = place.command(["status", "--prometheus", "--catalog", &catalog]);
    let report = crate::common::run(report.env("STILLPOINT_JOBS", &jobs));
    // Never run, and its barrier is not there: each has a sample.
    let never = "stillpoint_job_last_success_timestamp_seconds{stillpoint_job=\"nightly\"} 0\n";
    assert!(report.stdout.contains(never), "{report:?}");
    assert!(report.stdout.contains("other.barrier\"} 0\n"), "{report:?}");
    let (run, report) = (kinds(&fs::read_to_string(run).unwrap()), kinds(&report.stdout));
    let both: Vec<_> = run.keys().filter(|name| report.contains_key(*name)).collect();
    assert!(both.is_empty(), "told by two: {both:?}");
    assert!(run.keys().all(|name| name.starts_with("stillpoint_snapshot_last_")), "{run:?}");
    let told = run.into_iter().chain(report);
    // Those of an agent are its own tests' business.
    let mut silent = listed("bin/stillpoint/words/metric.rs");
    for (name, kind) in told {
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
        assert!(silent.remove(&name), "{name} is not in the list");
    }
    // Nobody can tell that where some process cannot be looked into.
    silent.remove("stillpoint_snapshot_last_covered");
    // Of jobs that have run.
    silent.remove("stillpoint_job_last_exit_status");
    assert_eq!(silent, BTreeSet::new());
}

fn kinds(text: &str) -> BTreeMap<String, String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

/// The metrics that an expression, or any text, speaks of.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    // That is a label.
    let words = words.filter(|word| word.starts_with("stillpoint_") && *word != "stillpoint_job");
    let plain = |word: &str| {
        let ends = ["_bucket", "_sum", "_count"];
        ends.iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word).to_owned()
    };
    words.map(plain).collect()
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

#[test]
fn the_manual_page_lists_every_metric_and_no_other() {
    let known = known();
    let page = text("man/stillpoint-metrics.7");
    let listed = page.lines().filter_map(|line| line.strip_prefix(".It Va "));
    let listed: Vec<&str> = listed.filter(|name| name.starts_with("stillpoint_")).collect();
    let once: BTreeSet<String> = listed.iter().map(|name| name.to_string()).collect();
    assert_eq!(once.len(), listed.len(), "one is listed twice");
    assert_eq!(once, known);
    let unknown: Vec<String> = named(&page.replace("stillpoint_snapshot_last_ ", ""))
        .into_iter()
        .filter(|name| !known.contains(name) && name != "stillpoint_snapshot_last_")
        .collect();
    assert_eq!(unknown, [""; 0], "in an example");
    for name in &known {
        assert!(!name.contains("_age"), "{name} stands still as soon as nobody writes");
    }
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_there_are() {
    let known = known();
    let expressions = dashboard::expressions();
    assert!(expressions.len() > 8);
    for expression in expressions.iter().chain(&alerts()) {
        let unknown: Vec<String> =
            named(expression).into_iter().filter(|name| !known.contains(name)).collect();
        assert_eq!(unknown, [""; 0], "{expression}");
        assert!(!named(expression).is_empty(), "{expression}");
    }
}

/// `expr:`, on its line or folded on those below it.
fn alerts() -> Vec<String> {
    let rules = text(RULES);
    let starts = rules.split("expr: ").skip(1);
    starts.map(|rest| rest.split("for: ").next().unwrap().to_owned()).collect()
}
