//! `--metrics-textfile`, and what the journal is told.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use crate::common::{STILLPOINT, names, run};
use crate::scene::Scene;

/// The value of a sample.
fn value(text: &str, sample: &str) -> Option<f64> {
    let line =
        text.lines().find(|line| line.split_once(' ').is_some_and(|(name, _)| name == sample))?;
    Some(line.split_once(' ').unwrap().1.parse().unwrap())
}

#[test]
fn each_run_leaves_its_metrics() {
    let scene = Scene::new();
    let folder = scene.path("collector");
    fs::create_dir(&folder).unwrap();
    let file = folder.join("mail.prom");
    let take = |name: &str, script: &str| {
        let mut command = scene.stillpoint();
        command.args(["snapshot", "mail", "--min-open", "0", "--name", name, "--metrics-textfile"]);
        let done = run(command.arg(&file).args(["--", "sh", "-c", script]));
        assert_eq!(names(&folder), ["mail.prom"], "nothing else that a collector might read");
        (done, fs::read_to_string(&file).unwrap())
    };
    let labels =
        format!("{{barrier=\"{}\",provider=\"command\"}}", scene.barrier_file("mail").display());
    let sample = |name: &str| format!("stillpoint_snapshot_last_{name}{labels}");
    let success = sample("success_timestamp_seconds");

    let (done, text) = take("x", "exit 0");
    done.assert_code(0);
    assert_eq!(value(&text, &sample("exit_status")), Some(0.0), "{text}");
    assert_eq!(value(&text, &sample("clean")), Some(1.0));
    assert_eq!(value(&text, &sample("attempts")), Some(1.0));
    let pause = value(&text, &sample("pause_seconds")).unwrap();
    let drain = value(&text, &sample("drain_seconds")).unwrap();
    assert!(pause > 0.0 && pause < 30.0 && drain <= pause, "{text}");
    let taken = value(&text, &success).unwrap();
    assert!(value(&text, &sample("run_timestamp_seconds")).unwrap() >= taken);
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o644);

    // An alert on the age of the newest clean one must see through runs that fail.
    let (done, text) = take("y", "exit 7");
    done.assert_code(7);
    assert_eq!(value(&text, &sample("exit_status")), Some(7.0));
    assert_eq!(value(&text, &sample("clean")), Some(0.0));
    assert_eq!(value(&text, &success), Some(taken));
    assert!(!text.contains("stillpoint_newest"), "that is for `status` to tell: {text}");
}

/// The collector is another user's, whatever umask the timer's unit or the crontab has set.
#[test]
fn the_collector_may_read_them_whatever_the_umask() {
    let scene = Scene::new();
    let file = scene.path("x.prom");
    let mut command = scene.environment(Command::new("sh"));
    command.args(["-c", "umask 077; exec \"$@\"", "sh", STILLPOINT]);
    command.args(["snapshot", "mail", "--metrics-textfile"]).arg(&file).args(["--", "true"]);
    run(&mut command).assert_code(0);
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o644);
}

/// What a good run left would otherwise go on saying that all is well.
#[test]
fn a_run_that_was_refused_leaves_its_metrics_too() {
    let scene = Scene::new();
    let file = scene.path("x.prom");
    let metrics = |barrier: &str, provider: &[&OsStr], code: i32| {
        let mut command = scene.stillpoint();
        command.args(["snapshot", barrier, "--min-open", "0", "--metrics-textfile"]).arg(&file);
        run(command.args(provider)).assert_code(code);
        fs::read_to_string(&file).unwrap()
    };
    let (store, to) = (scene.path("store"), scene.path("snapshots"));
    let of = |metric: &str, barrier: &str| {
        let (barrier, source) = (scene.barrier_file(barrier), store.display());
        let (barrier, target) = (barrier.display(), to.display());
        format!(
            "stillpoint_{metric}{{barrier=\"{barrier}\",provider=\"copy\",source=\"{source}\",target=\"{target}\"}}"
        )
    };
    let newest = of("snapshot_last_success_timestamp_seconds", "mail");
    let copy = [
        "--hold".as_ref(),
        "10".as_ref(),
        "--copy".as_ref(),
        store.as_os_str(),
        "--to".as_ref(),
        to.as_os_str(),
    ];
    let good = metrics("mail", &copy, 0);
    assert_eq!(value(&good, &of("snapshot_last_exit_status", "mail")), Some(0.0), "{good}");
    assert!(value(&good, &newest).is_some(), "{good}");

    fs::remove_dir(&store).unwrap();
    let refused = metrics("mail", &copy, 66);
    assert_eq!(value(&refused, &of("snapshot_last_exit_status", "mail")), Some(66.0), "{refused}");
    assert_eq!(value(&refused, &newest), value(&good, &newest), "{refused}");

    let missing = metrics("nothing", &copy, 66);
    assert_eq!(
        value(&missing, &of("snapshot_last_exit_status", "nothing")),
        Some(66.0),
        "{missing}"
    );
}

#[test]
fn metrics_that_cannot_be_written_are_refused_first_and_spoil_nothing_later() {
    let scene = Scene::new();
    let before = scene.generation();
    let refused = |file: &std::path::Path| {
        let mut command = scene.stillpoint();
        command.args(["snapshot", "mail", "--metrics-textfile"]).arg(file);
        run(command.args(["--", "true"])).assert_refused(73, "--metrics-textfile");
    };
    refused(&scene.path("nowhere/x.prom"));
    refused(&scene.path("store"));
    assert_eq!(scene.generation(), before);

    let folder = scene.path("collector");
    fs::create_dir(&folder).unwrap();
    let mut command = scene.stillpoint();
    command.args(["snapshot", "mail", "--metrics-textfile"]).arg(folder.join("x.prom"));
    command.args(["--", "rmdir"]).arg(&folder);
    let done = run(&mut command);
    done.assert_code(0);
    assert!(done.stderr.contains("warning: ") && done.stderr.contains("x.prom"), "{done:?}");
    assert_eq!(scene.manifest()["status"], "complete");
}

#[test]
fn a_dry_run_writes_none() {
    let scene = Scene::new();
    let file = scene.path("x.prom");
    let mut command = scene.stillpoint();
    command.args(["snapshot", "mail", "--dry-run", "--metrics-textfile"]).arg(&file);
    run(command.args(["--", "true"])).assert_code(0);
    assert!(!file.exists());
}

/// Whatever else has the name stays what it is: a device, a pipe, a link, somebody's file, the barrier.
#[test]
fn nothing_but_metrics_is_replaced() {
    let scene = Scene::new();
    let pipe = scene.path("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (link, precious) = (scene.path("link"), scene.path("precious"));
    fs::write(&precious, "precious\n").unwrap();
    std::os::unix::fs::symlink("precious", &link).unwrap();
    let device = scene.path("device");
    let null = nix::sys::stat::makedev(1, 3);
    let kind = nix::sys::stat::SFlag::S_IFCHR;
    nix::sys::stat::mknod(&device, kind, nix::sys::stat::Mode::S_IRWXU, null).unwrap();
    for file in [&pipe, &link, &precious, &scene.barrier_file("mail"), &device] {
        let before = fs::symlink_metadata(file).unwrap();
        for command in ["true", "false"] {
            let mut snapshot = scene.stillpoint();
            snapshot.args(["snapshot", "mail", "--metrics-textfile"]).arg(file);
            let refused = run(snapshot.args(["--", command]));
            refused.assert_code(73);
            assert!(refused.stderr.contains("stays"), "{}", refused.stderr);
        }
        let after = fs::symlink_metadata(file).unwrap();
        assert_eq!((before.ino(), before.mode()), (after.ino(), after.mode()), "{file:?}");
    }
    let empty = scene.path("empty.prom");
    fs::write(&empty, "").unwrap();
    for _ in 0..2 {
        let mut snapshot = scene.stillpoint();
        snapshot.args(["snapshot", "mail", "--min-open", "0", "--metrics-textfile"]).arg(&empty);
        run(snapshot.args(["--", "true"])).assert_code(0);
        assert!(fs::read_to_string(&empty).unwrap().starts_with("# HELP stillpoint_"));
    }
}

/// Levels of syslog(3) in front of each line, and one line on each snapshot.
#[test]
fn the_journal_gets_levels_and_a_summary() {
    let scene = Scene::new();
    let journal = scene.path("journal");
    let run_with = |stream: &str, script: &str| {
        let file = File::create(&journal).unwrap();
        let mut command = scene.stillpoint();
        command.args(["snapshot", "mail", "--min-open", "0", "--", "sh", "-c", script]);
        let status = command.stderr(file).env("JOURNAL_STREAM", stream).status().unwrap();
        (status.code(), fs::read_to_string(&journal).unwrap())
    };
    File::create(&journal).unwrap();
    fs::set_permissions(&journal, Permissions::from_mode(0o600)).unwrap();
    let place = fs::metadata(&journal).unwrap();
    let ours = format!("{}:{}", place.dev(), place.ino());
    let (code, text) = run_with(&ours, "exit 0");
    assert_eq!((code, text.lines().count()), (Some(0), 1), "{text}");
    assert!(text.starts_with("<6>stillpoint: snapshot name="), "{text}");
    assert!(
        text.contains(" status=complete clean=true provider=command attempts=1 pause_ms="),
        "{text}"
    );
    assert!(text.contains(" waited_for=0 covered=- reason="), "{text}");
    let (code, text) = run_with(&ours, "exit 7");
    assert_eq!(code, Some(7));
    assert!(text.contains(" status=failed clean=false "), "{text}");
    assert!(
        text.lines().any(|line| line.starts_with("<3>stillpoint: sh ended with status 7")),
        "{text}"
    );
    // Somebody else's journal: inherited, and standard error is another file now.
    let (code, text) = run_with("1:1", "exit 0");
    assert_eq!((code, text.as_str()), (Some(0), ""));
}

/// A line break in a path, or the help below a usage error, would be entries without a level.
#[test]
fn the_journal_gets_one_line_an_event() {
    let scene = Scene::new();
    let journal = scene.path("journal");
    File::create(&journal).unwrap();
    let place = fs::metadata(&journal).unwrap();
    let words: [&[&str]; 2] =
        [&["status", "/nowhere\n/x.barrier"], &["snapshot", "mail", "--bogus", "--", "true"]];
    for words in words {
        let mut command = scene.stillpoint();
        command.args(words).env("JOURNAL_STREAM", format!("{}:{}", place.dev(), place.ino()));
        command.stderr(File::create(&journal).unwrap()).status().unwrap();
        let text = fs::read_to_string(&journal).unwrap();
        assert!(text.lines().count() == 1 && text.starts_with("<3>stillpoint: "), "{text}");
    }
}
