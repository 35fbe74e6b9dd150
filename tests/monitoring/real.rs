//! A barrier and its snapshots in all kinds of trouble, with a Prometheus that looks on.

use std::fs;

use serde_json::Value;

use crate::common::command::Place;
use crate::common::until;
use crate::servers::{Programs, STUCK, Servers};

/// One thing goes wrong after another, and is mended again.
#[test]
fn the_alerts_of_a_real_prometheus() {
    let Some(programs) = Programs::find() else { return };
    let place = Place::with_barrier();
    let collected = place.path("collected");
    fs::create_dir(&collected).unwrap();
    let file = |name: &str| collected.join(name).to_str().unwrap().to_owned();
    let (all, run) = (file("stillpoint.prom"), file("run.prom"));
    let catalog = place.path("catalog");
    let report = || {
        place.run(["status", "--catalog", catalog.to_str().unwrap(), "--metrics-textfile", &all]);
        let text = fs::read_to_string(&all).unwrap();
        let time =
            text.lines().find_map(|line| line.strip_prefix("stillpoint_report_timestamp_seconds "));
        time.unwrap().parse::<f64>().unwrap()
    };
    let snapshot = |name: &str, command: &str| {
        let catalog = catalog.to_str().unwrap();
        let words = ["snapshot", "mail", "--catalog", catalog, "--name", name, "--min-open", "0"];
        let words = [&words[..], &["--metrics-textfile", &run, "--", command]].concat();
        place.run(words).code()
    };
    assert_eq!(snapshot("first", "true"), 0);
    let written = report();
    let servers = Servers::start(&programs, &collected);
    servers.assert_fire(written, &[]);

    assert_eq!(snapshot("second", "false"), 1);
    servers.assert_fire(report(), &["LastRunFailed"]);
    assert_eq!(snapshot("third", "true"), 0);
    servers.assert_fire(report(), &[]);

    // Taken three days ago, all of them.
    let times = |shift: i64| {
        for name in ["first", "third"] {
            let manifest = catalog.join(format!("{name}.json"));
            let text = fs::read_to_string(&manifest).unwrap();
            let mut value: Value = serde_json::from_str(&text).unwrap();
            let time: jiff::Timestamp = value["quiet"].as_str().unwrap().parse().unwrap();
            value["quiet"] = (time + jiff::SignedDuration::from_hours(shift)).to_string().into();
            fs::write(&manifest, value.to_string()).unwrap();
        }
    };
    times(-72);
    servers.assert_fire(report(), &["NewestCleanTooOld"]);
    times(72);
    servers.assert_fire(report(), &[]);

    place.lose("a");
    servers.assert_fire(report(), &["Dirty"]);
    assert_eq!(place.run(["recover", "mail", "--acknowledge"]).code(), 0);

    // Nobody waits at this one, then somebody does.
    let frozen = place.run(["freeze", "--hold", "60", "mail"]);
    assert_eq!(frozen.code(), 0, "{frozen:?}");
    servers.assert_fire(report(), &[]);
    let waiting = place.start(["run", "-s", "mail", "true"]);
    until("somebody waits", || {
        place.status()["writers"].as_array().unwrap().iter().any(|one| !one["waiting_ms"].is_null())
    });
    // For as long as it must have been the same pause.
    std::thread::sleep(STUCK);
    servers.assert_fire(report(), &["GateStuck"]);
    assert_eq!(place.run(["thaw", "mail"]).code(), 0);
    assert_eq!(waiting.wait().code(), 0);
    servers.assert_fire(report(), &[]);

    let aside = place.path("aside");
    fs::rename(place.barrier(), &aside).unwrap();
    servers.assert_fire(report(), &["BarrierMissing"]);
    fs::rename(&aside, place.barrier()).unwrap();
    fs::write(catalog.join("x.json"), "no manifest").unwrap();
    servers.assert_fire(report(), &["CatalogueDamaged"]);
}
