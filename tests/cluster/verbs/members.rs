//! Who belongs to the group: joining, leaving and being put out, also while an epoch is under way.

use std::fs;
use std::thread::sleep;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::site::{Host, engine, group, populate, until_complete, until_idle, until_there};
use crate::common::process::start;
use crate::common::time::{ms, until};

/// It says that it is there, and waits until it may go on.
const WAITS: &str = "touch \"$STATE/inside\"; while [ ! -e \"$STATE/go\" ]; do sleep 0.02; done";

/// The script for this host, whose variables are not the script's.
fn waits(servers: &crate::servers::Servers, name: &str) -> Host {
    let host = Host::scripted(servers, name, "true");
    let script = WAITS.replace("$STATE", host.machine.path("state").to_str().unwrap());
    let text = fs::read_to_string(host.configuration()).unwrap();
    let words = format!("{script:?}");
    fs::write(host.configuration(), text.replace("\"true\"", &words)).unwrap();
    host
}

#[test]
fn who_joins_or_leaves_in_an_epoch_waits_for_its_end_and_it_is_complete() {
    let Some(servers) = engine() else { return };
    let mut hosts = vec![waits(&servers, "a"), Host::new(&servers, "b", "")];
    populate(&mut hosts);
    let late = Host::new(&servers, "c", "");
    let mut taken = start(hosts[0].command(&["snapshot"]).stdout(std::process::Stdio::piped()));
    until_there(&hosts[0].machine.path("state/inside"), &mut taken);
    // Who does not want to wait is told what keeps him.
    for (host, words) in [(&late, ["join", "--wait", "0"]), (&hosts[1], ["leave", "--wait", "1"])] {
        let done = host.run(&words);
        done.assert_refused(75, "is under way, and the roster changes only when none is");
    }
    hosts[1]
        .run(&["evict", "--fenced", "--wait", "0", "b"])
        .assert_refused(75, "b: its agent is there");
    let joins = start(late.command(&["join"]).stderr(std::process::Stdio::piped()));
    let leaves = start(hosts[1].command(&["leave"]).stderr(std::process::Stdio::piped()));
    assert_eq!(late.json(&["status", "--json"])["hosts"].as_array().unwrap().len(), 2);
    fs::write(hosts[0].machine.path("state/go"), "").unwrap();
    let done = taken.wait();
    done.assert_code(0);
    for (waiting, said) in [(joins, "c is a member now"), (leaves, "b has left")] {
        let done = waiting.wait();
        assert!(done.code() == 0 && done.stderr.contains(said), "{done:?}");
    }
    let last = late.json(&["latest", "--json"]);
    let members: Vec<&String> = last["members"].as_object().unwrap().keys().collect();
    assert_eq!(members, ["a", "b"]);
}

/// Ctrl-C while one waits, and at any moment: a host is a member or it is none, and says so when it is asked again.
#[test]
fn who_is_interrupted_has_joined_or_left_or_has_not() {
    let Some(servers) = engine() else { return };
    let mut hosts = vec![waits(&servers, "a"), Host::new(&servers, "b", "")];
    populate(&mut hosts);
    let late = Host::new(&servers, "c", "");
    let mut taken = start(hosts[0].command(&["snapshot"]).stdout(std::process::Stdio::piped()));
    until_there(&hosts[0].machine.path("state/inside"), &mut taken);
    let count = |members: &Value| {
        let hosts = members["hosts"].as_array().unwrap();
        hosts.iter().filter(|host| !host["member"].is_null()).count()
    };
    for (host, verb) in [(&late, "join"), (&hosts[1], "leave")] {
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            let mut waiting = start(host.command(&[verb]));
            // Long enough to be waiting, and nothing comes about whether it is or not.
            sleep(ms(200));
            waiting.signal(signal);
            assert_eq!(waiting.end(), 128 + signal as i32, "{verb}");
        }
    }
    assert_eq!(count(&late.json(&["status", "--json"])), 2);
    fs::write(hosts[0].machine.path("state/go"), "").unwrap();
    taken.wait().assert_code(0);
    for moment in 0..24 {
        let verb = ["join", "leave"][moment as usize / 2 % 2];
        let mut hasty = start(late.command(&[verb]));
        sleep(ms(3 * moment));
        hasty.signal(Signal::SIGINT);
        assert!([0, 130].contains(&hasty.end()), "{verb}");
    }
    late.must(&["join"]);
    assert_eq!(count(&late.json(&["status", "--json"])), 3);
    late.must(&["leave"]);
    until("nothing is under way", || hosts.iter().all(Host::is_idle));
    assert_eq!(hosts[1].json(&["snapshot", "--json"])["members"].as_object().unwrap().len(), 2);
}

/// What is written on a host that has left is in no snapshot, so nobody may write there then.
#[test]
fn a_host_with_writers_does_not_leave() {
    let Some(servers) = engine() else { return };
    let hosts = group(&servers, &["a", "b"]);
    let a = &hosts[0];
    let writer = a.machine.writer();
    let refused = a.run(&["leave"]);
    refused.assert_refused(75, "is open in slowpoke (pid ");
    assert!(refused.stderr.contains(&a.machine.barrier()), "{refused:?}");
    assert!(a.json(&["status", "--json"])["hosts"][0]["member"]["machine"].is_string());
    drop(writer);
    // Who cannot tell who writes there does not let it go either.
    let job = a.machine.path("jobs/mail.toml");
    let text = fs::read_to_string(&job).unwrap();
    fs::remove_file(&job).unwrap();
    let blind = a.run(&["leave"]);
    assert!(blind.code() != 0 && blind.stderr.contains("mail"), "{blind:?}");
    fs::write(&job, &text).unwrap();
    fs::write(a.machine.barrier(), "no barrier").unwrap();
    let damaged = a.run(&["leave"]);
    assert!(damaged.code() != 0 && damaged.stderr.contains(&a.machine.barrier()), "{damaged:?}");
    // A barrier that is no more has no writers.
    fs::remove_file(a.machine.barrier()).unwrap();
    let left = a.run(&["leave"]);
    assert_eq!((left.code(), left.stderr.as_str()), (0, "stillpoint-cluster: a has left\n"));
}

#[test]
fn only_a_host_whose_agent_is_gone_is_put_out() {
    let Some(servers) = engine() else { return };
    let mut hosts = group(&servers, &["a", "b"]);
    hosts[0].run(&["evict", "b"]).assert_refused(64, "evict --fenced b");
    hosts[0].run(&["evict", "--fenced", "typo"]).assert_refused(66, "members are a, b");
    let there = hosts[0].run(&["evict", "--fenced", "b"]);
    there.assert_refused(75, "its agent is there, so the host is not fenced");
    hosts[1].kill_agent();
    // Its word is worth something until its lease has run out.
    until("b is put out", || hosts[0].run(&["evict", "--fenced", "b"]).code() == 0);
    let again = hosts[0].run(&["evict", "--fenced", "b"]);
    assert!(again.code() == 0 && again.stderr.contains("b is no member"), "{again:?}");
    until_complete(&hosts[0]);
    until_idle(&hosts);
    // It may come back, and then counts again.
    let [a, b] = &mut hosts[..] else { panic!() };
    b.start_agent();
    b.until_said("b is not in the roster");
    b.must(&["join"]);
    b.until_it_takes_part();
    let json = a.json(&["snapshot", "--json"]);
    assert_eq!(json["members"].as_object().unwrap().len(), 2);
    until("nothing is under way", || a.is_idle() && b.is_idle());
    // Good-bye is said at once.
    b.agent().signal(Signal::SIGTERM);
    assert_eq!(b.agent().end(), 0);
    a.run(&["snapshot"]).assert_refused(75, "b: its agent is not there");
    let partial = a.run(&["snapshot", "--allow-missing"]);
    assert!(partial.code() == 0 && partial.stderr.contains("partial: without b"), "{partial:?}");
    assert_eq!(
        a.json(&["list", "--json"]).as_array().unwrap().last().unwrap()["outcome"],
        "partial"
    );
    a.run(&["evict", "--fenced", "b"]).assert_code(0);
    until("nothing is under way", || a.is_idle());
    let complete = a.must(&["snapshot", "--allow-missing"]);
    assert_eq!(a.must(&["latest"]), complete);
}
