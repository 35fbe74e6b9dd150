//! The barrier file is cut under those who use it: whoever sleeps, or has time to ask, gets an error and not a
//! signal. What has no time to ask is in tests/c/cut.c.
//!
//! That a gate is closed, or a waiter counted, says that somebody is about to sleep, and he touches the file until he
//! does. So the file is cut while those who have no handler of SIGBUS are stopped in their sleep.

use crate::common::{FREEZE, GENERATION, Participant, Place, ms, until};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use stillpoint::{Barrier, ErrorKind, Status};

const LENGTH: u64 = 540_672;

/// To nothing, to a part of the header, in front of the slots, and by a page.
const LENGTHS: [u64; 4] = [0, 100, 16384, LENGTH - 4096];

fn cut(place: &Place, length: u64) {
    File::options().write(true).open(place.barrier_path()).unwrap().set_len(length).unwrap();
}

/// Cuts the file under all of these, in their sleep.
type Cut<'a> = &'a dyn Fn(&[&Participant]);

/// Does it with the file cut to each length.
fn for_each_length(test: impl Fn(&Place, Cut<'_>)) {
    for length in LENGTHS {
        let place = Place::new();
        place.make_barrier();
        test(&place, &|sleepers| {
            sleepers.iter().for_each(|sleeper| sleeper.stop_asleep());
            cut(&place, length);
            sleepers.iter().for_each(|sleeper| sleeper.go_on());
        });
    }
}

fn is_closed(place: &Place) -> bool {
    place.word(GENERATION) % 2 == 1
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stillpoint"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env_remove("STILLPOINT_HELD");
    command
}

/// Lets it go on to its end, which is an error in one line.
#[track_caller]
fn complains(tool: Child, code: i32) {
    let output = tool.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{:?} {text}", output.status);
    assert!(text.lines().count() == 1 && text.contains("cut"), "{text}");
}

/// Nobody says that it is quiet, and the tool can be asked again.
fn is_refused(tool: &mut Participant) {
    assert!(tool.hear().starts_with("error NotABarrier"));
    tool.expect_like("exclusive patience=0 drain=10", "error NotABarrier");
    tool.expect_like("shared", "error NotABarrier");
}

/// The command, which has a handler: it looks at all slots again and again.
#[test]
fn a_tool_that_drains() {
    for_each_length(|place, cut| {
        let mut writer = Participant::at(&place.barrier_path());
        writer.expect("shared", "inside 1");
        let mut tool = command();
        tool.args(["snapshot", "--patience", "0", "--drain", "20", "--attempts", "1"]);
        tool.arg("--catalog").arg(place.path("catalog")).arg(place.barrier_path());
        let tool = tool.args(["--", "false"]).spawn().unwrap();
        until("it is closed", || is_closed(place));
        cut(&[]);
        complains(tool, 66);
        writer.kill();
    });
}

/// The command again.
#[test]
fn a_tool_that_holds() {
    for_each_length(|place, cut| {
        let mut tool = command();
        tool.args(["run", "-x"]).arg(place.barrier_path());
        let mut tool = tool.args(["sh", "-c", "echo inside; read over"]).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(tool.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        cut(&[]);
        complains(tool, 124);
    });
}

#[test]
fn a_tool_that_waits_for_a_long_share() {
    for_each_length(|place, cut| {
        let mut writer = Participant::at(&place.barrier_path());
        writer.expect("shared", "inside 1");
        let mut tool = Participant::at(&place.barrier_path());
        let before = place.word(GENERATION);
        tool.say("exclusive patience=20000 drain=20000");
        until("it was closed and is open again", || place.word(GENERATION) == before + 2);
        cut(&[&tool]);
        is_refused(&mut tool);
        writer.kill();
    });
}

#[test]
fn a_tool_that_waits_for_another_and_that_one() {
    for_each_length(|place, cut| {
        let mut first = Participant::at(&place.barrier_path());
        first.expect_like("exclusive", "granted");
        let mut second = Participant::at(&place.barrier_path());
        second.say("exclusive wait=20000");
        cut(&[&second]);
        first.expect_like("release", "error Revoked");
        first.expect_like("exclusive", "error NotABarrier");
        is_refused(&mut second);
    });
}

#[test]
fn whoever_waits_at_the_gate() {
    for_each_length(|place, cut| {
        let mut tool = Participant::at(&place.barrier_path());
        tool.expect_like("exclusive", "granted");
        let kinds = ["shared", "timed-shared 20000", "owned", "command-share watched"];
        let mut waiters = kinds.map(|kind| {
            let mut waiter = Participant::at(&place.barrier_path());
            waiter.say(kind);
            waiter
        });
        until("all wait", || place.word(GENERATION + 12) == 4);
        cut(&waiters.each_ref());
        for waiter in &mut waiters {
            assert!(waiter.hear().starts_with("error NotABarrier"));
            waiter.expect_like("check", "error NotABarrier");
        }
    });
}

/// Event loops wait by a thread of the library.
#[test]
fn whoever_listens_for_the_gate() {
    for_each_length(|place, cut| {
        let mut tool = Participant::at(&place.barrier_path());
        tool.expect_like("exclusive", "granted");
        let mut listener = Participant::at(&place.barrier_path());
        listener.say("listen");
        cut(&[&listener]);
        assert_eq!(listener.hear(), "heard");
        listener.expect_like("owned", "error NotABarrier");
    });
}

#[test]
fn a_keeper_and_who_asks_it() {
    for_each_length(|place, cut| {
        let other = Barrier::open(place.barrier_path()).unwrap();
        let mut keeper = Participant::at(&place.barrier_path());
        keeper.expect_like("exclusive", "granted");
        keeper.say("keep");
        until("it is frozen", || place.word(FREEZE) != 0);
        cut(&[&keeper]);
        assert!(keeper.hear().starts_with("error Revoked"));
        assert!(!other.is_frozen());
        assert_eq!(other.thaw(None).unwrap_err().kind(), ErrorKind::NotABarrier);
    });
}

/// Who only looks has a copy.
#[test]
fn whoever_looks_meanwhile() {
    let place = Place::new();
    let path = place.make_barrier();
    let whole = std::fs::read(&path).unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let looks = scope.spawn(|| {
            let mut seen = [0, 0];
            while !over.load(Ordering::Relaxed) {
                match Status::read(&path) {
                    Ok(_) => seen[0] += 1,
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::NotABarrier, "{error}");
                        seen[1] += 1;
                    }
                }
            }
            seen
        });
        for _ in 0..3000 {
            cut(&place, 0);
            std::fs::write(&path, &whole).unwrap();
            std::thread::sleep(ms(1) / 10);
        }
        over.store(true, Ordering::Relaxed);
        let seen = looks.join().unwrap();
        assert!(seen.iter().all(|times| *times > 0), "{seen:?}");
    });
}
