//! The real command among the participants: `run -s` and `run -x`, whose own processes are killed now
//! and then under the command that they run.
//!
//! Under `run -x` the oracle itself is the command. Whether its findings count depends on what `run`
//! says at the end: 0 is the certificate.

use crate::arena::Arena;
use crate::common::STILLPOINT;
use crate::common::chance::Chance;
use crate::figures::Deed;
use crate::oracle::{Findings, Judge};
use crate::role::Role;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use stillpoint::Cover;

const FINDINGS: &str = "STILLPOINT_TORTURE_FINDINGS";
/// What `run` says when the barrier was not to be had in time, and when the pause was revoked.
const CONFLICT: i32 = 75;
const REVOKED: i32 = 124;

/// Runs commands until all is over.
pub fn run(arena: &Arena, process: u32) {
    let mut chance = Chance::of(arena.seed(), process);
    for turn in 0.. {
        if arena.is_over() {
            return;
        }
        let findings = arena.note(&format!("findings-{process}-{turn}"));
        let exclusive = chance.one_in(3);
        let mut command = if exclusive {
            let mut command =
                under_run(arena, &["-x", "-w", "0.5", "--hold", "2"], Role::JudgeUnderRun);
            command.env(FINDINGS, &findings);
            command
        } else {
            under_run(arena, &["-s", "-w", "5"], Role::Covered)
        };
        let said = arena.note(&format!("said-{process}"));
        command.stderr(File::create(&said).expect("a file is made"));
        let mut child = command.spawn().expect("stillpoint is built");
        if chance.one_in(6) {
            std::thread::sleep(chance.up_to_ms(60));
            child.kill().expect("it was not waited for yet");
        }
        let ended = child.wait().expect("it ends");
        match (ended.code(), ended.signal()) {
            (Some(0), _) if exclusive => {
                arena.count(Deed::RunExclusive, 1);
                let text = std::fs::read_to_string(&findings).expect("the judge has spoken");
                Findings::from_text(&text).convict(arena, "stillpoint run -x");
            }
            (Some(0), _) => arena.count(Deed::RunShared, 1),
            (Some(CONFLICT | REVOKED), _) => {}
            (_, Some(9)) => arena.count(Deed::RunKilled, 1),
            _ => {
                let said = std::fs::read_to_string(said).expect("what it said can be read");
                arena.complain(&format!("stillpoint run ended with {ended}: {said}"));
            }
        }
        let _ = std::fs::remove_file(findings);
        std::thread::sleep(chance.up_to_ms(500));
    }
}

fn under_run(arena: &Arena, options: &[&str], role: Role) -> Command {
    let inner = role.command(arena, None);
    let mut command = Command::new(STILLPOINT);
    command.arg("run").args(options).arg(arena.barrier()).arg("--");
    command.arg(inner.get_program()).args(inner.get_args()).stdout(std::process::Stdio::null());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// Judges the pause that this process runs in.
pub fn judge(arena: &Arena, process: u32) {
    let barrier = arena.open_barrier(process);
    if barrier.is_covered() != Some(Cover::Exclusive) {
        // Revoked already: whatever is found, there will be no certificate.
        return;
    }
    let judge = Judge::at_grant(arena, barrier.dirty().epoch);
    std::thread::sleep(Duration::from_millis(2));
    let findings = judge.at_release().to_text();
    let file = PathBuf::from(std::env::var_os(FINDINGS).expect("a file for the findings"));
    std::fs::write(file, findings).expect("the findings are written");
}
