//! The dashboard: its panels have places of their own, and a real Prometheus has an answer for each of its questions.
//!
//! Grafana itself puts values in the place of variables; so does this, and asks as it does.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::common::command::Place;
use crate::common::{root, run, until};
use crate::servers::{Programs, Servers};

fn dashboard() -> Value {
    let text = fs::read_to_string(root().join("scripts/monitoring/dashboard.json"));
    serde_json::from_str(&text.unwrap()).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// Of all panels.
fn asked() -> Vec<String> {
    let dashboard = dashboard();
    let targets = list(&dashboard["panels"]).iter().flat_map(|panel| list(&panel["targets"]));
    targets.map(|target| text(&target["expr"])).collect()
}

/// Of the variables.
fn of_variables() -> Vec<String> {
    let dashboard = dashboard();
    let variables = list(&dashboard["templating"]["list"]).iter();
    let definitions = variables.filter(|one| one["type"] == "query");
    definitions.map(|one| text(&one["definition"])).collect()
}

/// All of them.
pub fn expressions() -> Vec<String> {
    [asked(), of_variables()].concat()
}

#[test]
fn each_panel_has_a_place_of_its_own() {
    let dashboard = dashboard();
    let (mut ids, mut places) = (BTreeSet::new(), Vec::new());
    for panel in list(&dashboard["panels"]) {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels with one id");
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        let (x, y, w, h) = (at("x"), at("y"), at("w"), at("h"));
        assert!(x + w <= 24, "{panel}");
        let over =
            places.iter().any(|(a, b, c, d)| x < a + c && *a < x + w && y < b + d && *b < y + h);
        assert!(!over, "one panel lies over another: {panel}");
        places.push((x, y, w, h));
        let names: Vec<String> =
            list(&panel["targets"]).iter().map(|one| text(&one["refId"])).collect();
        let once: BTreeSet<&String> = names.iter().collect();
        assert!(!names.is_empty() && once.len() == names.len(), "{names:?}: {panel}");
    }
    // What a question refers to is there, and what there is to choose counts in some.
    let known: BTreeSet<String> =
        list(&dashboard["templating"]["list"]).iter().map(|one| text(&one["name"])).collect();
    let all = dashboard.to_string();
    let named = all.split('$').skip(1).map(|rest| {
        let rest = rest.trim_start_matches('{');
        rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next().unwrap().to_owned()
    });
    let named: BTreeSet<String> = named.filter(|name| !name.starts_with("__")).collect();
    assert_eq!(named, known);
}

/// With everything chosen.
fn filled_in(expression: &str) -> String {
    let filled = expression.replace("$__rate_interval", "10s");
    let filled = filled.replace("$instance", ".*").replace("$barrier", ".*");
    assert!(!filled.contains('$'), "{expression}");
    filled
}

#[test]
fn prometheus_has_an_answer_for_each_question() {
    let Some(programs) = Programs::find() else { return };
    let place = Place::with_barrier();
    let collected = place.path("collected");
    fs::create_dir(&collected).unwrap();
    let path = |name: &str| place.path(name).to_str().unwrap().to_owned();
    let (catalog, file) = (path("catalog"), path("collected/run.prom"));
    let snapshot = ["snapshot", "mail", "--catalog", &catalog, "--metrics-textfile", &file];
    assert_eq!(place.run([&snapshot[..], &["--", "true"]].concat()).code(), 0);
    // A job with a run: its pause.
    let (jobs, states) = (path("jobs.d"), path("state"));
    fs::create_dir(&jobs).unwrap();
    fs::write(format!("{jobs}/vm.toml"), "barriers = 'mail'\n").unwrap();
    let told = |words: &[&str]| {
        let mut command = place.command(words);
        command.env("STILLPOINT_JOBS", &jobs).env("STILLPOINT_STATE_DIR", &states);
        let done = run(command);
        assert_eq!(done.code(), 0, "{done:?}");
    };
    told(&["freeze", "--job", "vm"]);
    told(&["thaw", "mail"]);
    until("its record is written", || fs::exists(format!("{states}/jobs/vm.json")).unwrap());
    let all = path("collected/stillpoint.prom");
    told(&["status", "--catalog", &catalog, "--metrics-textfile", &all]);
    let servers = Servers::start(&programs, &collected);
    for expression in asked() {
        let filled = filled_in(&expression);
        // A rate is of two scrapes.
        until(&expression, || !servers.series(&filled).is_empty());
        for one in servers.series(&filled) {
            let value = text(&one["value"][1]);
            assert!(value.parse::<f64>().is_ok(), "{expression}: {one}");
        }
    }
    for panel in list(&dashboard()["panels"]).iter().filter(|panel| panel["type"] == "table") {
        // Rows are put together by all their labels.
        let rows = |target: &Value| -> BTreeSet<String> {
            let found = servers.series(&filled_in(&text(&target["expr"])));
            found.iter().map(|one| one["metric"].to_string()).collect()
        };
        let rows: Vec<BTreeSet<String>> = list(&panel["targets"]).iter().map(rows).collect();
        assert!(rows.windows(2).all(|pair| pair[0] == pair[1]), "{rows:#?}");
    }
    for definition in of_variables() {
        let inside = definition.strip_prefix("label_values(").unwrap().strip_suffix(')').unwrap();
        let (expression, label) = inside.rsplit_once(", ").unwrap();
        let found = servers.series(&filled_in(expression));
        assert!(found.iter().any(|one| one["metric"][label].is_string()), "{definition}");
    }
}
