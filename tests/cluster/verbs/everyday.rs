//! A group from its first host to its last.

use super::site::{Host, engine, group, populate, until_idle, until_settled};
use crate::common::time::until;

#[test]
fn a_group_is_set_up_used_and_taken_down() {
    let Some(servers) = engine() else { return };
    let mut hosts = ["a", "b", "c"].map(|name| Host::new(&servers, name, ""));
    let [a, ..] = &hosts;
    a.run(&["snapshot"]).assert_refused(66, "no host has joined the group");
    assert_eq!(a.must(&["status"]), "mail: no epoch is under way\nno host has joined\n");
    a.run(&["recover"]).assert_code(0);
    a.run(&["latest"]).assert_refused(66, "mail: no epoch is complete");
    let joined = a.run(&["join"]);
    assert_eq!(
        (joined.code(), joined.stderr.as_str()),
        (0, "stillpoint-cluster: a is a member now\n")
    );
    let again = a.run(&["join"]);
    assert_eq!(
        (again.code(), again.stderr.as_str()),
        (0, "stillpoint-cluster: a is a member already\n")
    );
    a.run(&["snapshot"]).assert_refused(75, "a: its agent is not there");
    populate(&mut hosts);

    let mut names = Vec::new();
    for mode in ["--hold-all", "--early"] {
        let taken = hosts[0].run(&["snapshot", mode]);
        taken.assert_code(0);
        let name = taken.stdout.trim_end().to_owned();
        assert!(name.starts_with("mail-") && taken.stdout.lines().count() == 1, "{taken:?}");
        until_settled(&hosts, &name);
        for host in &hosts {
            until(&name, || host.latest().as_deref() == Some(&name));
        }
        names.push(name);
    }
    let [a, b, c] = &hosts;
    let newest = names[1].as_str();
    let json = a.json(&["snapshot", "--json"]);
    assert_eq!(
        (json["outcome"].as_str(), json["mode"].as_str()),
        (Some("complete"), Some("hold-all"))
    );
    assert_eq!(json["members"].as_object().unwrap().len(), 3);
    let last = json["name"].as_str().unwrap();
    until_settled(&hosts, last);

    let list = b.must(&["list"]);
    let rows: Vec<Vec<&str>> = list.lines().map(|row| row.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAME", "VERDICT", "WHEN", "MEMBERS", "WHY"], "{list}");
    let shown: Vec<&str> = rows[1..].iter().map(|row| row[0]).collect();
    assert_eq!(shown, [names[0].as_str(), newest, last], "the oldest first: {list}");
    assert!(rows[1..].iter().all(|row| (row[1], row[3]) == ("complete", "3")), "{list}");
    let listed = b.json(&["list", "--json"]);
    assert_eq!(listed[2]["name"], last);
    assert_eq!(b.must(&["latest"]), format!("{last}\n"));
    assert_eq!(b.json(&["latest", "--json"])["name"], last);
    let recovered = c.run(&["recover"]);
    assert_eq!(recovered.code(), 0);
    assert!(recovered.stderr.ends_with("has its verdict: complete\n"), "{recovered:?}");
    assert_eq!(c.json(&["recover", "--json"])["outcome"], "complete");

    let text = c.must(&["status"]);
    let heads = ["HOST", "MEMBER", "AGENT", "GATE", "WRITERS", "INSIDE"];
    assert!(heads.iter().all(|head| text.lines().nth(1).unwrap().contains(head)), "{text}");
    assert_eq!(text.lines().filter(|line| line.contains("certified")).count(), 3, "{text}");
    let status = c.json(&["status", "--json"]);
    assert_eq!(status["group"], "mail");
    assert_eq!(status["epoch"], serde_json::Value::Null);
    for host in status["hosts"].as_array().unwrap() {
        assert_eq!(host["live"]["barriers"][0]["closed"], false, "{host}");
    }
    assert_eq!(status["epochs"].as_array().unwrap().len(), 3);

    for host in &mut hosts {
        let name = host.machine.name.clone();
        let left = host.run(&["leave"]);
        assert_eq!(
            (left.code(), left.stderr),
            (0, format!("stillpoint-cluster: {name} has left\n"))
        );
        let again = host.run(&["leave"]);
        assert_eq!(
            (again.code(), again.stderr),
            (0, format!("stillpoint-cluster: {name} is no member\n"))
        );
        host.until_said("is not in the roster");
    }
    hosts[1].run(&["snapshot"]).assert_refused(66, "no host has joined");
}

/// From the store, from the host itself, and from the host when the store is gone.
#[test]
fn what_is_complete_is_known_to_each_host_when_the_store_is_gone() {
    let Some(mut servers) = engine() else { return };
    let mut hosts = group(&servers, &["a", "b"]);
    // One keeps its manifests where nobody would look but for its configuration.
    let elsewhere = hosts[1].machine.path("elsewhere");
    let job = hosts[1].machine.path("jobs/mail.toml");
    let text = std::fs::read_to_string(&job).unwrap();
    std::fs::write(&job, format!("catalog = '{}'\n{text}", elsewhere.display())).unwrap();
    let name = hosts[0].must(&["snapshot"]);
    let manifest = elsewhere.join(format!("{}.json", name.trim_end()));
    until("its verdict", || {
        std::fs::read_to_string(&manifest)
            .is_ok_and(|text| text.contains("\"verdict\": \"complete\""))
    });
    until_settled(&hosts[..1], name.trim_end());
    until_idle(&hosts);
    // One that came to nothing, as one of them has no folder for it.
    let folder = hosts[1].machine.path("snapshots");
    std::fs::rename(&folder, hosts[1].machine.path("away")).unwrap();
    let failed = hosts[0].run(&["snapshot"]);
    assert!(![0, 70].contains(&failed.code()) && failed.stderr.contains("b: "), "{failed:?}");
    std::fs::rename(hosts[1].machine.path("away"), &folder).unwrap();
    for host in &hosts {
        assert_eq!(host.must(&["latest", "--local"]), name, "{}", host.machine.name);
    }
    servers.kill(0);
    for host in &mut hosts {
        let latest = host.run(&["latest"]);
        assert_eq!((latest.code(), latest.stdout.as_str()), (0, name.as_str()), "{latest:?}");
        assert!(
            latest.stderr.contains("this is what this host's own catalogue knows"),
            "{latest:?}"
        );
        let list = host.json(&["list", "--json", "--local"]);
        assert_eq!(list[0]["outcome"], "complete", "{list}");
        assert_eq!(host.json(&["latest", "--local", "--json"])["manifest"]["clean"], true);
    }
}
