//! `stillpoint use`: readers, and what keeps a snapshot while they read.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::common::{Running, STILLPOINT, children, run, skip, start, state, strace, until};
use crate::prune::is_pinned;
use crate::scene::Scene;

/// A reader that says who it is and reads until it is ended.
fn reader(scene: &Scene, name: &str, mark: &str) -> (Running, Pid) {
    let place = scene.path(mark);
    let script = format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 600", place.display());
    let mut command = scene.stillpoint();
    // A pipe that the reader keeps would keep us waiting too.
    command
        .args(["use", name, "--", "sh", "-c", &script])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let using = start(&mut command);
    until("reader", || place.exists());
    let pid = fs::read_to_string(&place).unwrap().trim().parse().unwrap();
    (using, Pid::from_raw(pid))
}

fn end(pid: Pid) {
    let _ = kill(pid, Signal::SIGKILL);
    until("end of the reader", || matches!(state(pid), None | Some('Z')));
}

#[test]
fn the_command_gets_the_snapshot_and_its_status_is_passed_on() {
    let scene = Scene::new();
    fs::write(scene.path("store/letter"), "text").unwrap();
    let path = scene.take("x");
    scene.take("y");
    let script = r#"cat "$STILLPOINT_SNAPSHOT_PATH/letter"; echo " $STILLPOINT_SNAPSHOT_NAME $STILLPOINT_SNAPSHOT_PATH"; exit 7"#;
    let done = scene.verb(["use", "x", "--", "sh", "-c", script]);
    done.assert_code(7);
    assert_eq!(done.stdout, format!("text x {}\n", path.display()));
    let done =
        scene.verb(["use", "--latest", "mail", "--", "printenv", "STILLPOINT_SNAPSHOT_NAME"]);
    assert_eq!(done.stdout, "y\n");

    // What another `use` has set goes no further.
    let mut command = scene.stillpoint();
    command.env("STILLPOINT_SNAPSHOT_PATH", "/somewhere/else");
    let done = run(command.args(["use", "x", "--", "printenv", "STILLPOINT_SNAPSHOT_PATH"]));
    assert_eq!(done.stdout, format!("{}\n", path.display()));
    let mut command = scene.stillpoint();
    command.env("STILLPOINT_SNAPSHOT_PATH", "/somewhere/else");
    command.args(["snapshot", "mail", "--min-open", "0", "--"]);
    run(command.args(["printenv", "STILLPOINT_SNAPSHOT_PATH"])).assert_code(1);

    scene.verb(["use", "x", "--", "no-such-tool-at-all"]).assert_refused(127, "cannot run");
    scene.verb(["use", "--", "true"]).assert_refused(64, "required");
    scene.verb(["use", "x"]).assert_refused(64, "COMMAND");
}

#[test]
fn only_a_whole_snapshot_can_be_used() {
    let scene = Scene::new();
    scene.verb(["use", "x", "--", "true"]).assert_refused(66, "there is no such snapshot");
    scene.verb(["use", "../x", "--", "true"]).assert_refused(66, "there is no such snapshot");
    scene.verb(["use", "--latest", "--", "true"]).assert_refused(66, "there is no clean snapshot");
    scene.take("x");
    for (status, said) in [
        ("begun", "not complete"),
        ("certified", "not complete"),
        ("failed", "failed"),
        ("revoked", "failed"),
        ("pruning", "being removed"),
    ] {
        scene.edit("x", |manifest| manifest["status"] = status.into());
        scene.verb(["use", "x", "--", "true"]).assert_refused(66, said);
    }
    scene.edit("x", |manifest| {
        manifest["status"] = "complete".into();
        manifest["clean"] = false.into();
    });
    let done = scene.verb(["use", "x", "--", "true"]);
    done.assert_code(0);
    assert!(done.stderr.contains("warning: x is not clean"), "{done:?}");
    assert_eq!(scene.verb(["use", "--any", "x", "--", "true"]).stderr, "");
    scene.verb(["use", "--latest", "--", "true"]).assert_refused(66, "--any");
    assert_eq!(scene.verb(["use", "--latest", "--any", "--", "true"]).stderr, "");
    fs::remove_dir(scene.path("snapshots/x")).unwrap();
    scene.verb(["use", "x", "--", "true"]).assert_refused(66, "its data is gone");
}

#[test]
fn a_pin_lasts_until_the_last_reader_has_gone_however_he_went() {
    let scene = Scene::new();
    scene.take("a");
    scene.take("b");
    let prune = || {
        scene.verb(["prune", "--keep", "1"]).assert_code(0);
        scene.path("snapshots/a").exists()
    };
    let (first, first_command) = reader(&scene, "a", "first");
    let (second, second_command) = reader(&scene, "a", "second");
    assert!(is_pinned(&scene, "a") && !is_pinned(&scene, "b"));

    // The wrapper is killed: its command reads on.
    first.signal(Signal::SIGKILL);
    first.wait();
    end(second_command);
    assert_eq!(second.wait().status.code(), Some(128 + 9));
    assert!(prune(), "the data was taken away under a reader");
    assert!(is_pinned(&scene, "a"));
    end(first_command);
    assert!(!is_pinned(&scene, "a"));
    assert!(!prune(), "a pin was left behind");
}

#[test]
fn what_the_command_left_running_still_reads() {
    let scene = Scene::new();
    scene.take("a");
    scene.take("b");
    let pid = scene.path("pid");
    let script = format!("sleep 600 >/dev/null 2>&1 & echo $! > {}", pid.display());
    scene.verb(["use", "a", "--", "sh", "-c", &script]).assert_code(0);
    scene.verb(["prune", "--keep", "1"]).assert_code(0);
    assert_eq!(scene.snapshots(), ["a", "b"]);
    end(Pid::from_raw(fs::read_to_string(pid).unwrap().trim().parse().unwrap()));
    scene.verb(["prune", "--keep", "1"]).assert_code(0);
    assert_eq!(scene.snapshots(), ["b"]);
}

/// For tools that read after the call that took the snapshot.
#[test]
fn it_can_be_pinned_for_another_process() {
    let scene = Scene::new();
    scene.take("x");
    let reader = start(Command::new("sleep").arg("600"));
    let host = reader.pid.to_string();
    // Returns, though its output is read to the end: what stays has nothing of the caller's open.
    let script = r#"S=$1; shift; "$S" "$@" &"#;
    let pin = |arguments: &[&str]| {
        let mut shell = scene.environment(Command::new("sh"));
        shell.args(["-c", script, "sh"]).arg(scene.stillpoint().get_program()).args(arguments);
        run(&mut shell)
    };
    let keeper: i32 = pin(&["use", "x", "--while", &host]).stdout.trim().parse().unwrap();
    assert!(is_pinned(&scene, "x"));
    end(Pid::from_raw(keeper));
    assert!(!is_pinned(&scene, "x"));

    pin(&["use", "x", "--while", &host]);
    assert!(is_pinned(&scene, "x"));
    drop(reader);
    until("end of the pin", || !is_pinned(&scene, "x"));

    assert_eq!(pin(&["use", "y", "--while", &host]).stdout, "");
    scene.verb(["use", "x", "--while", &host]).assert_refused(64, "there is no such process");
    scene
        .verb(["use", "x", "--while", "1", "--", "true"])
        .assert_refused(64, "cannot be used with");
}

#[test]
fn signals_are_handed_on() {
    let scene = Scene::new();
    scene.take("a");
    let mark = scene.path("mark");
    let script =
        format!("trap 'exit 9' TERM; echo > {}; while :; do sleep 0.01; done", mark.display());
    let using = start(scene.stillpoint().args(["use", "a", "--", "sh", "-c", &script]));
    until("reader", || mark.exists());
    using.signal(Signal::SIGTERM);
    assert_eq!(using.wait().code(), 9);
    assert!(!is_pinned(&scene, "a"));
}

/// Readers come while pruning goes on: either a reader has the snapshot until he is done with it,
/// or he is told that there is none.
#[test]
fn no_reader_ever_loses_the_data_to_prune() {
    let scene = Scene::new();
    fs::write(scene.path("store/letter"), "text").unwrap();
    let read = r#"for i in 1 2 3 4 5; do cat "$STILLPOINT_SNAPSHOT_PATH/letter" >/dev/null || exit 99; done"#;
    let (mut read_whole, mut told) = (0, 0);
    for round in 0..12 {
        let (old, new) = (format!("{round}-old"), format!("{round}-new"));
        scene.take(&old);
        scene.take(&new);
        let mut script = String::new();
        for _ in 0..8 {
            script += &format!("\"$STILLPOINT\" use {old} -- sh -c '{read}'; echo $?;");
        }
        let readers = start(scene.environment(Command::new("sh")).args(["-c", &script]));
        while scene.path("snapshots").join(&old).exists() {
            scene.verb(["prune", "--keep", "1"]).assert_code(0);
        }
        let done = readers.wait();
        for status in done.stdout.lines() {
            match status {
                "0" => read_whole += 1,
                "66" => told += 1,
                other => panic!("{other}: {done:#?}"),
            }
        }
        assert_eq!(scene.latest(&[]), Some(new));
    }
    println!("{read_whole} reads were whole, {told} came too late");
    assert!(read_whole > 0 && told > 0, "nothing was tried: {read_whole} {told}");
}

/// Stopped after it opened the manifest and before it locks it, while the manifest is marked.
#[test]
fn a_manifest_that_is_replaced_before_the_lock_is_no_pin() {
    if !strace::works() {
        return skip("strace cannot stop a process here");
    }
    let scene = Scene::new();
    scene.take("x");
    let using = |trace: &str, injection: Option<&str>| {
        let mut command = scene.environment(Command::new("strace"));
        strace::options(&mut command, &scene.path(trace), None);
        if let Some(injection) = injection {
            command.args(["-e", injection, "-e", "signal=SIGSTOP"]);
        }
        command.arg(STILLPOINT).args(["use", "x", "--", "true"]);
        command
    };
    run(&mut using("calls", None)).assert_code(0);
    let calls = strace::read(&scene.path("calls"));
    let opened = calls.iter().find(|call| call.name == "statx" && call.text.contains("x.json>"));
    let nth = opened.expect("it asks what it has opened").nth;
    let reader =
        start(&mut using("trace", Some(&format!("inject=statx:signal=SIGSTOP:when={nth}"))));
    let mut child = None;
    until("stop", || {
        child = children(reader.pid).first().copied();
        // strace says when it has come to that.
        let trace = fs::read_to_string(scene.path("trace")).unwrap_or_default();
        trace.contains("stopped by SIGSTOP")
    });
    let marked = fs::read_to_string(scene.path("catalog/x.json")).unwrap();
    let marked = marked.replace("\"complete\"", "\"pruning\"");
    fs::write(scene.path("aside"), marked).unwrap();
    fs::rename(scene.path("aside"), scene.path("catalog/x.json")).unwrap();
    kill(child.expect("it was started"), Signal::SIGCONT).unwrap();
    reader.wait().assert_refused(66, "x: is being removed");
}

/// Whoever may read a manifest may lock it, also for himself alone.
#[test]
fn a_lock_of_a_reader_is_not_taken_for_a_run() {
    let scene = Scene::new();
    scene.take("dead");
    scene.take("whole");
    scene.edit("dead", |manifest| manifest["status"] = "begun".into());
    let lock = |name: &str| {
        let file = File::open(scene.path("catalog").join(format!("{name}.json"))).unwrap();
        Flock::lock(file, FlockArg::LockExclusiveNonblock).unwrap()
    };
    let locks = [lock("dead"), lock("whole")];
    let rows: Value = serde_json::from_str(&scene.verb(["list", "--json"]).stdout).unwrap();
    let told = |field: &str| [&rows[0][field], &rows[1][field]].map(|so| so.as_bool().unwrap());
    assert_eq!((told("under_way"), told("pinned")), ([false, false], [false, true]));
    assert!(scene.verb(["list"]).stdout.contains("dead   interrupted"));
    let done = scene.verb(["prune", "--keep", "1"]);
    done.assert_code(0);
    let said = "dead.json: another program has locked it, so this unfinished snapshot is left";
    assert!(done.stderr.contains(said), "{done:?}");
    drop(locks);
    let done = scene.verb(["prune", "--keep", "1"]);
    assert!(done.stderr.contains("dead: was interrupted"), "{done:?}");
}
