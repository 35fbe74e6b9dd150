//! Every system call of the core fails, with every error that it may give; and the process is killed at
//! every system call that it makes. In the product's own build, by strace.

use crate::common::many::{check, report};
use crate::common::skip;
use crate::common::strace::{self, Call, Fault, Strace, Trouble};
use crate::errnos;
use crate::oracle::{self, Usage};
use crate::scene::{SCENES, Scene, is_chosen};
use crate::stage::{Mercy, Stage, Violation};
use std::collections::BTreeSet;

/// A scene, one fault in it, and what the same scene leaves open when nothing goes wrong.
struct Case {
    scene: &'static Scene,
    clean: Usage,
    fault: Fault,
}

/// What one run under strace showed.
struct Run {
    calls: Vec<Call>,
    verdict: Result<Usage, Violation>,
}

/// Plays a scene under strace, and has it judged.
fn play(scene: &Scene, fault: Option<&Fault>, clean: Option<Usage>) -> Result<Run, Violation> {
    let mut stage = Stage::new(scene, &[]);
    stage.play(scene.prelude, Mercy::None)?;
    let strace = Strace::attach(stage.target(), stage.place.path("trace"), fault)?;
    let mercy = match fault.map(|fault| fault.trouble) {
        None => Mercy::None,
        Some(Trouble::Fails(_)) => Mercy::Errors,
        Some(Trouble::Kills) => Mercy::Death,
    };
    let played = stage.play(scene.act, mercy);
    let verdict = played.and_then(|()| match stage.dead {
        true => oracle::dead(&mut stage).map(|()| Usage::default()),
        false => {
            let aside = fault.is_some_and(|fault| fault.name.starts_with("unlink"));
            oracle::alive(&mut stage, clean, aside)
        }
    });
    let verdict = verdict.map_err(|text| match stage.errors.as_slice() {
        [] => text,
        errors => format!("{text} ({})", errors.join("; ")),
    });
    stage.bury();
    Ok(Run { calls: strace.finish(), verdict })
}

/// How often a fault is tried before it counts as one that struck nothing: what other threads do may
/// move the numbers of calls.
const TRIES: usize = 3;

fn strike(case: &Case, striking: &Striking) -> Result<(), Violation> {
    for _ in 0..TRIES {
        let Run { calls, verdict } = play(case.scene, Some(&case.fault), Some(case.clean))?;
        let fault = &case.fault;
        let struck: Vec<&Call> = match fault.trouble {
            Trouble::Fails(_) => calls.iter().filter(|call| call.struck).collect(),
            // The call at which it died has no end.
            Trouble::Kills => calls
                .iter()
                .filter(|call| call.name == fault.name && call.nth == fault.nth)
                .collect(),
        };
        let fails = matches!(fault.trouble, Trouble::Fails(_));
        if fails && struck.iter().any(|call| errnos::of(call).is_empty()) {
            // Another process of the scene was struck too, in a call that is not the core's.
            break;
        }
        verdict?;
        if !struck.is_empty() {
            striking.count();
            return Ok(());
        }
    }
    striking.miss();
    Ok(())
}

/// How many faults struck, and how many found no such call.
#[derive(Default)]
struct Striking {
    hits: std::sync::atomic::AtomicUsize,
    misses: std::sync::atomic::AtomicUsize,
}

impl Striking {
    fn count(&self) {
        self.hits.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    fn miss(&self) {
        self.misses.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

/// The calls of every scene when nothing goes wrong.
fn traced() -> Vec<(&'static Scene, Vec<Call>, Usage)> {
    let found = std::sync::Mutex::new(Vec::new());
    let chosen: Vec<&Scene> = SCENES.iter().filter(|scene| is_chosen(scene.name)).collect();
    let wrong = check(
        &chosen,
        |scene| scene.name.to_string(),
        |scene| {
            let Run { calls, verdict } = play(scene, None, None)?;
            found.lock().unwrap().push((*scene, calls, verdict?));
            Ok(())
        },
    );
    assert!(wrong.is_empty(), "without any fault:\n{}", wrong.join("\n"));
    let mut found = found.into_inner().unwrap();
    found.sort_by_key(|(scene, ..)| scene.name);
    found
}

/// Every fault of one kind, each once in a scene.
fn cases(mut troubles: impl FnMut(&Call) -> Vec<Trouble>) -> Vec<Case> {
    let mut cases = Vec::new();
    for (scene, calls, clean) in traced() {
        let mut known = BTreeSet::new();
        for call in calls {
            for trouble in troubles(&call) {
                if known.insert((call.name.clone(), call.nth, format!("{trouble:?}"))) {
                    let fault = Fault { name: call.name.clone(), nth: call.nth, trouble };
                    cases.push(Case { scene, clean, fault });
                }
            }
        }
    }
    cases
}

fn strike_all(what: &str, cases: Vec<Case>) {
    let striking = Striking::default();
    let violations = check(
        &cases,
        |case| format!("{}: {}", case.scene.name, case.fault),
        |case| strike(case, &striking),
    );
    let Striking { hits, misses } = striking;
    let (hits, misses) = (hits.into_inner(), misses.into_inner());
    report(&format!("{hits} {what}, {misses} not met"), &violations);
    assert!(misses * 10 <= cases.len(), "{misses} faults struck nothing");
}

#[test]
fn every_call_may_fail() {
    if !strace::works() {
        return skip("strace cannot inject faults here");
    }
    let mut turns = errnos::Turns::default();
    strike_all("calls x errnos injected", cases(|call| turns.of(call)));
}

#[test]
fn death_at_any_call_is_survived_by_the_others() {
    if !strace::works() {
        return skip("strace cannot inject faults here");
    }
    strike_all(
        "deaths at system calls",
        cases(|call| {
            let ends = ["exit", "exit_group", "restart_syscall"].contains(&call.name.as_str());
            if ends { Vec::new() } else { vec![Trouble::Kills] }
        }),
    );
}
