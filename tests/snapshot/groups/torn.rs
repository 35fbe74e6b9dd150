//! Databases whose programs know nothing of any barrier, whole in each snapshot because their group stands still between
//! two transactions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::{Group, Running, has, must, run, start, until};
use crate::subvolumes::Subvolumes;

/// How many snapshots each.
const ROUNDS: u32 = 20;

/// Writes transactions of many pages without end, more than it keeps in memory, with a breath in each and after it.
const WRITER: &str = r#"
import sqlite3, sys, time
store = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
store.execute('pragma synchronous = off')
store.execute('pragma cache_size = 5')
store.execute('create table if not exists t (a, b)')
number = 0
while True:
    number += 1
    store.execute('begin immediate')
    store.execute('delete from t')
    for row in range(60):
        store.execute('insert into t values (?, ?)', (number, 'x' * 1000))
    time.sleep(0.002)
    store.execute('commit')
    time.sleep(0.002)
"#;

fn writer(group: &Group, store: &Path) -> Running {
    let mut python = group.program("python3");
    start(python.args(["-c", WRITER]).arg(store).stdout(Stdio::null()))
}

/// A database as it was copied, without its journal: nobody was in the midst of something.
fn is_whole(copy: &Path, name: &str) -> bool {
    let journal = copy.join(format!("{name}-journal"));
    // A journal that is not empty is that of a transaction under way.
    if fs::metadata(&journal).is_ok_and(|found| found.len() > 0) {
        return false;
    }
    let database = format!("file:{}?immutable=1", copy.join(name).display());
    let mut sqlite = Command::new("sqlite3");
    sqlite.args([&database, "pragma integrity_check; select count(distinct a) < 2 from t"]);
    run(sqlite.stderr(Stdio::piped())).stdout == "ok\n1\n"
}

#[test]
fn databases_are_whole_between_two_transactions() {
    if !has(&["sqlite3", "python3"]) {
        return;
    }
    let Some(group) = Group::any() else { return };
    let Some(disk) = Subvolumes::named(&["store"]) else { return };
    let names = ["a.db", "b.db"];
    let stores: Vec<PathBuf> = names.iter().map(|name| disk.path("store").join(name)).collect();
    let writers: Vec<Running> = stores.iter().map(|store| writer(&group, store)).collect();
    until("they write", || stores.iter().all(|store| is_begun(store)));
    let flag = format!("--freeze-cgroup={}", group.folder().display());
    let is_torn = |options: &[&str]| {
        let taken = disk.snapshot(&["store"], options);
        taken.assert_code(0);
        let copy = PathBuf::from(taken.stdout.trim_end());
        let torn = !names.iter().all(|name| is_whole(&copy, name));
        must(Command::new("btrfs").args(["-q", "subvolume", "delete"]).arg(&copy));
        torn
    };
    let frozen = (0..ROUNDS).filter(|_| is_torn(&[&flag, "--patience", "60"]));
    assert_eq!(frozen.count(), 0);
    // What it is for.
    assert!((0..ROUNDS).any(|_| is_torn(&[])), "no snapshot was torn without it");
    drop(writers);
}

fn is_begun(store: &Path) -> bool {
    fs::metadata(store).is_ok_and(|found| found.len() > 50_000)
}
