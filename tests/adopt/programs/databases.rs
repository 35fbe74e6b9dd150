//! SQLite, and git, which is one, too.

use super::is_missing;
use super::pause::{finishes_after_the_pause, goes_on};
use crate::common::must;
use crate::harness::Scene;
use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn sqlite_with_a_rollback_journal_and_with_a_log() {
    if is_missing("sqlite3") {
        return;
    }
    let scene = Scene::new();
    for journal in ["delete", "persist", "truncate", "wal"] {
        let folder = scene.file(journal);
        fs::create_dir(&folder).unwrap();
        let sqlite = |statement: &str| {
            let mut command = scene.adopted("sqlite3");
            command.arg(folder.join("database")).arg(statement);
            command
        };
        let mode = format!("pragma journal_mode={journal};");
        must(sqlite(&format!("{mode} create table t(x); insert into t values(1);")));
        let insert = format!(
            "{mode} insert into t values(2); select count(*) from t; pragma integrity_check;"
        );
        let said = finishes_after_the_pause(&scene, &mut sqlite(&insert), "sqlite3", &folder);
        assert_eq!(said, format!("{journal}\n2\nok"));
    }
}

/// It knows only of lock files that it makes and takes away: neither objects nor references wait.
#[test]
fn git_is_not_covered() {
    if is_missing("git") {
        return;
    }
    let scene = Scene::new();
    let store = scene.file("store");
    let git = |words: &[&str]| {
        let mut command = scene.adopted("git");
        command.arg("-C").arg(&store).args(["-c", "user.name=a", "-c", "user.email=a@example.org"]);
        command.args(words).env("GIT_CONFIG_GLOBAL", "/dev/null");
        command
    };
    fs::create_dir(&store).unwrap();
    must(git(&["init", "--quiet"]));
    let commit = || git(&["commit", "--quiet", "--allow-empty", "-m", "one"]);
    goes_on(&scene, &mut commit(), &store);
    goes_on(&scene, &mut git(&["gc", "--quiet"]), &store);
    // Who needs it whole runs it under a lock of its own, which is adopted.
    let shared = |store: &Path| {
        let mut command = scene.adopted("flock");
        command.arg(scene.file("lock")).args(["git", "-C"]).arg(store);
        command.args(["-c", "user.name=a", "-c", "user.email=a@example.org"]);
        command.args(["commit", "--quiet", "--allow-empty", "-m", "two"]);
        command
    };
    finishes_after_the_pause(&scene, &mut shared(&store), "flock", &store);
    let mut log = Command::new("git");
    log.arg("-C").arg(&store).args(["rev-list", "--count", "HEAD"]);
    assert_eq!(must(log).stdout, b"2\n");
}
