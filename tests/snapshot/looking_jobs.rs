//! What the command of a job that looks at its snapshot may do to that: nothing.

use std::fs;
use std::process::Command;

use crate::common::{is_root, run};
use crate::jobs::Jobs;

/// As a database does that replays its journal, and a server that mends its index.
const WRITES: &str = "[verify]\ncommand = 'echo spoilt >\"$STILLPOINT_SNAPSHOT_PATH/a\"; \
                      touch \"$STILLPOINT_SNAPSHOT_PATH/new\" && cat \"$STILLPOINT_SNAPSHOT_PATH/a\"'\n";

#[test]
fn whoever_looks_at_a_snapshot_cannot_write_to_it() {
    if !is_root() {
        return;
    }
    let jobs = Jobs::new();
    jobs.write("mail", WRITES);
    let done = jobs.job(&["run", "mail"]);
    assert_eq!(done.code(), 1, "{done:?}");
    assert!(done.stderr.contains("Read-only file system"), "{done:?}");
    let snapshot = jobs.path("snapshots").join(done.stdout.trim_end().rsplit('/').next().unwrap());
    assert_eq!(fs::read_to_string(snapshot.join("a")).unwrap(), "good");
    assert!(!snapshot.join("new").exists());
    assert_eq!(jobs.latest(&["--verified"]), 66);
    // Nothing of it is left: others write there, and so does who removes it.
    fs::write(snapshot.join("new"), "").unwrap();
    jobs.write(
        "mail",
        "[verify]\ncommand = 'grep good \"$STILLPOINT_SNAPSHOT_PATH/a\"'\n[retention]\nkeep = 1\n",
    );
    for _ in 0..2 {
        assert_eq!(jobs.job(&["run", "mail"]).code(), 0);
    }
    assert_eq!(jobs.snapshots(), 1);
}

/// Where that is not allowed, as in most containers, it is said, and done all the same.
#[test]
fn where_it_cannot_be_shown_read_only_that_is_said() {
    if !is_root() {
        return;
    }
    let jobs = Jobs::new();
    jobs.write("mail", WRITES);
    let job = jobs.command(&["run", "mail"]);
    let mut confined = jobs.0.environment(Command::new("setpriv"));
    confined.args(["--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin", "--"]);
    confined.arg(job.get_program()).args(job.get_args());
    for (variable, value) in job.get_envs() {
        match value {
            Some(value) => confined.env(variable, value),
            None => confined.env_remove(variable),
        };
    }
    let done = run(confined);
    assert_eq!(done.code(), 0, "{done:?}");
    let said = "the command of [verify] could write to it, as it cannot be shown read-only: Operation not permitted";
    assert!(done.stderr.contains(said), "{done:?}");
}
