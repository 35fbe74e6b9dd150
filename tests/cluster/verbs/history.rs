//! `list` and `latest`, of a store that answers, of one that does not, and of a host whose part is not what it was.

use std::fs;

use super::site::{Host, engine, group};

/// The row of this snapshot, cell by cell, and all that stands behind the members.
fn row(table: &str, name: &str) -> (Vec<String>, String) {
    let line = table.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| {
        panic!("no {name}: {table}");
    });
    let cells: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let why = cells.iter().skip(4).cloned().collect::<Vec<_>>().join(" ");
    (cells, why)
}

#[test]
fn a_part_that_is_gone_is_named_by_nobody_and_one_that_is_not_clean_is_told() {
    let Some(servers) = engine() else { return };
    let hosts = group(&servers, &["a", "b"]);
    let [a, b] = &hosts[..] else { panic!() };
    let names: Vec<String> = (0..3).map(|_| a.must(&["snapshot"]).trim_end().to_owned()).collect();
    let list = a.must(&["list", "--local"]);
    for name in &names {
        let (cells, why) = row(&list, name);
        assert_eq!((cells[1].as_str(), cells[3].as_str(), why.as_str()), ("complete", "2", ""));
        assert!(cells[2].starts_with("20") && cells[2].ends_with('Z'), "when: {list}");
    }
    fs::remove_dir_all(a.machine.path("snapshots").join(&names[2])).unwrap();
    let latest = a.run(&["latest", "--local"]);
    assert_eq!((latest.code(), latest.stdout.trim_end()), (0, names[1].as_str()), "{latest:?}");
    let said = format!("{}: this host's part is gone", names[2]);
    assert!(latest.stderr.contains(&said), "{latest:?}");
    assert_eq!(row(&a.must(&["list", "--local"]), &names[2]).1, "this host's part is gone");
    assert_eq!(b.must(&["latest", "--local"]).trim_end(), names[2]);
    assert_eq!(a.json(&["latest", "--local", "--json"])["name"], names[1].as_str());
    for name in &names[..2] {
        fs::remove_dir_all(a.machine.path("snapshots").join(name)).unwrap();
    }
    a.run(&["latest", "--local"])
        .assert_refused(66, "no epoch is complete whose part is here (3 whose part is gone)");

    // A writer of b was lost, which nobody has looked at.
    let mut lost = std::process::Command::new(crate::child::machine::stillpoint());
    lost.args(["run", "-s", &b.machine.barrier(), "sh", "-c", "kill -KILL $$"]);
    b.surround(&mut lost);
    crate::common::process::run(lost).assert_code(137);
    let doubtful = a.run(&["snapshot"]);
    doubtful.assert_code(0);
    assert!(doubtful.stderr.contains("b: its part is not clean: "), "{doubtful:?}");
    let name = doubtful.stdout.trim_end();
    for table in [a.must(&["list"]), b.must(&["list"])] {
        assert!(row(&table, name).1.starts_with("b: its part is not clean: "), "{table}");
    }
    assert!(row(&b.must(&["list", "--local"]), name).1.contains("is not clean: "));
    assert_eq!(row(&a.must(&["list", "--local"]), name).1, "");
    for (host, words) in [(a, &["latest"][..]), (b, &["latest", "--local"])] {
        let latest = host.run(words);
        assert_eq!((latest.code(), latest.stdout.trim_end()), (0, name), "{latest:?}");
        assert!(latest.stderr.contains("part is not clean: "), "{latest:?}");
    }
    assert_eq!(a.run(&["latest", "--local"]).stderr, "");
}

/// What a store would have said is not known: that is no reason to say that there is nothing.
#[test]
fn without_a_store_who_knows_nothing_says_that() {
    let Some(mut servers) = engine() else { return };
    let hosts = group(&servers, &["a"]);
    let outside = Host::new(&servers, "z", "");
    let text = fs::read_to_string(outside.configuration()).unwrap();
    fs::write(outside.configuration(), text.replace("job = 'mail'\n", "")).unwrap();
    let name = hosts[0].must(&["snapshot"]);
    assert_eq!(outside.must(&["latest"]), name);
    let late = Host::new(&servers, "late", "");
    servers.kill(0);
    for words in [&["latest"][..], &["list"], &["latest", "--json"], &["list", "--json"]] {
        outside.run(words).assert_refused(69, "no answer from the store");
    }
    // It has a catalogue, with nothing of the group in it.
    late.run(&["latest"]).assert_refused(69, "no answer from the store");
    let list = late.run(&["list"]);
    assert!(list.code() == 0 && list.stderr.contains("own catalogue knows"), "{list:?}");
    late.run(&["latest", "--local"]).assert_refused(66, "no epoch is complete");
    assert_eq!(hosts[0].must(&["latest"]), name);
    // Its job is not there.
    fs::remove_file(late.machine.path("jobs/mail.toml")).unwrap();
    for words in [&["latest"][..], &["list"]] {
        late.run(words).assert_refused(69, "no answer from the store");
    }
}
