//! A wall clock that is wrong, or jumps in the middle of a snapshot: by libfaketime, for the command alone.
//! Every limit is counted on a clock that cannot, and nothing is old because of it.

use std::fs;
use std::process::Command;

use crate::common::faketime::{by_a_clock, library};
use crate::common::{Done, run};
use crate::scene::Scene;

/// `snapshot` with a clock that is off by what the file `clock` says, as it says it.
fn snapshot(scene: &Scene, words: &[&str]) -> Option<Command> {
    fs::write(scene.path("clock"), "+0").unwrap();
    let mut command = scene.stillpoint();
    command.args(["snapshot", "mail", "--min-open", "0"]).args(words);
    Some(by_a_clock(command, &library()?, &scene.path("clock")))
}

#[test]
fn it_is_complete_and_the_newest_whatever_the_clock_says() {
    let scene = Scene::new();
    for (name, jump) in [("first", "+0"), ("forward", "+3650d"), ("back", "-3650d")] {
        let script = format!("printf %s {jump} >{}", scene.path("clock").display());
        let words = ["--name", name, "--", "env", "-u", "LD_PRELOAD", "sh", "-c", &script];
        let Some(mut command) = snapshot(&scene, &words) else {
            return;
        };
        let done = run(&mut command);
        done.assert_code(0);
        let latest = run(scene.stillpoint().args(["latest", "--provider", "command"]));
        assert_eq!(latest.stdout, format!("{name}\n"));
    }
    let manifests = scene.manifests();
    let times = |name: &str| {
        let found = manifests.iter().find(|manifest| manifest["name"] == name).unwrap();
        let year = |field: &str| found[field].as_str().unwrap()[..4].parse::<i32>().unwrap();
        (year("ended") - year("began"), found["pause"]["pause_ms"].as_f64().unwrap())
    };
    // It did jump, and the pause was as long as it was.
    assert!(times("forward").0 >= 9 && times("back").0 <= -9, "{manifests:#?}");
    for name in ["forward", "back"] {
        assert!((0.0..30_000.0).contains(&times(name).1), "{name}");
    }
}

#[test]
fn the_hold_limit_stays_what_it_is() {
    for jump in ["+3650d", "-3650d"] {
        let scene = Scene::new();
        let script = format!("printf %s {jump} >{}; exec sleep 600", scene.path("clock").display());
        let words = ["--hold", "0.5", "--", "env", "-u", "LD_PRELOAD", "sh", "-c", &script];
        let Some(mut command) = snapshot(&scene, &words) else {
            return;
        };
        run(&mut command).assert_refused(124, "hold limit of 500.0 ms");
        scene.assert_writers_go_on();
        assert_eq!(scene.manifest()["status"], "revoked");
    }
}

/// A verb, by a wall clock that stands still there.
fn at(scene: &Scene, time: &str, words: &[&str]) -> Option<Done> {
    let mut command = scene.stillpoint();
    command.args(words).env("LD_PRELOAD", library()?).env("FAKETIME", time);
    Some(run(&mut command))
}

/// As the unit for systemd does it: a snapshot, then `prune`. Returns what that said.
fn take_and_prune(scene: &Scene, time: &str, name: &str) -> Option<String> {
    let (store, to) = (scene.path("store"), scene.path("snapshots"));
    let (store, to) = (store.to_str().unwrap(), to.to_str().unwrap());
    let take = ["snapshot", "mail", "--hold", "none", "--min-open", "0", "--name", name, "--copy"];
    at(scene, time, &[&take[..], &[store, "--to", to]].concat())?.assert_code(0);
    let pruned = at(scene, time, &["prune", "--keep-within", "14d", "mail"])?;
    assert_eq!((pruned.code(), pruned.stdout.as_str()), (0, ""), "{pruned:#?}");
    Some(pruned.stderr)
}

/// What one wrote that knew no clock but the wall's, or as in another start of the machine.
fn forget_the_machine(scene: &Scene, names: &[&str], clock: Option<&str>) {
    for name in names {
        scene.edit(name, |manifest| match clock {
            Some(boot) => manifest["clock"]["boot_id"] = boot.into(),
            None => drop(manifest.as_object_mut().unwrap().remove("clock")),
        });
    }
}

#[test]
fn a_clock_that_was_wrong_makes_no_snapshot_old() {
    let good = ["good-1", "good-2", "good-3"];
    for wrong in ["2038-01-19", "1971-01-01"] {
        for (machine, boot) in [(true, None), (false, Some("another")), (false, None)] {
            let scene = Scene::new();
            good.iter().for_each(|name| drop(scene.take(name)));
            if !machine {
                forget_the_machine(&scene, &good, boot);
            }
            // As many as would be most of them, if they were believed.
            for hour in 1..=5 {
                let time = format!("{wrong} 0{hour}:00:00");
                let Some(said) = take_and_prune(&scene, &time, &format!("wrong-{hour}")) else {
                    return;
                };
                assert!(said.contains("good-1 and 2 more are kept"), "{said}");
                assert!(said.contains("from good-3 (2026"), "{said}");
                assert!(said.contains(&format!("to wrong-1 ({}", &wrong[..4])), "{said}");
            }
            assert_eq!(scene.snapshots().len(), 8);
            // The clock is right again, and the newest is the newest.
            scene.take("right");
            let done = scene.verb(["prune", "--keep-within", "14d", "mail"]);
            assert_eq!((done.code(), done.stdout.as_str()), (0, ""), "{done:#?}");
            assert_eq!(scene.latest(&["mail"]).as_deref(), Some("right"));
            // By number, order decides, and it is as it was.
            let words = ["prune", "--keep", "2", "mail"];
            at(&scene, &format!("{wrong} 09:00:00"), &words).unwrap().assert_code(0);
            assert_eq!(scene.snapshots(), ["right", "wrong-5"]);
        }
    }
}

/// Ten of an earlier version, a day apart, and what their times alone are worth.
#[test]
fn most_of_a_series_goes_for_its_times_only_if_that_is_meant() {
    let scene = Scene::new();
    let names: Vec<String> = (10..20).map(|day| format!("day-{day}")).collect();
    for (name, day) in names.iter().zip(10..) {
        scene.take(name);
        scene.edit(name, |manifest| {
            manifest.as_object_mut().unwrap().remove("clock");
            for key in ["began", "quiet", "ended"] {
                manifest[key] = format!("2026-01-{day}T00:00:00.000Z").into();
            }
        });
    }
    let prune = |words: &[&str]| scene.verb([&["prune", "mail", "--keep-within"], words].concat());
    let said = "6 of 10 clean snapshots, day-10 to day-15, are old by the clock alone";
    prune(&["2d"]).assert_refused(65, said);
    assert_eq!(scene.snapshots(), names);
    let planned = prune(&["2d", "--dry-run"]);
    planned.assert_code(65);
    assert!(planned.stderr.contains(said) && planned.stdout.lines().count() == 6, "{planned:#?}");

    // A number supports the times, and fewer than most may be old.
    prune(&["2d", "--keep", "9"]).assert_code(0);
    assert_eq!(scene.snapshots(), names[1..]);
    prune(&["5d"]).assert_code(0);
    assert_eq!(scene.snapshots(), names[3..]);
    prune(&["1d", "--force"]).assert_code(0);
    assert_eq!(scene.snapshots(), names[7..]);
    prune(&["2"]).assert_refused(64, "expected a unit");
    prune(&["1m"]).assert_refused(64, "write min or mo");
}

#[test]
fn an_age_that_is_not_to_be_believed_is_marked() {
    let scene = Scene::new();
    ["a", "b", "c"].iter().for_each(|name| drop(scene.take(name)));
    scene.edit("b", |manifest| manifest["quiet"] = "2016-01-01T00:00:00.000Z".into());
    scene.edit("c", |manifest| manifest["quiet"] = "2116-01-01T00:00:00.000Z".into());
    let table = scene.verb(["list"]).stdout;
    let rows: Vec<&str> = table.lines().skip(1).collect();
    assert!(rows[0].contains("  copy ") && !rows[0].contains('?'), "{table}");
    assert!(rows[1].contains(" h ? ") && rows[2].contains("in the future"), "{table}");
}
