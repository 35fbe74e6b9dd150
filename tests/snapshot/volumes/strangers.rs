//! What is not ours is neither renamed nor destroyed, whatever a manifest says.

use std::fs;

use serde_json::Value;

use super::{SECOND_POOL_FAILS, System};
use crate::common::run;

#[test]
fn a_manifest_cannot_have_others_destroyed() {
    for system in System::each() {
        system.take("x", &[]).assert_code(0);
        let precious = system.made(system.origins()[0], "precious");
        let list = system.list();
        system.set_list(&format!("{list}{precious}\n"));
        let mut manifest = system.manifest();
        manifest["status"] = "begun".into();
        manifest["volumes"][0]["partial"] = precious.as_str().into();
        fs::write(system.scene.path("catalog/x.json"), manifest.to_string()).unwrap();
        system.take("y", &[]).assert_code(0);
        assert!(system.there().contains(&precious));
    }
}

/// As an earlier version began it: anybody could give that name.
#[test]
fn what_need_not_be_what_the_run_made_is_left_and_named() {
    for system in System::each() {
        let made = system.made(system.origins()[0], "x");
        system.take("x", &[]).assert_code(0);
        let stranger = format!("{made}.partial");
        system.scene.edit("x", |manifest| {
            manifest["status"] = "begun".into();
            manifest["volumes"][0]["partial"] = stranger.as_str().into();
            manifest["volumes"][0]["identity"] = Value::Null;
        });
        let list = system.list();
        system.set_list(&list.replace(&made, &stranger));
        let done = system.take("y", &[]);
        done.assert_code(0);
        assert!(done.stderr.contains(&format!("{stranger} is left, as nothing tells")), "{done:?}");
        assert!(system.there().contains(&stranger), "{:?}", system.there());
        assert_eq!(system.scene.manifests()[0]["status"], "failed");
    }
}

/// Somebody destroyed it and made another one of that name.
#[test]
fn what_has_the_name_of_a_snapshot_by_now_is_neither_renamed_nor_destroyed() {
    for system in System::each() {
        let made = system.made(system.origins()[0], "x");
        for status in ["complete", "certified"] {
            system.take("x", &[]).assert_code(0);
            let mut name = made.clone();
            system.scene.edit("x", |manifest| {
                manifest["status"] = status.into();
                if status == "certified" {
                    name = manifest["volumes"][0]["partial"].as_str().unwrap().to_owned();
                }
            });
            let list = system.list();
            system.set_list(&list.replace(&made, &name));
            let kind = if system.is_zfs() { "guid" } else { "uuid" };
            fs::write(system.state(&format!("{kind}-{}", name.replace('/', ":"))), "2").unwrap();
            system.take("y", &[]).assert_code(0);
            run(system.scene.stillpoint().args(["prune", "--keep", "1"])).assert_code(0);
            assert!(system.there().contains(&name), "{:?}", system.there());
            // Nothing else is left of it.
            system.set_list(&list.replace(&format!("{made}\n"), ""));
            let _ = fs::remove_file(system.scene.path("catalog/x.json"));
            fs::remove_file(system.scene.path("catalog/y.json")).unwrap();
        }
    }
}

/// The name of one that failed may be anybody's by now.
#[test]
fn pruning_the_record_of_a_failure_destroys_nothing_but_what_was_kept() {
    for system in System::each() {
        let [origin, _, three] = system.origins();
        system.trouble(system.taking, Some(SECOND_POOL_FAILS));
        let fail = |name: &str, options: &[&str]| {
            run(system.command(name, options).arg(three)).assert_code(73);
        };
        fail("gone", &[]);
        fail("kept", &["--keep-failed"]);
        // The last failure stays.
        fail("last", &[]);
        system.trouble(system.taking, None);
        let theirs = system.made(origin, "gone");
        let list = system.list();
        system.set_list(&format!("{list}{theirs}\n"));
        system.take("good", &[]).assert_code(0);
        let pruned = run(system.scene.stillpoint().args(["prune", "--keep", "1"]));
        pruned.assert_code(0);
        let mut expected = vec![theirs, system.made(origin, "good")];
        expected.sort();
        assert_eq!(system.there(), expected, "{pruned:?}");
    }
}
