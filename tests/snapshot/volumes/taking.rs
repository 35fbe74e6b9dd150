//! Snapshots that succeed, and what is said of them.

use std::fs;

use serde_json::Value;

use super::System;
use crate::common::run;

#[test]
fn it_is_made_under_another_name_and_gets_its_own_with_the_certificate() {
    for system in System::each() {
        let [origin, ..] = system.origins();
        let done = system.take("daily", &[]);
        done.assert_code(0);
        let name = system.made(origin, "daily");
        let shown = if system.is_zfs() { name.clone() } else { format!("/dev/{name}") };
        assert_eq!(done.stdout, format!("{shown}\n"));
        assert_eq!(system.there(), [name.as_str()]);
        let calls = fs::read_to_string(system.state("calls")).unwrap();
        assert!(
            calls.contains(system.manifest()["volumes"][0]["partial"].as_str().unwrap())
                || calls.contains("-n mail-daily."),
            "{calls}"
        );
        let manifest = system.manifest();
        assert_eq!(manifest["status"], "complete");
        assert_eq!(manifest["clean"], true);
        assert_eq!(manifest["volumes"][0]["name"], name);
        assert_eq!(manifest["path"], Value::Null);
        let (bytes, own) = match system.is_zfs() {
            true => (2048, Value::Null),
            false => (4096, (64 << 20).into()),
        };
        assert_eq!(
            (&manifest["size"]["bytes"], &manifest["size"]["own_bytes"]),
            (&bytes.into(), &own)
        );
        system.take("daily", &[]).assert_refused(73, "daily");
    }
}

#[test]
fn several_are_of_one_moment() {
    for system in System::each() {
        let [one, two, three] = system.origins();
        let mut command = system.command("daily", &[]);
        let done = run(command.args([two, three]));
        done.assert_code(0);
        let mut made = [one, two, three].map(|origin| system.made(origin, "daily"));
        made.sort();
        assert_eq!(system.there(), made);
        assert_eq!(done.stdout.lines().count(), 3);
        assert_eq!(system.scene.status("mail")["stats"]["pauses"], 1);
        let manifest = system.manifest();
        let token = manifest["volumes"][0]["partial"].as_str().unwrap().rsplit('.').nth(1).unwrap();
        let calls = fs::read_to_string(system.state("calls")).unwrap();
        let calls = calls.replace(&format!("daily.{token}.partial"), "daily.partial");
        if system.is_zfs() {
            // One call for each pool.
            assert!(
                calls.contains("zfs snapshot tank/mail@daily.partial tank/home@daily.partial\n"),
                "{calls}"
            );
            assert!(calls.contains("zfs snapshot dozer/mail@daily.partial\n"), "{calls}");
        } else {
            assert!(calls.contains("-n mail-daily.partial -L 67108864b vg/mail\n"), "{calls}");
            assert!(calls.contains("-n thin-daily.partial -kn vg/thin\n"), "{calls}");
        }
    }
}

#[test]
fn the_list_and_its_verbs_know_them() {
    for system in System::each() {
        let [origin, ..] = system.origins();
        for name in ["one", "two", "three"] {
            system.take(name, &[]).assert_code(0);
        }
        let verb = |words: &[&str]| run(system.scene.stillpoint().args(words));
        if system.is_zfs() {
            assert_eq!(verb(&["latest"]).stdout, "tank/mail@three\n");
            let script = r#"echo "$STILLPOINT_SNAPSHOT_PATH""#;
            let used = verb(&["use", "--latest", "--", "sh", "-c", script]);
            assert_eq!(used.stdout, "tank/mail@three\n");
            let pruned = verb(&["prune", "--keep", "1"]);
            pruned.assert_code(0);
            assert_eq!(pruned.stdout.lines().next(), Some("removed tank/mail@one"));
            assert_eq!(system.there(), [system.made(origin, "three")]);
        } else {
            // There is no device: to us they look like volumes that somebody has removed.
            verb(&["latest"]).assert_code(66);
        }
        let list = verb(&["list"]);
        assert!(list.stdout.contains(&system.made(origin, "three")), "{list:?}");
    }
}

#[test]
fn a_dry_run_and_json() {
    for system in System::each() {
        let dry = system.take("x", &["--dry-run", "--json"]);
        dry.assert_code(0);
        let report: Value = serde_json::from_str(&dry.stdout).unwrap();
        assert_eq!(report["status"], "planned");
        assert_eq!(report["volumes"][0]["name"], system.made(system.origins()[0], "x"));
        assert_eq!(system.there(), [""; 0]);
        assert_eq!(system.scene.generation(), 0);
    }
}
