//! Agents of other versions, hosts of one name, and several who begin a snapshot at once.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use super::site::{Host, engine, group, populate, until_complete, until_idle, until_settled};
use crate::common::process::{start, state};
use crate::common::time::until;
use crate::servers::Servers;
use crate::skip::{has, is_root};

/// A key of the group, as it stands there.
fn read(servers: &Servers, key: &str) -> Value {
    let text = servers.ctl(&["get", "--print-value-only", &format!("/stillpoint/mail/{key}")]);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{key}: {error}: {text}"))
}

/// Changes it as another version would have written it.
fn rewrite(servers: &Servers, key: &str, change: impl Fn(&mut Value)) {
    let mut value = read(servers, key);
    change(&mut value);
    servers.ctl(&["put", "--ignore-lease", &format!("/stillpoint/mail/{key}"), &value.to_string()]);
}

fn write(servers: &Servers, key: &str, value: &Value) {
    servers.ctl(&["put", &format!("/stillpoint/mail/{key}"), &value.to_string()]);
}

#[test]
fn what_another_version_adds_is_passed_over_and_what_it_changes_is_named() {
    let Some(servers) = engine() else { return };
    let hosts = group(&servers, &["a", "b"]);
    let [a, _] = &hosts[..] else { panic!() };
    // One that knows more, in all that stands there.
    let more = |value: &mut Value| value["from-the-future"] = json!({ "more": [1, 2] });
    hosts[0].must(&["snapshot"]);
    until_idle(&hosts);
    for key in ["roster/b", "rosterver", "h/b/rep", "begun"] {
        rewrite(&servers, key, more);
    }
    a.must(&["snapshot"]);
    until_idle(&hosts);
    let status = a.json(&["status", "--json"]);
    assert!(
        status["hosts"].as_array().unwrap().iter().all(|host| host["error"].is_null()),
        "{status}"
    );

    // A report that nobody here understands is no certificate, and nobody waits for another one.
    let newer = |value: &mut Value| value["protocol"] = json!(99);
    rewrite(&servers, "h/b/rep", newer);
    let status = a.must(&["status"]);
    assert!(status.contains("b: ") && status.contains("speaks protocol 99"), "{status}");
    a.must(&["snapshot"]);
    until_idle(&hosts);

    // An epoch of a newer coordinator: agents have no part in it, and go on.
    write(&servers, "epoch", &json!({ "protocol": 99, "phase": "upside-down" }));
    hosts[1].until_said("protocol 99");
    a.run(&["snapshot"]).assert_refused(75, "protocol 99");
    a.run(&["join", "--wait", "0"]).assert_code(0);
    a.run(&["leave", "--wait", "0"]).assert_refused(75, "is under way");
    assert!(a.must(&["status"]).contains("protocol 99"));
    servers.ctl(&["del", "/stillpoint/mail/epoch"]);
    a.must(&["snapshot"]);

    // A member that cannot be read is not left out.
    rewrite(&servers, "roster/b", newer);
    let refused = a.run(&["snapshot", "--allow-missing"]);
    assert!(refused.code() == 70 && refused.stderr.contains("protocol 99"), "{refused:?}");
    assert!(refused.stderr.contains("install the same version"), "{refused:?}");
    hosts[1].until_said("the roster: it speaks protocol 99");
    rewrite(&servers, "roster/b", |value| value["protocol"] = json!(1));
    // Nor is one whose agent speaks otherwise.
    rewrite(&servers, "h/b/live", newer);
    let refused = a.run(&["snapshot"]);
    assert!(
        refused.code() == 75 && refused.stderr.contains("b: it speaks protocol 99"),
        "{refused:?}"
    );
    // What is damaged is no reason to fall over.
    for damaged in ["", "{", "[1]", "\u{1}"] {
        servers.ctl(&["put", "/stillpoint/mail/verdict/7", damaged]);
        servers.ctl(&["put", "/stillpoint/mail/h/x/live", damaged]);
        assert!(a.must(&["status"]).contains("cannot be read"), "{damaged}");
    }
}

#[test]
fn a_host_that_is_called_otherwise_now_is_told_what_to_do() {
    let Some(servers) = engine() else { return };
    let mut hosts = group(&servers, &["a"]);
    hosts[0].kill_agent();
    let text = fs::read_to_string(hosts[0].configuration()).unwrap();
    fs::write(hosts[0].configuration(), text.replace("host = 'a'", "host = 'z'")).unwrap();
    for words in [&["join"][..], &["leave"], &["agent"]] {
        let done = hosts[0].run(words);
        done.assert_refused(64, "this host is a in the group mail, and is called z now");
        assert!(done.stderr.contains("mail.json"), "{done:?}");
    }
    // Who only looks is told nothing.
    hosts[0].must(&["status"]);
}

/// The disk was copied: another machine, with all that the first one remembers.
#[test]
fn a_cloned_host_takes_no_part_and_neither_does_the_first_until_one_is_gone() {
    if !is_root() || !has(&["unshare", "setpriv"]) {
        return;
    }
    let Some(servers) = engine() else { return };
    let mut hosts = group(&servers, &["a", "b"]);
    hosts[0].must(&["snapshot"]);
    let mut clone = Host::new(&servers, "b", "");
    fs::create_dir(clone.machine.path("agent")).unwrap();
    let notes = |host: &Host| host.machine.path("agent").join("mail.json");
    fs::copy(notes(&hosts[1]), notes(&clone)).unwrap();
    let renamed = ["unshare", "--uts", "sh", "-c", "hostname the-clone; exec \"$@\"", "sh"];
    clone.within = renamed.map(str::to_owned).to_vec();
    clone.start_agent();
    clone.until_said("has the name b already");
    until("both are named", || hosts[0].must(&["status"]).contains("two machines have this name"));
    let status = hosts[0].must(&["status"]);
    assert!(status.contains("the-clone") && status.contains("two of them"), "{status}");
    let refused = hosts[0].run(&["snapshot"]);
    assert_eq!(refused.code(), 75, "{refused:?}");
    assert!(refused.stderr.contains("b: two machines have this name"), "{refused:?}");
    assert!(refused.stderr.contains("the-clone"), "{refused:?}");
    // The number alone is as good as the name: it is known by the first already.
    let joined = clone.run(&["join"]);
    assert!(joined.stderr.contains("is a member already"), "{joined:?}");
    clone.kill_agent();
    until_complete(&hosts[0]);
    // With a name and a number of its own it is one of three.
    fs::remove_file(notes(&clone)).unwrap();
    let text = fs::read_to_string(clone.configuration()).unwrap();
    fs::write(clone.configuration(), text.replace("host = 'b'", "host = 'c'")).unwrap();
    clone.machine.name = "c".to_owned();
    clone.must(&["join"]);
    clone.start_agent();
    clone.until_it_takes_part();
    hosts.push(clone);
    assert_eq!(hosts[0].json(&["snapshot", "--json"])["members"].as_object().unwrap().len(), 3);
}

/// The disk with the agent's folder is another one: the host is told what to do, by whoever it asks.
#[test]
fn a_host_whose_state_was_lost_takes_its_place_again() {
    let Some(servers) = engine() else { return };
    let mut hosts = group(&servers, &["a", "b"]);
    hosts[0].must(&["snapshot"]);
    let [a, b] = &mut hosts[..] else { panic!() };
    b.kill_agent();
    fs::remove_dir_all(b.machine.path("agent")).unwrap();
    b.start_agent();
    b.until_said("if that was lost, `join --fenced` takes its place");
    b.run(&["join"]).assert_refused(73, "`join --fenced` takes its place");
    a.run(&["snapshot"]).assert_refused(75, "`join --fenced` takes its place");
    a.run(&["evict", "--fenced", "b"]).assert_refused(75, "its agent is there");
    let joined = b.run(&["join", "--fenced"]);
    assert!(joined.code() == 0 && joined.stderr.contains("b is a member now"), "{joined:?}");
    b.until_said("b takes part");
    b.until_it_takes_part();
    assert_eq!(a.json(&["snapshot", "--json"])["members"].as_object().unwrap().len(), 2);
}

/// Of one name, and another machine from the beginning.
#[test]
fn a_name_that_is_taken_is_refused() {
    let Some(servers) = engine() else { return };
    let _hosts = group(&servers, &["a"]);
    let mut other = Host::new(&servers, "a", "");
    other.run(&["join"]).assert_refused(73, "joined by this name on ");
    other.run(&["join", "--fenced"]).assert_refused(75, "its agent is there");
    other.run(&["leave"]).assert_refused(64, "this is not that machine");
    other.start_agent();
    other.until_said("has the name a already");
}

#[test]
fn of_several_who_begin_at_once_one_does_and_the_others_are_told() {
    let Some(servers) = engine() else { return };
    let hosts = group(&servers, &["a", "b"]);
    for _ in 0..3 {
        let begun = (0..6).map(|number| {
            let mut command = hosts[number % 2].command(&["snapshot"]);
            start(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
        });
        let begun: Vec<_> = begun.collect();
        let done: Vec<_> = begun.into_iter().map(|one| one.wait()).collect();
        let complete = done.iter().filter(|one| one.code() == 0).count();
        assert!(complete >= 1, "{done:#?}");
        until_idle(&hosts);
        for one in done.iter().filter(|one| one.code() != 0) {
            assert_eq!(one.code(), 75, "{one:?}");
            assert!(one.stderr.contains("epoch") && one.stdout.is_empty(), "{one:?}");
        }
    }
    // And all are as they were.
    let name = hosts[0].must(&["snapshot"]);
    until_settled(&hosts, name.trim_end());
}

/// Two agents of one host: the second has nothing to say.
#[test]
fn one_agent_is_enough_for_a_host() {
    let Some(servers) = engine() else { return };
    let mut hosts = vec![Host::new(&servers, "a", "")];
    populate(&mut hosts);
    let log = hosts[0].log();
    assert!(hosts[0].agent().is_running(), "{log}");
    let second = hosts[0].run(&["agent"]);
    second.assert_refused(75, "an agent of this host runs already");
    let first = hosts[0].agent().pid;
    assert!(state(first).is_some_and(|state| state != 'Z'));
}
