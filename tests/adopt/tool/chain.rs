//! Programs that wait for each other over a lock to read: no holder, so not let in at the gate.

use super::disk::Disk;
use crate::common::{has, until};
use crate::harness::Played;
use std::fs;
use stillpoint::Status;

const FIRST: &str = "
import fcntl
a, b = open('a', 'r+'), open('b', 'r+')
fcntl.lockf(a, fcntl.LOCK_SH)
print('reads a', flush=True)
input()
fcntl.lockf(b, fcntl.LOCK_EX)
fcntl.lockf(b, fcntl.LOCK_UN)
fcntl.lockf(a, fcntl.LOCK_UN)
print('done', flush=True)
";

const SECOND: &str = "
import fcntl
a, c = open('a', 'r+'), open('c', 'r+')
fcntl.lockf(c, fcntl.LOCK_EX)
print('writes c', flush=True)
input()
fcntl.lockf(a, fcntl.LOCK_EX)
print('done', flush=True)
";

/// The tool waits for the second, which waits for the first, which waits at the gate: until that opens for a while.
#[test]
fn a_chain_over_a_lock_to_read_comes_to_its_end() {
    let Some(disk) = Disk::new().filter(|_| has(&["python3"])) else { return };
    for file in ["a", "b", "c"] {
        fs::write(disk.file(file), "").unwrap();
    }
    let play = |script: &str| {
        let mut command = disk.adopted("python3");
        Played::begin(command.current_dir(disk.image.path()).args(["-c", script]))
    };
    let (mut first, mut second) = (play(FIRST), play(SECOND));
    assert_eq!(first.line(), "reads a");
    assert_eq!(second.line(), "writes c");
    let mut snapshot = disk.stillpoint(["snapshot", "--json", "--adopted"]);
    snapshot.arg(disk.image.path()).arg(disk.barrier()).args(["--", "true"]);
    let mut tool = Played::begin(&mut snapshot);
    second.go_on();
    // By a closing that is long enough for somebody to come to the gate.
    until("the first waits at the gate", || {
        let status = || Status::read(disk.barrier()).unwrap();
        if status().generation % 2 == 1 {
            first.go_on();
        }
        status().writers.iter().any(|writer| writer.waiting.is_some()) || first.is_over()
    });
    assert_eq!(first.line(), "done");
    assert_eq!(second.line(), "done");
    let manifest: serde_json::Value = serde_json::from_str(&tool.rest()).unwrap();
    tool.succeeds();
    assert_eq!(manifest["certificate"], true, "{manifest:#}");
    assert!(manifest["pause"]["closings"].as_u64().unwrap() > 1, "{manifest:#}");
}
