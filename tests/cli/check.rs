//! `check`: what is wrong is found, and said as a plug-in of Nagios says it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::common::command::Place;
use crate::common::{Done, is_root, programs, run, start, until};

/// Its first line is that of a plug-in, and so is its exit status.
#[track_caller]
fn state(done: &Done) -> &str {
    let first = done.stdout.lines().next().unwrap_or_else(|| panic!("{done:?}"));
    let state = first.strip_prefix("STILLPOINT ").unwrap().split(" - ").next().unwrap();
    let states = ["OK", "WARNING", "CRITICAL", "UNKNOWN"];
    let code = states.iter().position(|one| *one == state).unwrap();
    assert_eq!(done.code(), code as i32, "{done:?}");
    for line in done.stdout.lines().skip(1) {
        assert!(!line.contains('|'), "numbers begin there: {line}");
        let level = line.split(": ").next().unwrap();
        assert!(states.contains(&level) || level == "UNSEEN", "{line}");
    }
    state
}

#[track_caller]
fn assert_says(done: &Done, expected: &str, parts: &[&str]) {
    assert_eq!(state(done), expected, "{done:?}");
    let line = done.stdout.lines().find(|line| parts.iter().all(|part| line.contains(part)));
    let line = line.unwrap_or_else(|| panic!("no line with {parts:?} in {done:?}"));
    let is_worst = line.starts_with("STILLPOINT ") || line.starts_with(&format!("{expected}: "));
    assert!(is_worst || expected == "OK", "{line}");
}

/// With the catalogue of this place.
fn check(place: &Place, words: &[&str]) -> Done {
    let catalog = place.path("catalog");
    if !catalog.exists() {
        fs::create_dir(&catalog).unwrap();
    }
    place.run([&["check", "--catalog", catalog.to_str().unwrap()], words].concat())
}

#[test]
fn a_barrier_that_is_well_stays_as_it_is() {
    let place = Place::with_barrier();
    assert_eq!(place.snapshot(&["mail"]).code(), 0);
    let before =
        (place.status(), place.saved(), fs::metadata(place.barrier()).unwrap().modified().unwrap());
    let done = check(&place, &["--warn-age", "1h", "--critical-age", "2h", "mail"]);
    assert_says(
        &done,
        "OK",
        &["1 barrier, nothing wrong | 'writers", "'age command'=0s;3600;7200;0"],
    );
    assert_says(&done, "OK", &["mail.state is its own"]);
    let after =
        (place.status(), place.saved(), fs::metadata(place.barrier()).unwrap().modified().unwrap());
    assert_eq!(before, after);
    let done = check(&place, &["--json"]);
    let object: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&object["level"], &object["exit"]), (&"ok".into(), &0.into()));
    assert!(object["findings"].as_array().unwrap().len() > 3, "{object}");
}

#[test]
fn what_cannot_be_asked_is_unknown() {
    let place = Place::with_barrier();
    for words in [&["--bogus"][..], &["--warn-age", "3"], &["--json", "--json=x"]] {
        let done = check(&place, words);
        assert_eq!((done.code(), done.stdout.as_str()), (3, ""), "{done:?}");
        assert!(!done.stderr.is_empty());
    }
    fs::remove_dir(place.path("catalog")).unwrap();
    fs::write(place.path("catalog"), "").unwrap();
    assert_says(&check(&place, &["mail"]), "UNKNOWN", &["catalog: cannot be read"]);
    fs::remove_file(place.path("catalog")).unwrap();
    let gone = place.run(["check", "--catalog", place.path("catalog").to_str().unwrap(), "mail"]);
    assert_says(&gone, "WARNING", &["catalog: is not there"]);
    assert_eq!(place.run(["retire", "mail"]).code(), 0);
    assert_says(&check(&place, &[]), "UNKNOWN", &["there are no barriers in", "stillpoint create"]);
}

#[test]
fn a_barrier_that_is_missing_or_another_one_is_critical() {
    let place = Place::with_barrier();
    assert_says(&check(&place, &["nothing"]), "CRITICAL", &["stillpoint create nothing"]);
    let writer = place.hold(&["-s"]);
    let aside = place.path("aside");
    fs::rename(place.barrier(), &aside).unwrap();
    // Nobody has named it: its state says that it should be there.
    assert_says(&check(&place, &[]), "CRITICAL", &["mail.barrier", "in use, without any effect"]);
    fs::rename(&aside, place.barrier()).unwrap();
    assert_says(&check(&place, &[]), "OK", &["who takes part: 1 x stillpoint (sh)"]);
    // Killed inside.
    drop(writer);
    assert_eq!(place.run(["recover", "mail", "--acknowledge"]).code(), 0);

    let saved = fs::read_to_string(place.state()).unwrap();
    let mut state: Value = serde_json::from_str(&saved).unwrap();
    state["uuid"] = "0123456789abcdef0123456789abcdef".into();
    fs::write(place.state(), state.to_string()).unwrap();
    assert_says(&check(&place, &[]), "CRITICAL", &["the state of another barrier"]);
    fs::remove_file(place.state()).unwrap();
    assert_says(&check(&place, &["mail"]), "WARNING", &["mail.state is not there", "create"]);
}

#[test]
fn a_lost_writer_is_critical_until_somebody_has_looked() {
    let place = Place::with_barrier();
    place.lose("imapd");
    assert_says(
        &check(&place, &[]),
        "CRITICAL",
        &["lost inside", "imapd", "recover --acknowledge"],
    );
    assert_eq!(place.run(["recover", "mail", "--acknowledge"]).code(), 0);
    assert_eq!(state(&check(&place, &[])), "OK");
}

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

#[test]
fn a_barrier_on_a_disk_is_a_warning() {
    let place = Place::new();
    let folder = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("x.barrier");
    let path = path.to_str().unwrap();
    assert_eq!(place.run(["create", path]).code(), 0);
    assert_says(&check(&place, &[path]), "WARNING", &["lies on a disk", "tmpfs"]);
}

/// A daemon goes on with the file that it was started with.
#[test]
fn a_library_that_was_replaced_is_found_where_it_runs() {
    let place = Place::with_barrier();
    let library = place.path("libstillpoint_adopt.so");
    fs::copy(programs().join("libstillpoint_adopt.so"), &library).unwrap();
    // On another file system than the barrier.
    let store = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (barrier, settings) = (place.barrier(), place.path("adopt.conf"));
    let text = format!("barrier {}\nprotect {}\n", barrier.display(), store.path().display());
    fs::write(&settings, text).unwrap();
    let mut program = place.program("flock");
    program.arg(store.path().join("lock")).args(["sh", "-c", "echo up; exec sleep 60"]);
    program.env("LD_PRELOAD", &library).env("STILLPOINT_ADOPT_CONFIG", &settings);
    let mut running = start(program);
    assert_eq!(running.line(), "up");
    let name = format!("flock[{}]", running.pid);
    let of_it = |done: &Done| done.stdout.lines().any(|line| line.contains(&name));
    assert!(!of_it(&check(&place, &["mail"])));
    fs::remove_file(&library).unwrap();
    let done = check(&place, &["mail"]);
    assert_says(&done, "WARNING", &[&name, "was replaced since; start it again"]);
}

/// A job: its file, its last run, and its timer, by a systemd that answers, and by one that hangs.
#[test]
fn a_job_is_looked_at_with_its_barriers_and_its_timer() {
    if !is_root() {
        return;
    }
    let place = Place::with_barrier();
    let (jobs, tools) = (place.path("jobs.d"), place.path("tools"));
    fs::create_dir(&jobs).unwrap();
    fs::create_dir(&tools).unwrap();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let with_systemctl = |script: &str| {
        write_program(&tools.join("systemctl"), script);
        let mut command = place.program("unshare");
        command.args(["-m", "sh", "-ec"]);
        let script =
            "mount -t tmpfs none /run; mkdir -p /run/systemd/system; exec \"$S\" check nightly";
        command.arg(script).env("PATH", &path).env("STILLPOINT_JOBS", &jobs);
        run(command.env("STILLPOINT_CATALOG", place.path("catalog")))
    };
    let job = |text: &str| fs::write(jobs.join("nightly.toml"), text).unwrap();
    job("barriers = [\"mail\"]\n[snapshot]\ncommand = [\"true\"]\n");
    let active = "echo ActiveState=active";
    let done = with_systemctl(active);
    assert_says(&done, "OK", &["stillpoint-job@nightly.timer is active"]);
    assert_says(&done, "OK", &["nightly: was never run"]);
    assert_says(&done, "OK", &["mail.barrier: is there"]);
    let inactive = "echo ActiveState=inactive";
    assert_says(&with_systemctl(inactive), "WARNING", &["is not active: systemctl enable --now"]);
    assert_says(&with_systemctl("exec sleep 600"), "OK", &["UNSEEN", "does not answer"]);
    job("barriers = [\"mail\"]\n[snapshot]\ncommand = [\"true\"]\nbogus = 1\n");
    assert_says(&with_systemctl(active), "CRITICAL", &["nightly", "bogus"]);
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

/// Who sees less is told less, and nothing is held against anybody.
#[test]
fn who_sees_little_is_told_so() {
    use std::os::unix::fs::PermissionsExt;
    if !is_root() {
        return;
    }
    let place = Place::with_barrier();
    assert_eq!(place.snapshot(&["--name", "a", "mail"]).code(), 0);
    let open = |path: &Path| {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let folders = [place.barrier(), place.state(), place.path("catalog/a.json")];
    for path in folders.iter().flat_map(|file| file.ancestors().skip(1).take(2)) {
        open(path);
    }
    let program = place.path("stillpoint");
    fs::copy(crate::common::STILLPOINT, &program).unwrap();
    let words = |command: &mut std::process::Command| {
        command.args(["check", "--catalog"]).arg(place.path("catalog")).arg("mail");
        command.env("STILLPOINT_JOBS", place.path("jobs.d"));
    };
    // Nobody may read the barrier but its group.
    let mut nobody = place.program("setpriv");
    nobody.args(crate::common::as_user(crate::common::NOBODY, crate::common::NOBODY)).arg(&program);
    words(&mut nobody);
    assert_says(&run(&mut nobody), "UNKNOWN", &["mail.barrier", "ermission"]);
    fs::set_permissions(place.barrier(), fs::Permissions::from_mode(0o666)).unwrap();
    assert_says(&run(&mut nobody), "OK", &["UNSEEN", "root may"]);
    // A container: root of nothing but itself, with its own processes.
    let mut container = place.program("unshare");
    container.args(["--user", "--map-root-user", "--pid", "--mount-proc", "--fork"]).arg(&program);
    words(&mut container);
    assert_says(&run(&mut container), "OK", &["mail.barrier: is there, in memory"]);
}

fn write_program(path: &Path, script: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn without_proc_it_says_so() {
    if !is_root() {
        return;
    }
    let place = Place::with_barrier();
    let mut command = place.program("unshare");
    command.args(["-m", "sh", "-ec", "mount -t tmpfs none /proc; exec \"$S\" check mail"]);
    command.env("STILLPOINT_CATALOG", place.path("catalog"));
    let done = run(command);
    assert_says(&done, "OK", &["UNSEEN", "without /proc"]);
}

/// A job that cannot be run, was never run, or was cut short, and one whose catalogue is gone.
#[test]
fn a_job_is_held_to_what_it_names_and_to_its_last_run() {
    let place = Place::with_barrier();
    let jobs = place.path("jobs.d");
    let apart = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (store, to) = (apart.path().join("store"), place.path("to"));
    let catalog = place.path("catalog");
    for folder in [&jobs, &store, &catalog] {
        fs::create_dir(folder).unwrap();
    }
    let job = |more: &str| {
        let text = format!(
            "barriers = [\"mail\"]\ncatalog = {catalog:?}\n[snapshot]\ncopy = {store:?}\nto = {to:?}\n[limits]\nhold = 9\n{more}"
        );
        fs::write(jobs.join("nightly.toml"), text).unwrap();
    };
    let settings = place.path("adopt.conf");
    let words = |words: &[&str]| {
        let mut command = place.command(words);
        run(command.env("STILLPOINT_JOBS", &jobs).env("STILLPOINT_ADOPT_CONFIG", &settings))
    };
    let look = |more: &[&str]| words(&[&["check"], more, &["nightly"]].concat());
    job("");
    assert_says(&look(&[]), "CRITICAL", &["to is not there; is it mounted?"]);
    fs::create_dir(&to).unwrap();
    // The barrier has snapshots, which others have taken.
    assert_eq!(place.snapshot(&["mail"]).code(), 0);
    assert_says(&look(&[]), "OK", &["nightly: was never run"]);
    let judged = look(&["--critical-age", "50h"]);
    assert_says(&judged, "CRITICAL", &["nightly: has never taken a snapshot"]);

    fs::write(&settings, "barrier another\nprotect /\n").unwrap();
    job(&format!("[others]\nadopted = [{store:?}]\n"));
    let done = words(&["job", "check", "nightly"]);
    assert_eq!(done.code(), 69, "{done:?}");
    assert!(!done.stdout.contains("could be run"), "{done:?}");
    assert_says(&look(&[]), "CRITICAL", &["nightly: --adopted: ", "adopt.conf"]);
    // Nobody is adopted, which a job that counts on it would say every night.
    fs::remove_file(&settings).unwrap();
    let done = look(&[]);
    assert_says(&done, "WARNING", &["nightly: --adopted: ", "do not wait"]);
    assert_eq!(done.stderr, "", "{done:?}");
    job("");

    assert_eq!(words(&["job", "run", "nightly"]).code(), 0);
    assert_says(&look(&["--critical-age", "50h"]), "OK", &["its last run went well"]);
    let record = place.state().with_file_name("jobs").join("nightly.json");
    let mut cut: Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    (cut["ended"], cut["exit"]) = (Value::Null, Value::Null);
    fs::write(&record, cut.to_string()).unwrap();
    assert_says(&look(&[]), "WARNING", &["nightly: its last run", "was cut short"]);
    fs::rename(&catalog, place.path("elsewhere")).unwrap();
    assert_says(&look(&[]), "CRITICAL", &["catalog: is not there, and job nightly has written"]);
}

/// What the job has beside the barrier is what its next snapshot has.
#[test]
fn who_is_adopted_is_stilled_where_his_locks_are_waited_for() {
    let place = Place::with_barrier();
    let store = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (settings, to) = (place.path("adopt.conf"), place.path("to"));
    let text =
        format!("barrier {}\nprotect {1}\n", place.barrier().display(), store.path().display());
    fs::write(&settings, text).unwrap();
    fs::create_dir(&to).unwrap();
    let mut program = place.program("flock");
    program.arg(store.path().join("lock")).args([
        "sh",
        "-c",
        "exec 3>\"$0/x\"; echo up; exec sleep 60",
    ]);
    program.arg(store.path());
    program.env("LD_PRELOAD", programs().join("libstillpoint_adopt.so"));
    let mut running = start(program.env("STILLPOINT_ADOPT_CONFIG", &settings));
    assert_eq!(running.line(), "up");
    let catalog = place.path("catalog");
    let mut words = vec!["snapshot", "mail", "--hold", "9", "--min-open", "0"];
    words.extend(["--catalog", catalog.to_str().unwrap(), "--to", to.to_str().unwrap()]);
    words.extend(["--copy", store.path().to_str().unwrap()]);
    assert_eq!(place.run(&words).code(), 0);
    let newest = fs::read_dir(&catalog).unwrap().next().unwrap().unwrap().path();
    let manifest: Value = serde_json::from_slice(&fs::read(newest).unwrap()).unwrap();
    assert_eq!(manifest["covered"], false, "{manifest}");
    let done = check(&place, &["mail"]);
    assert_says(&done, "WARNING", &["not covered: ", "--adopted"]);
}

/// It is the next tool that calls him lost, and until then there may be days.
#[test]
fn a_writer_that_is_gone_while_inside_is_critical_before_any_tool_has_met_him() {
    let place = Place::with_barrier();
    place.run(["run", "-s", "--label", "imapd", "mail", "sh", "-c", "kill -KILL $PPID"]);
    until("nobody of it is left", || place.status()["dirty"]["uncounted"] == 1);
    assert_says(&check(&place, &["mail"]), "CRITICAL", &["lost inside (", "(imapd) last"]);
    assert_eq!(place.run(["run", "-x", "mail", "true"]).code(), 0);
    assert_eq!(place.dirty_epoch(), 1, "he is not counted twice");
    // One of whom nobody asked to be watched is not lost.
    assert_eq!(place.run(["recover", "mail", "--acknowledge"]).code(), 0);
    let killed = ["run", "-s", "-F", "mail", "sh", "-c", "kill -KILL $$"];
    place.run(killed);
    assert_eq!(place.status()["dirty"]["uncounted"], 0);
    assert_says(&check(&place, &["mail"]), "OK", &["nothing wrong"]);
}

/// As after a restart of the machine, when nobody has made it again.
#[test]
fn snapshots_under_a_barrier_that_is_gone_are_looked_at_all_the_same() {
    let place = Place::with_barrier();
    assert_eq!(place.run(["create", "other"]).code(), 0);
    assert_eq!(place.snapshot(&["--name", "a", "mail"]).code(), 0);
    assert_eq!(place.run(["retire", "mail"]).code(), 0);
    let done = check(&place, &[]);
    assert_says(&done, "WARNING", &["mail.barrier: is not there, and snapshots were taken"]);
    assert!(done.stdout.contains("the newest clean snapshot, a, is"), "{done:?}");
    let catalog = place.path("catalog");
    let words = ["status", "--prometheus", "--catalog", catalog.to_str().unwrap()];
    let newest = |report: Done| {
        let is_it = |line: &&str| {
            line.starts_with("stillpoint_newest_clean") && line.contains("mail.barrier")
        };
        assert_eq!(report.code(), 0, "{report:?}");
        report.stdout.lines().filter(is_it).count()
    };
    assert_eq!(newest(place.run(words)), 1);
    assert_eq!(newest(place.run([&words[..], &["other"]].concat())), 0);
}

#[test]
fn a_source_that_is_not_mounted_is_critical() {
    if !is_root() {
        return;
    }
    let place = Place::with_barrier();
    let mut command = place.program("unshare");
    command.args(["-m", "sh", "-ec"]).arg(
        "mkdir store to
         mount -t tmpfs x store; echo hi >store/a
         \"$S\" snapshot mail --copy $PWD/store --to $PWD/to --hold 9 >/dev/null
         \"$S\" check mail >/dev/null
         umount store
         \"$S\" check mail",
    );
    let done = run(command.env("STILLPOINT_CATALOG", place.path("catalog")));
    assert_says(&done, "CRITICAL", &["store is ", "and was / of tmpfs x", "is it mounted?"]);
}

/// Two of them in one folder, and one that may not be read.
#[test]
fn a_number_has_one_label_and_what_is_not_known_is_not_said() {
    let place = Place::with_barrier();
    let apart = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (store, to) = (apart.path().join("store"), place.path("to"));
    let catalog = place.path("catalog");
    fs::create_dir(&store).unwrap();
    fs::create_dir(&to).unwrap();
    let path = |path: &std::path::PathBuf| path.to_str().unwrap().to_owned();
    let (store, to, folder) = (path(&store), path(&to), path(&catalog));
    for label in ["x", "y"] {
        let words = ["snapshot", "mail", "--min-open", "0", "--hold", "9", "--label", label];
        let where_to = ["--catalog", &folder, "--copy", &store, "--to", &to];
        assert_eq!(place.run([&words[..], &where_to].concat()).code(), 0);
    }
    let done = check(&place, &["mail"]);
    assert_eq!(done.stdout.matches(&format!("'free {to}'=")).count(), 1, "{done:?}");
    fs::rename(&catalog, place.path("elsewhere")).unwrap();
    fs::write(&catalog, "").unwrap();
    let done = check(&place, &["--critical-age", "1h", "mail"]);
    assert_says(&done, "UNKNOWN", &["catalog: cannot be read"]);
    assert!(!done.stdout.contains("no snapshot was ever taken"), "{done:?}");
}
