//! What programs are given: each key of it stands in stillpoint-cluster(8), and each key that stands there is given.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::site::{Host, engine, group};

/// Below these there are names of hosts, or what another page says.
const NAMED: [&str; 1] = ["members"];
const OTHERS: [&str; 3] = ["manifest", "certificate", "incarnation"];

fn keys(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| keys(value, found)),
        Value::Object(map) => {
            for (key, value) in map {
                found.insert(key.clone());
                match value {
                    _ if OTHERS.contains(&key.as_str()) => {}
                    Value::Object(hosts) if NAMED.contains(&key.as_str()) => {
                        hosts.values().for_each(|part| keys(part, found));
                    }
                    value => keys(value, found),
                }
            }
        }
        _ => {}
    }
}

/// The keys of that part of the page.
fn written() -> BTreeSet<String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../man/stillpoint-cluster.8");
    let text = fs::read_to_string(page).unwrap();
    let part = text.split("\n.Sh JSON\n").nth(1).unwrap().split("\n.Sh ").next().unwrap();
    let keys = part.lines().filter_map(|line| {
        line.split_once("Va ")
            .filter(|(before, _)| [".It ", ".", ".Pq ", ".Pq with "].contains(before))
    });
    let keys = keys.flat_map(|(_, keys)| keys.split([' ', ',', ';', '.']));
    // What a macro or a word is among them is none of them.
    let is_key =
        |key: &&str| key.starts_with(char::is_lowercase) && !["and", "when", "it"].contains(key);
    let when = part.contains(".It Va nonce , by , when").then_some("when");
    keys.filter(is_key).chain(when).map(str::to_owned).collect()
}

#[test]
fn every_key_of_what_programs_read_is_on_the_page() {
    let Some(servers) = engine() else { return };
    let mut hosts = group(&servers, &["a", "b"]);
    let mut given = BTreeSet::new();
    let mut add = |value: Value| keys(&value, &mut given);
    add(hosts[0].json(&["snapshot", "--json"]));
    // One under way.
    let writer = hosts[1].machine.writer();
    let begun = crate::common::process::start(hosts[0].command(&["snapshot"]));
    crate::common::time::until("it is under way", || {
        let status = hosts[0].json(&["status", "--json"]);
        add(status.clone());
        !status["epoch"].is_null()
    });
    begun.wait().assert_code(75);
    drop(writer);
    // One that failed, one without a member, and one whose coordinator is gone.
    let job = hosts[1].machine.path("jobs/mail.toml");
    let text = fs::read_to_string(&job).unwrap();
    fs::remove_file(&job).unwrap();
    let failed = hosts[0].run(&["snapshot", "--json"]);
    add(serde_json::from_str(&failed.stdout).unwrap());
    fs::write(&job, text).unwrap();
    hosts[1].kill_agent();
    fs::remove_file(hosts[1].machine.barrier()).unwrap();
    hosts[1].start_agent();
    hosts[1].until_it_takes_part();
    let mut stranger = Host::new(&servers, "b", "");
    stranger.start_agent();
    stranger.until_said("has the name b already");
    crate::common::time::until("it is named", || {
        hosts[0].must(&["status"]).contains("two machines have this name")
    });
    add(hosts[0].json(&["status", "--json"]));
    stranger.kill_agent();
    hosts[1].kill_agent();
    crate::common::time::until("b is missed", || {
        hosts[0].run(&["snapshot", "--allow-missing", "--json"]).code() == 0
    });
    let locally: [&[&str]; 5] = [
        &["list", "--json"],
        &["latest", "--json"],
        &["recover", "--json"],
        &["list", "--json", "--local"],
        &["latest", "--json", "--local"],
    ];
    for words in locally {
        add(hosts[0].json(words));
    }
    assert_eq!(given, written());
}
