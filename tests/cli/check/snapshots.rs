//! Snapshots: how old the newest may be, what became of those before it, and for how many more there is room.

use std::fs;

use serde_json::Value;

use super::{assert_says, check, state, write_program};
use crate::common::command::Place;
use crate::common::{Done, is_root, run, start};

/// As it is tried by hand before a job is made of it: not for ever what somebody has to look at.
#[test]
fn a_try_that_failed_ends_with_a_good_one_of_the_same_sources() {
    let place = Place::with_barrier();
    let catalog = place.path("catalog");
    for folder in ["store", "other", "to"] {
        fs::create_dir(place.path(folder)).unwrap();
    }
    let snapshot = |words: &str| {
        let words = format!("\"$S\" snapshot mail --min-open 0 --catalog catalog {words}");
        place.shell(&words).code()
    };
    // Of a source, and by a command, which has none.
    assert_ne!(snapshot("--name brief --hold 0.001 --copy store --to to"), 0);
    assert_ne!(snapshot("--name try -- sh -c 'exit 1'"), 0);
    assert_eq!(fs::read_dir(&catalog).unwrap().count(), 2, "both are recorded");
    assert_says(&check(&place, &["mail"]), "CRITICAL", &["there is no clean snapshot"]);
    assert_eq!(snapshot("--name other --hold 10 --copy other --to to"), 0);
    assert_eq!(state(&check(&place, &["mail"])), "CRITICAL", "of something else");
    assert_eq!(snapshot("--name job --label job --hold 10 --copy store --to to"), 0);
    assert_eq!(snapshot("--name dump --label job -- sh -c true"), 0);
    let done = check(&place, &["mail"]);
    for later in ["job", "dump"] {
        let what = format!("all of it failed, and {later} has the same since");
        assert_says(&done, "OK", &[&what]);
    }
    let exported = place.run(["status", "--prometheus", "--catalog", catalog.to_str().unwrap()]);
    let metric = "stillpoint_newest_clean_snapshot_timestamp_seconds{";
    let clean = exported.stdout.lines().filter(|line| line.starts_with(metric));
    let values: Vec<&str> = clean.map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert!(values.len() == 3 && values.iter().all(|value| *value != "0"), "{exported:?}");
    // A new failure of what was good is another matter.
    assert_ne!(snapshot("--name again --label job -- sh -c 'exit 1'"), 0);
    assert_says(&check(&place, &["mail"]), "WARNING", &["again failed"]);
}

#[test]
fn snapshots_that_are_old_failed_or_gone_are_found() {
    let place = Place::with_barrier();
    let catalog = place.path("catalog");
    let limits = ["--warn-age", "26h", "--critical-age", "50h", "mail"];
    assert_says(&check(&place, &limits), "CRITICAL", &["no snapshot was ever taken"]);
    assert_eq!(place.snapshot(&["--name", "a", "mail"]).code(), 0);
    let manifest = catalog.join("a.json");
    let taken = |hours: i64| {
        let mut value: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
        let time = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(hours);
        value["quiet"] = time.to_string().into();
        fs::write(&manifest, value.to_string()).unwrap();
    };
    for (hours, expected) in [(25, "OK"), (27, "WARNING"), (51, "CRITICAL")] {
        taken(hours);
        let done = check(&place, &limits);
        assert_says(&done, expected, &["the newest clean snapshot, a, is "]);
    }
    assert_eq!(state(&check(&place, &["mail"])), "OK", "nobody has said what is old");
    let failing = ["snapshot", "mail", "--min-open", "0", "--name", "b", "--catalog"];
    place.run([&failing[..], &[catalog.to_str().unwrap(), "--", "false"]].concat());
    assert_says(&check(&place, &["mail"]), "WARNING", &["b failed: "]);
    fs::remove_file(catalog.join("b.json")).unwrap();

    // Where no other test removes a file that somebody writes to.
    let apart = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = |name: &str| place.path(name).to_str().unwrap().to_owned();
    let (store, to) = (apart.path().join("store").to_str().unwrap().to_owned(), path("to"));
    fs::create_dir(&store).unwrap();
    fs::create_dir(&to).unwrap();
    let words = ["snapshot", "mail", "--min-open", "0", "--catalog", catalog.to_str().unwrap()];
    let copied = place.run([&words[..], &["--copy", &store, "--to", &to, "--hold", "9"]].concat());
    assert_eq!(copied.code(), 0, "{copied:?}");
    assert_says(&check(&place, &["mail"]), "OK", &["GiB free"]);
    fs::rename(&to, path("elsewhere")).unwrap();
    assert_says(&check(&place, &["mail"]), "CRITICAL", &["is not the folder that", "mounted?"]);
    fs::rename(path("elsewhere"), &to).unwrap();
    // Who writes there and does not take part.
    let mut stranger = place.program("sh");
    stranger.args(["-c", "exec 3>\"$0/x\"; echo up; exec sleep 60"]).arg(&store);
    let mut stranger = start(stranger);
    assert_eq!(stranger.line(), "up");
    assert_says(
        &check(&place, &["mail"]),
        "WARNING",
        &["sleep[", "writes here and is not stilled"],
    );
    drop(stranger);
    fs::remove_dir_all(&store).unwrap();
    assert_says(&check(&place, &["mail"]), "CRITICAL", &["store: is not there"]);
    fs::write(catalog.join("x|y.json"), "{").unwrap();
    let done = check(&place, &["mail"]);
    assert!(done.stdout.contains("x/y.json: is no manifest"), "{done:?}");
    state(&done);
}

/// The manifest of a snapshot, changed.
fn edit(place: &Place, name: &str, change: impl FnOnce(&mut Value)) {
    let file = place.path("catalog").join(format!("{name}.json"));
    let mut manifest = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    change(&mut manifest);
    fs::write(file, manifest.to_string()).unwrap();
}

/// With these programs in place of the machine's.
fn check_with(place: &Place, tools: &[(&str, &str)]) -> Done {
    let folder = place.path("tools");
    let _ = fs::create_dir(&folder);
    for (tool, script) in tools {
        write_program(&folder.join(tool), script);
    }
    let mut command = place.command(["check", "--catalog"]);
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    command.arg(place.path("catalog")).arg("nightly");
    run(command.env("PATH", path).env("STILLPOINT_JOBS", place.path("jobs.d")))
}

/// A run that did not come, and three of them, by the longest time between two.
#[test]
fn how_old_the_newest_may_be_is_known_from_the_schedule() {
    let place = Place::with_barrier();
    fs::create_dir(place.path("jobs.d")).unwrap();
    let job = |schedule: &str| {
        let text = format!(
            "barriers = ['mail']\n[snapshot]\ncommand = ['true']\n[schedule]\non-calendar = {schedule}\n"
        );
        fs::write(place.path("jobs.d/nightly.toml"), text).unwrap();
    };
    assert_eq!(place.snapshot(&["--name", "a", "--label", "nightly", "mail"]).code(), 0);
    let taken = |hours: i64| {
        let time = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(hours);
        edit(&place, "a", |manifest| manifest["quiet"] = time.to_string().into());
    };
    let cannot = [("systemd-analyze", "exit 1")];
    // Over the week-end, by a clock that is not UTC's.
    let week_end = "echo '    Next elapse: Fri 2026-11-27 02:00:00 CET'; echo '       (in UTC): Fri 2026-11-27 01:00:00 UTC'; echo '       Iter. #2: Mon 2026-11-30 02:00:00 CET'; echo '       (in UTC): Mon 2026-11-30 01:00:00 UTC'";
    let by_systemd = [("systemd-analyze", week_end)];
    for (schedule, tools, [fine, late, missing]) in
        [("'daily'", &cannot, [29, 31, 79]), ("'Mon..Fri 02:00'", &by_systemd, [89, 91, 235])]
    {
        job(schedule);
        for (hours, expected) in [(fine, "OK"), (late, "WARNING"), (missing, "CRITICAL")] {
            taken(hours);
            let done = check_with(&place, tools);
            assert_says(&done, expected, &["the newest clean snapshot, a, is "]);
        }
    }
    let done = check_with(&place, &cannot);
    assert_says(&done, "OK", &["UNSEEN", "cannot be read without systemd-analyze"]);
    // Who says it knows better.
    job("'daily'");
    let mut command = place.command(["check", "--warn-age", "300h", "--catalog"]);
    command.arg(place.path("catalog")).arg("nightly");
    let done = run(command.env("STILLPOINT_JOBS", place.path("jobs.d")));
    assert_says(&done, "OK", &["the newest clean snapshot, a, is "]);
}

/// A job whose last snapshot is made to look like another provider's.
fn with_snapshot(change: impl FnOnce(&mut Value)) -> Place {
    let place = Place::with_barrier();
    fs::create_dir(place.path("jobs.d")).unwrap();
    let text = "barriers = ['mail']\n[snapshot]\ncommand = ['true']\n";
    fs::write(place.path("jobs.d/nightly.toml"), text).unwrap();
    assert_eq!(place.snapshot(&["--name", "a", "--label", "nightly", "mail"]).code(), 0);
    edit(&place, "a", change);
    place
}

fn volume(manifest: &mut Value, provider: &str, name: &str, own: Option<u64>) {
    manifest["provider"] = provider.into();
    manifest["volumes"] = serde_json::json!([
        { "name": name, "partial": format!("{name}.0123456789abcdef.partial"), "kept": null }
    ]);
    manifest["size"] = serde_json::json!({ "bytes": 1, "files": null, "own_bytes": own });
}

#[test]
fn for_how_many_more_there_is_room_in_pools() {
    const GIB: u64 = 1 << 30;
    let says = |done: &Done, level: &str, parts: &[&str]| {
        let is_it = |line: &&str| parts.iter().all(|part| line.contains(part));
        let line = done.stdout.lines().find(is_it).unwrap_or_else(|| panic!("{parts:?}: {done:?}"));
        assert!(line.contains(level), "{level}: {line}");
    };
    let lvm = with_snapshot(|manifest| volume(manifest, "lvm", "vg/mail-a", Some(2 * GIB)));
    let lvs = |group: &str, own: &str, pool: &str| {
        format!(
            "case \"$*\" in *vg_free*) echo '  {group}';; *lv_size*) echo '  {pool}';; *) echo '  {own}';; esac"
        )
    };
    for (group, filled, level, parts) in [
        ("7516192768,107374182400,", ",10.00", "OK", ["vg has 7.0 GiB free", "room for 3 more"]),
        ("1073741824,107374182400,", ",10.00", "CRITICAL", ["room for 0 more", "2.00 GiB"]),
        ("7516192768,107374182400,", ",85.10", "WARNING", ["vg/mail-a is 85 % full", "lvextend"]),
        ("7516192768,107374182400,", ",100.00", "CRITICAL", ["vg/mail-a is 100 % full", ""]),
    ] {
        says(&check_with(&lvm, &[("lvs", &lvs(group, filled, ""))]), level, &parts);
    }
    let thin = with_snapshot(|manifest| volume(manifest, "lvm", "vg/mail-a", None));
    let of_pool = lvs("1073741824,107374182400,pool", "pool,", "10737418240,95.00");
    let parts = ["vg has 0.5 GiB free, 5 % of the thin pool pool", "is not known"];
    says(&check_with(&thin, &[("lvs", &of_pool)]), "WARNING", &parts);
    says(&check_with(&thin, &[("lvs", "exit 5")]), "UNSEEN", &["vg: how much room there is"]);

    let zfs = with_snapshot(|manifest| volume(manifest, "zfs", "tank/mail@a", None));
    let get = "case \"$6 $7\" in 'used tank/mail@a') echo 1048576;; 'available tank/mail') echo 10485760;; 'available tank') echo 20971520;; 'used tank') echo 20971520;; *) exit 1;; esac";
    let parts =
        ["tank/mail has 0.0 GiB free, 25 %; room for 10 more, as the last took up to 1.00 MiB"];
    says(&check_with(&zfs, &[("zfs", get)]), "OK", &parts);
}

#[test]
fn for_how_many_more_copies_there_is_room() {
    if !is_root() {
        return;
    }
    let place = Place::with_barrier();
    let folder = place.path("disk");
    fs::create_dir(&folder).unwrap();
    let _mounted = crate::common::Mounted::new("tmpfs", "size=8m", &folder);
    for name in ["store", "to"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    fs::write(folder.join("store/letter"), vec![b'x'; 1 << 20]).unwrap();
    let mut command =
        place.command(["snapshot", "mail", "--min-open", "0", "--hold", "9", "--name", "a"]);
    command.arg("--copy").arg(folder.join("store")).arg("--to").arg(folder.join("to"));
    assert_eq!(run(command.arg("--catalog").arg(place.path("catalog"))).code(), 0);
    let done = check(&place, &["mail"]);
    assert_says(&done, "OK", &["GiB free", "room for 6 more, as the last took up to 1.00 MiB"]);
    fs::write(folder.join("filler"), vec![b'x'; 5 << 20]).unwrap();
    assert_says(&check(&place, &["mail"]), "WARNING", &["room for 1 more", "stillpoint prune"]);
    fs::write(folder.join("filler2"), vec![b'x'; 3 << 18]).unwrap();
    assert_says(&check(&place, &["mail"]), "CRITICAL", &["room for 0 more"]);
}
