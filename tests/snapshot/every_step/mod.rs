//! Death, an interrupt and a full disk at every step of `snapshot`, `prune` and `use`.
//!
//! A verb is run once under strace(1) to learn which system calls it makes. Then, for each call that
//! can change something, from the first one that has to do with the catalogue on (or with what else
//! the play is about), it is run again in a scene of its own and killed when it enters that call; and
//! for each call that a disk without space can refuse, again with that call failing, and with that call
//! and all later ones of its kind failing. What is left is judged from outside:
//!
//! * writers go on;
//! * `latest` names a snapshot, and what it names is whole: the earlier one, or the new one;
//! * nothing that is not whole stands under the name of a snapshot, and `use` reads nothing else;
//! * the next run cleans up: no data under a temporary name, no text written aside, every manifest
//!   complete with whole data, or failed without.
//!
//! By itself it strikes every third of them: `STILLPOINT_EVERY_STEP=full` all, in three times the time.

mod blows;
mod durable;
mod judging;
mod pruning;
mod restoring;
mod running;
mod taking;
mod using;

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::many::{check, report};
use crate::common::strace::{self, Call};
use crate::common::{Done, run, skip};
use crate::scene::Scene;

use blows::{Blow, Case, cases};

/// What is played: a scene with an earlier snapshot, `good`, and a verb in it.
pub trait Play: Sync {
    /// The path that the first call of interest has to do with.
    fn begins_at(&self, scene: &Scene) -> PathBuf {
        scene.path("catalog")
    }

    /// What goes wrong all the time.
    fn always(&self) -> Option<&str> {
        None
    }

    /// Which of all calls and blows.
    fn can_be_struck(&self, case: &Case) -> bool {
        case.blow != Blow::Interrupted
    }

    fn scene(&self, number: usize) -> Scene;
    fn verb(&self, scene: &Scene, number: usize) -> Command;
    fn judge(&self, scene: &Scene, number: usize, done: &Done) -> Result<(), String>;
}

/// Runs the verb under strace, with one fault or none.
fn play(play: &dyn Play, number: usize, injection: Option<&str>) -> (Scene, Done, Vec<Call>) {
    let scene = play.scene(number);
    let verb = play.verb(&scene, number);
    let trace = scene.path("trace");
    let mut command = scene.environment(Command::new("strace"));
    strace::options(&mut command, &trace, None);
    for injection in injection.into_iter().chain(play.always()) {
        command.args(["-e", injection]);
    }
    command.arg(verb.get_program()).args(verb.get_args());
    let done = run(&mut command);
    let calls = strace::read(&trace);
    (scene, done, calls)
}

/// Every blow at every call of the verb, each judged.
pub fn strike_all(what: &str, act: &dyn Play) {
    if !strace::works() {
        return skip("strace cannot inject faults here");
    }
    let (scene, done, calls) = play(act, 0, None);
    if act.always().is_none() {
        done.assert_code(0);
    }
    act.judge(&scene, 0, &done).expect("without any fault");
    let mut cases = cases(&calls, &act.begins_at(&scene).display().to_string());
    cases.retain(|case| act.can_be_struck(case));
    let all = cases.len();
    if !std::env::var("STILLPOINT_EVERY_STEP").is_ok_and(|size| size == "full") {
        cases.retain(|case| case.number % 3 == 1);
    }
    assert!(!cases.is_empty(), "{what}: nothing is tried");
    let struck = AtomicUsize::new(0);
    let strike = |case: &Case| {
        let (scene, done, calls) = play(act, case.number, Some(&case.injection()));
        let hit = match case.blow {
            Blow::Killed => done.signal() == Some(9),
            // It may be too late to change anything.
            Blow::Interrupted => {
                matches!((done.signal(), done.status.code()), (Some(2), _) | (_, Some(0)))
            }
            Blow::Full | Blow::FullFromThenOn => calls.iter().any(|call| call.struck),
        };
        struck.fetch_add(usize::from(hit), Ordering::Relaxed);
        let in_order = match case.blow {
            Blow::Killed => true,
            Blow::Interrupted => hit,
            Blow::Full | Blow::FullFromThenOn => matches!(done.code(), 0 | 64..=77 | 126),
        };
        if !in_order {
            return Err(format!("it neither succeeded nor failed in good order: {done:#?}"));
        }
        act.judge(&scene, case.number, &done).map_err(|what| format!("{what}\n{done:#?}"))
    };
    let violations = check(&cases, Case::name, strike);
    let struck = struck.into_inner();
    report(
        &format!("{what}: {struck} of {} deaths and full disks struck, of {all}", cases.len()),
        &violations,
    );
    assert!(struck * 10 >= cases.len() * 9, "only {struck} of {} struck", cases.len());
}

pub fn ensure(so: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if so { Ok(()) } else { Err(what()) }
}
