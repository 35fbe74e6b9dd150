//! Who `status` says is there, and since when.

use std::process::Command;

use crate::common::command::Place;
use crate::common::{Running, start, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use stillpoint::{Barrier, ExclusiveOptions};

fn writers(place: &Place) -> Vec<Value> {
    place.status()["writers"].as_array().unwrap().clone()
}

fn inside_at_least(writer: &Value) -> f64 {
    writer["inside_at_least_ms"].as_f64().unwrap()
}

fn text(place: &Place) -> String {
    place.run(["status", "mail"]).stdout
}

/// flock(1) on the barrier, once it has the lock.
fn flock(place: &Place, how: &str) -> Running {
    let mut command: Command = place.program("flock");
    command.arg(how).arg(place.barrier()).args(["sh", "-c", "echo in; exec sleep 60"]);
    let mut running = start(command);
    assert_eq!(running.line(), "in");
    running
}

#[test]
fn since_when_a_writer_is_inside_is_not_made_up() {
    let place = Place::with_barrier();
    let barrier = Barrier::open(place.barrier()).unwrap();
    let share = barrier.shared().unwrap();
    assert!(text(&place).contains(", since unknown\n"), "{}", text(&place));
    assert_eq!(inside_at_least(&writers(&place)[0]), 0.0);

    let mut watching = place.start(["status", "--json", "--watch", "mail"]);
    let mut seen = || {
        let report: Value = serde_json::from_str(&watching.line()).unwrap();
        inside_at_least(&report["writers"][0])
    };
    let (first, second) = (seen(), seen());
    assert!(first < second, "{first} {second}");
    drop(share);
    let _share = barrier.shared().unwrap();
    // Two looks, as one may have been on its way.
    assert!(seen().min(seen()) < second, "another share");
}

#[test]
fn a_command_knows_since_when_it_is_inside() {
    let place = Place::with_barrier();
    let _writer = place.hold(&["-s"]);
    until("known", || inside_at_least(&writers(&place)[0]) > 0.0);
    assert!(text(&place).contains("inside for at least "), "{}", text(&place));
}

#[test]
fn a_share_that_is_counted_is_not_taken_for_one_before_it() {
    let place = Place::with_barrier();
    let barrier = Barrier::open(place.barrier()).unwrap();
    let share = barrier.shared_owned().unwrap();
    assert_eq!(place.run(["run", "-x", "-w", "0.1", "mail", "true"]).code(), 75, "it was seen");
    drop(share);
    let _share = barrier.shared_owned().unwrap();
    let writers = writers(&place);
    assert_eq!((&writers[0]["kind"], &writers[0]["shares"]), (&json!("process"), &json!(1)));
    assert_eq!(inside_at_least(&writers[0]), 0.0);
}

#[test]
fn a_writer_counts_once() {
    let place = Place::with_barrier();
    let exposed = || {
        let catalog = place.path("none");
        let text = place.run(["status", "--prometheus", "--catalog", catalog.to_str().unwrap()]);
        let line = text.stdout.lines().find(|line| line.starts_with("stillpoint_writers{"));
        line.and_then(|line| line.rsplit_once(' ')).unwrap().1.to_string()
    };
    let barrier = Barrier::open(place.barrier()).unwrap();
    assert_eq!(writers(&place).len(), 1, "a process that has joined");
    drop(barrier.shared().unwrap());
    assert_eq!(writers(&place).len(), 1, "its thread");
    let _writer = place.hold(&["-s"]);
    assert_eq!((writers(&place).len(), exposed().as_str()), (2, "2"));
    assert!(text(&place).contains("  writers  2, 1 inside\n"), "{}", text(&place));
}

#[test]
fn a_tool_is_no_writer() {
    let place = Place::with_barrier();
    let _tool = place.hold(&["-x"]);
    assert_eq!(writers(&place), Vec::<Value>::new());
}

#[test]
fn a_process_may_call_itself_anything() {
    let place = Place::with_barrier();
    let _file = {
        let file = std::fs::File::open(place.barrier()).unwrap();
        file.lock_shared().unwrap();
        file
    };
    let own = std::fs::read("/proc/self/comm").unwrap();
    std::fs::write("/proc/self/comm", b"a\x1b[2J\xffb\nc").unwrap();
    let (text, refused) = (text(&place), place.run(["run", "-n", "mail", "true"]));
    std::fs::write("/proc/self/comm", own.trim_ascii_end()).unwrap();
    let name = "a?[2J\u{fffd}b?c";
    assert!(text.contains(&format!("flock    {name}[")), "{text:?}");
    refused.assert_complaint(75, &[name]);
}

#[test]
fn users_of_flock_are_shown() {
    let place = Place::new();
    assert_eq!(place.run(["create", "mail", "--mode", "0664"]).code(), 0);
    assert_eq!(place.status()["flock"], json!([]));
    for (how, exclusive) in [("-s", false), ("-x", true)] {
        let user = flock(&place, how);
        let pid = user.pid.as_raw();
        let told = json!([{"pid": pid, "comm": "flock", "exclusive": exclusive}]);
        assert_eq!(place.status()["flock"], told);
        let text = text(&place);
        let how = if exclusive { "exclusive" } else { "shared" };
        assert!(text.contains(&format!("flock    flock[{pid}], {how}, which keeps")), "{text}");
        assert!(text.contains("everybody may read this barrier"), "{text}");
    }
    // As scripts do it: flock(1) has ended, and the shell goes on.
    let mut script: Command = place.program("sh");
    script.args(["-c", "exec 9<\"$0\"; flock -s 9; echo in; read wait"]).arg(place.barrier());
    script.stdin(std::process::Stdio::piped());
    let mut script = start(script);
    assert_eq!(script.line(), "in");
    let told = json!([{"pid": script.pid.as_raw(), "comm": "sh", "exclusive": false}]);
    assert_eq!(place.status()["flock"], told);
    let name = format!("sh[{}] holding flock(2)", script.pid);
    place.run(["run", "-n", "mail", "true"]).assert_complaint(75, &[&name]);
    drop(script);
    // A tool that is inside has that lock itself.
    let barrier = Barrier::open(place.barrier()).unwrap();
    let pause = barrier.exclusive(&mut ExclusiveOptions::default()).unwrap();
    assert_eq!(place.status()["flock"], json!([]));
    pause.release().unwrap();
}

/// What a stopped process has, nobody gets by waiting.
#[test]
fn a_holder_that_is_stopped_is_said_to_be() {
    let place = Place::with_barrier();
    let mut holder = place.hold(&["-x"]);
    let held = place.run(["run", "-x", "-n", "mail", "true"]);
    holder.signal(Signal::SIGSTOP);
    let stat = format!("/proc/{}/stat", holder.pid);
    let is_stopped = || std::fs::read_to_string(&stat).unwrap().contains(") T ");
    until("it is stopped", is_stopped);
    let stopped = place.run(["run", "-x", "-n", "mail", "true"]);
    let waited = place.run(["run", "-x", "-w", "0.1", "mail", "true"]);
    let (retired, shown) = (place.run(["retire", "mail"]), text(&place));
    let known = place.status()["holder"]["stopped"].clone();
    holder.signal(Signal::SIGCONT);
    holder.signal(Signal::SIGTERM);
    holder.end();
    let who = format!("stillpoint[{}] (sh) for ", holder.pid);
    held.assert_complaint(75, &[&who, "try again later"]);
    for stopped in [stopped, waited] {
        stopped.assert_complaint(75, &[&who, "is stopped until somebody continues or ends it"]);
    }
    retired.assert_complaint(75, &["in use by", "continue or end those that are stopped"]);
    assert!(shown.contains("it is stopped: no tool gets in before"), "{shown}");
    assert_eq!(known, true);
}
