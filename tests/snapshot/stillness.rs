//! What is done while writers stand still, and what is left for when they go on.

use std::fs;
use std::process::Command;

use crate::common::strace::{self, Call};
use crate::common::{STILLPOINT, skip, start, until};
use crate::scene::Scene;

/// To read the kernel's table of locks stops all lockers of the machine, once for each piece of it: that takes
/// milliseconds where there are thousands of locks, and seconds where many come and go.
#[test]
fn the_table_of_locks_is_not_read_in_the_pause() {
    if !strace::works() {
        return skip("strace cannot trace here");
    }
    let scene = Scene::new();
    let (trace, closed, go) = (scene.path("trace"), scene.path("closed"), scene.path("go"));
    // Something in the barrier's folder changes: somebody may have been let in by another file meanwhile.
    let change = scene.barriers().join("change");
    let script = format!(
        ": > {} && : > {}; until [ -e {} ]; do sleep 0.05; done",
        change.display(),
        closed.display(),
        go.display()
    );
    let mut command = scene.environment(Command::new("strace"));
    strace::options(&mut command, &trace, None);
    command.arg(STILLPOINT);
    command.args(["snapshot", "mail", "--min-open", "0", "--", "sh", "-c", &script]);
    let snapshot = start(&mut command);
    until("pause", || closed.exists());
    let writer = start(scene.stillpoint().args(["run", "-s", "mail", "--", "true"]));
    let waits = |writer: &serde_json::Value| !writer["waiting_ms"].is_null();
    until("writer", || scene.status("mail")["writers"].as_array().unwrap().iter().any(waits));
    fs::write(go, "").unwrap();
    snapshot.wait().assert_code(0);
    writer.wait().assert_code(0);

    let calls = strace::read(&trace);
    let reads = |call: &Call| call.name == "read" && call.text.contains("</proc/locks>");
    let starts = |call: &Call| ["clone", "clone3", "vfork"].contains(&call.name.as_str());
    let wakes = |call: &Call| {
        call.name == "futex" && call.text.contains("FUTEX_WAKE,") && !call.text.ends_with("= 0")
    };
    let opening = calls.iter().rposition(wakes).expect("the gate was opened");
    let command = calls[..opening].iter().rposition(starts).expect("the command was started");
    assert!(!calls[command..opening].iter().any(reads), "in the pause");
    assert!(calls[opening..].iter().any(reads), "not at all");
}
