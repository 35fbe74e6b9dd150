//! What is frozen is thawed, whatever becomes of the tool.

use std::process::Stdio;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::Ticking;
use crate::common::{Group, Running, is_alive, stands_by, start, until};

#[test]
fn a_tool_that_is_killed_leaves_nothing_frozen() {
    for ticking in Ticking::each() {
        let tool = ticking.pausing(&[]);
        let guardian = stands_by(tool.pid).expect("somebody stands by");
        tool.signal(Signal::SIGKILL);
        ticking.assert_nothing_left();
        until("nobody stands by any more", || !is_alive(guardian));
        ticking.go();
        tool.wait();
    }
}

/// Nothing of what the keyboard, a shell or a debugger would stop thaws it.
fn stop(tool: &Running) {
    killpg(tool.pid, Signal::SIGSTOP).unwrap();
    until("stop", || tool.is_stopped());
}

#[test]
fn a_tool_that_is_stopped_leaves_it_frozen_until_its_limit() {
    for ticking in Ticking::each() {
        let tool = ticking.pausing(&["--drain", "0.3", "--hold", "0.5"]);
        stop(&tool);
        assert!(ticking.group.is_frozen());
        until("it is thawed", || ticking.group.is_thawed());
        assert!(tool.is_stopped());
        ticking.assert_goes_on();
        ticking.go();
        tool.signal(Signal::SIGCONT);
        tool.wait().assert_code(124);
        assert_eq!(ticking.scene.manifest()["certificate"], false);
        ticking.assert_nothing_left();
    }
}

/// Somebody else has frozen the tool, with all that it has started.
#[test]
fn a_tool_that_is_frozen_itself_leaves_it_frozen_until_its_limit() {
    for ticking in Ticking::each() {
        let version = ticking.group.version();
        for around in Group::each() {
            let script = r#"cd "${1%/*}"; touch runs; until [ -e go ]; do sleep 0.01; done"#;
            let command = ticking.command(&["--drain", "0.3", "--hold", "0.5"], script);
            let mut inside = around.program(command.get_program());
            inside.args(command.get_args());
            let mut inside = ticking.scene.environment(inside);
            let tool = start(inside.stdout(Stdio::null()));
            until("pause", || ticking.scene.path("runs").exists());
            around.freeze();
            assert!(ticking.group.is_frozen(), "{version:?} in {around:?}");
            until("it is thawed", || ticking.group.is_thawed());
            assert!(around.is_frozen());
            ticking.assert_goes_on();
            ticking.go();
            around.thaw();
            tool.wait().assert_code(124);
            ticking.assert_nothing_left();
            for file in ["runs", "go"] {
                std::fs::remove_file(ticking.scene.path(file)).unwrap();
            }
        }
    }
}

/// The tool thaws by itself, and knows that nobody else has.
#[test]
fn a_guardian_that_is_killed_costs_no_snapshot() {
    for ticking in Ticking::each() {
        let tool = ticking.pausing(&[]);
        kill(stands_by(tool.pid).unwrap(), Signal::SIGKILL).unwrap();
        assert!(ticking.group.is_frozen());
        ticking.go();
        tool.wait().assert_code(0);
        ticking.assert_nothing_left();
    }
}

/// One that is killed while the gate is waited for has a successor before anything is frozen.
#[test]
fn a_guardian_that_is_killed_before_the_pause_is_replaced() {
    let Some(ticking) = Ticking::any() else { return };
    let writer = ticking.scene.holder();
    let script = r#"cd "${1%/*}"; touch runs; until [ -e go ]; do sleep 0.01; done"#;
    let tool = start(ticking.command(&["--patience", "60"], script));
    // It is ready by then.
    until("the gate is waited for", || ticking.scene.status("mail")["wanted"] == true);
    let first = stands_by(tool.pid).unwrap();
    kill(first, Signal::SIGKILL).unwrap();
    until("it is dead", || !is_alive(first));
    drop(writer);
    until("pause", || ticking.scene.path("runs").exists());
    let second = stands_by(tool.pid).expect("somebody stands by");
    assert_ne!(first, second);
    tool.signal(Signal::SIGKILL);
    ticking.assert_nothing_left();
    ticking.go();
    tool.wait();
}

/// A tool and its guardian, killed at once: the group stays frozen.
fn killed_with_its_guardian(ticking: &Ticking) -> Running {
    let tool = ticking.pausing(&[]);
    let guardian: Pid = stands_by(tool.pid).unwrap();
    kill(tool.pid, Signal::SIGSTOP).unwrap();
    kill(guardian, Signal::SIGKILL).unwrap();
    kill(tool.pid, Signal::SIGKILL).unwrap();
    until("both are dead", || !is_alive(tool.pid) && !is_alive(guardian));
    ticking.go();
    assert!(ticking.group.is_frozen());
    tool
}

#[test]
fn what_both_have_left_is_thawed_by_the_next_tool_or_by_thaw() {
    for ticking in Ticking::each() {
        let tool = killed_with_its_guardian(&ticking);
        let thawed = ticking.scene.verb(["thaw", "mail"]);
        thawed.assert_code(0);
        assert!(thawed.stderr.contains("was left frozen"), "{thawed:?}");
        ticking.assert_nothing_left();
        drop(tool);
        for file in ["runs", "go"] {
            std::fs::remove_file(ticking.scene.path(file)).unwrap();
        }

        let tool = killed_with_its_guardian(&ticking);
        let taken = ticking.snapshot(&[], super::STANDS);
        taken.assert_code(0);
        assert!(taken.stderr.contains("was left frozen"), "{taken:?}");
        ticking.assert_nothing_left();
        drop(tool);
    }
}

/// What a tool that lives has frozen, and a group that has come in the place of another one, is left alone.
#[test]
fn what_is_not_left_is_not_thawed() {
    let Some(mut ticking) = Ticking::any() else { return };
    let tool = ticking.pausing(&[]);
    ticking.scene.verb(["thaw", "mail"]).assert_code(0);
    assert!(ticking.group.is_frozen());
    ticking.go();
    tool.wait().assert_code(0);
    for file in ["runs", "go"] {
        std::fs::remove_file(ticking.scene.path(file)).unwrap();
    }
    let tool = killed_with_its_guardian(&ticking);
    drop(tool);
    ticking.group.remove();
    std::fs::create_dir(ticking.group.folder()).unwrap();
    ticking.ticker = super::tick(&ticking.group, ticking.file());
    ticking.group.freeze();
    let nothing = ticking.scene.verb(["thaw", "mail"]);
    assert!(!nothing.stderr.contains("was left frozen"), "{nothing:?}");
    assert!(ticking.group.is_frozen());
    ticking.group.thaw();
    ticking.assert_nothing_left();
}
