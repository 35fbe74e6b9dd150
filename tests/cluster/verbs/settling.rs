//! What there is on each host when a snapshot of the group has returned.

use std::fs;
use std::process::Stdio;

use nix::sys::signal::Signal;

use super::site::{Host, engine, group, populate};
use crate::common::process::start;
use crate::common::time::until;

/// No host is asked whether it is ready for another one: each is there, and each has all of those before.
#[test]
fn a_snapshot_has_its_name_on_every_host_when_it_is_printed() {
    let Some(servers) = engine() else { return };
    let hosts = group(&servers, &["a", "b", "c"]);
    // What a job does with its snapshot goes on after that, and the next one waits for it.
    for host in &hosts[1..] {
        let job = host.machine.path("jobs/mail.toml");
        let text = fs::read_to_string(&job).unwrap();
        fs::write(&job, text + "[verify]\ncommand = \"sleep 0.5\"\n").unwrap();
    }
    for mode in ["--hold-all", "--early", "--hold-all", "--early"] {
        let done = hosts[0].run(&["snapshot", mode]);
        done.assert_code(0);
        assert_eq!(done.stderr.lines().count(), 1, "nobody is behind: {done:?}");
        let name = done.stdout.trim_end();
        for host in &hosts {
            assert_eq!(host.latest().as_deref(), Some(name), "{}", host.machine.name);
            assert_eq!(host.must(&["latest", "--local"]), done.stdout);
        }
    }
    // As a program asks.
    let json = hosts[1].json(&["snapshot", "--json"]);
    assert_eq!(
        (&json["outcome"], &json["unsettled"]),
        (&"complete".into(), &serde_json::json!([]))
    );
    assert_eq!(hosts[2].latest().as_deref(), json["name"].as_str());
}

/// Host b has its certificate and its agent dies; then a, which held everything up, goes on.
fn one_is_behind(hosts: &mut [Host], words: &[&str]) -> crate::common::process::Running {
    let [a, b] = hosts else { panic!() };
    let inside = a.machine.path("state/inside");
    let mut command = b.command(&[&["snapshot", "--early"], words].concat());
    let mut taken = start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    until("a is inside, or it has ended", || inside.exists() || !taken.is_running());
    if !inside.exists() {
        panic!("it has ended: {:?}", taken.wait());
    }
    until("b is certified", || a.must(&["status"]).contains(" certified"));
    b.kill_agent();
    fs::remove_file(inside).unwrap();
    taken
}

#[test]
fn a_host_that_is_behind_is_named_and_what_is_complete_is_complete() {
    let Some(servers) = engine() else { return };
    let mut hosts = vec![super::bad_hosts::slow(&servers, "a"), Host::new(&servers, "b", "")];
    populate(&mut hosts);
    for words in [&["--wait", "0.5"][..], &["--wait", "0.5", "--json"], &["--wait", "0"]] {
        let done = one_is_behind(&mut hosts, words).wait();
        done.assert_code(0);
        let name = match words.last() {
            Some(&"--json") => {
                let json: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
                assert_eq!(json["unsettled"], serde_json::json!(["b"]), "{json}");
                json["name"].as_str().unwrap().to_owned()
            }
            _ => done.stdout.trim_end().to_owned(),
        };
        let said = format!("b: has not said within 0.5 s that its part is called {name}");
        assert_eq!(done.stderr.contains(&said), words[1] != "0", "{done:?}");
        assert!(!done.stderr.contains(" a: "), "{done:?}");
        assert_ne!(hosts[1].latest().as_ref(), Some(&name));
        // Its next agent hears of it, and says so.
        hosts[1].start_agent();
        until("it has its name", || hosts[1].latest().as_ref() == Some(&name));
        until("it says so", || {
            let status = hosts[0].json(&["status", "--json"]);
            let settled = &status["hosts"][1]["live"]["settled"]["id"];
            settled.as_u64().is_some_and(|id| name.ends_with(&format!("-{id}")))
        });
        hosts[1].until_it_takes_part();
    }
    // Who does not want to wait any longer has what there is, and ends as he was told.
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let taken = one_is_behind(&mut hosts, &["--wait", "600"]);
        until("there is a verdict", || {
            hosts[0].must(&["status"]).contains("no epoch is under way")
        });
        until("it waits", || hosts[0].is_idle());
        taken.signal(signal);
        let done = taken.wait();
        assert_eq!(done.signal(), Some(signal as i32), "{done:?}");
        assert!(done.stderr.contains(" is complete, and hosts are not waited for"), "{done:?}");
        assert_eq!(hosts[0].must(&["latest"]), done.stdout);
        hosts[1].start_agent();
        hosts[1].until_it_takes_part();
    }
}
