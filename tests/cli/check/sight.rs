//! What can be seen of processes, and what is said where it cannot.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{assert_says, check};
use crate::common::command::Place;
use crate::common::{Done, is_root, programs, run, start};

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
    // As `job init` writes it.
    fs::create_dir(place.path("jobs.d")).unwrap();
    open(&place.path("jobs.d"));
    let job = place.path("jobs.d/nightly.toml");
    fs::write(&job, "barriers = 'mail'\n").unwrap();
    fs::set_permissions(&job, fs::Permissions::from_mode(0o600)).unwrap();
    assert_says(&run(nobody.arg("nightly")), "OK", &["UNSEEN: nightly: ", "ermission"]);
    // A container: root of nothing but itself, with its own processes.
    let mut container = place.program("unshare");
    container.args(["--user", "--map-root-user", "--pid", "--mount-proc", "--fork"]).arg(&program);
    words(&mut container);
    assert_says(&run(&mut container), "OK", &["mail.barrier: is there, in memory"]);
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
