//! Jobs: their files, their timers, and their last runs.

use std::fs;

use serde_json::Value;

use super::{assert_says, write_program};
use crate::common::command::Place;
use crate::common::{is_root, run};

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
