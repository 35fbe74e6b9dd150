//! Death at every step of the protocol: at the places that `sync::step` names, in a build with
//! `--cfg stillpoint_steps`.

use crate::common::many::{check, report};
use crate::oracle;
use crate::scene::is_chosen;
use crate::scene::{SCENES, Scene};
use crate::stage::{Mercy, Stage, Violation};
use std::collections::BTreeSet;
use std::sync::Mutex;

/// The steps that a scene's prelude and its act reach, by name.
fn logged(scene: &Scene) -> Result<(usize, Vec<String>), Violation> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let log = folder.path().join("steps");
    let mut stage = Stage::new(scene, &[("STILLPOINT_STEPS", format!("log:{}", log.display()))]);
    stage.play(scene.prelude, Mercy::None)?;
    let read = || std::fs::read_to_string(&log).unwrap_or_default();
    let before = read().lines().count();
    stage.play(scene.act, Mercy::None)?;
    let steps = read().lines().skip(before).map(String::from).collect();
    oracle::alive(&mut stage, None, false)?;
    Ok((before, steps))
}

fn abort_at(scene: &Scene, number: usize) -> Result<bool, Violation> {
    let mut stage = Stage::new(scene, &[("STILLPOINT_STEPS", format!("abort:{number}"))]);
    stage.play(scene.prelude, Mercy::None)?;
    stage.play(scene.act, Mercy::Death)?;
    if !stage.dead {
        // Waiting takes as many steps as it takes ticks.
        oracle::alive(&mut stage, None, false)?;
        return Ok(false);
    }
    oracle::dead(&mut stage).map(|()| true)
}

#[test]
fn death_at_any_step_is_survived_by_the_others() {
    let found = Mutex::new(Vec::new());
    let chosen: Vec<&Scene> = SCENES.iter().filter(|scene| is_chosen(scene.name)).collect();
    let wrong = check(
        &chosen,
        |scene| scene.name.to_string(),
        |scene| {
            let (before, steps) = logged(scene)?;
            let steps = steps.into_iter().enumerate();
            let numbered = steps.map(|(index, name)| (*scene, before + index + 1, name));
            found.lock().unwrap().extend(numbered);
            Ok(())
        },
    );
    assert!(wrong.is_empty(), "without any fault:\n{}", wrong.join("\n"));
    let mut cases = found.into_inner().unwrap();
    cases.sort_by_key(|(scene, number, _)| (scene.name, *number));
    let names: BTreeSet<&str> = cases.iter().map(|(_, _, name)| name.as_str()).collect();
    let aborted = std::sync::atomic::AtomicUsize::new(0);
    let violations = check(
        &cases,
        |(scene, number, name)| format!("{}: aborted at step {number}, {name:?}", scene.name),
        |(scene, number, _)| {
            let died = abort_at(scene, *number)?;
            aborted.fetch_add(usize::from(died), std::sync::atomic::Ordering::Relaxed);
            Ok(())
        },
    );
    let aborted = aborted.into_inner();
    report(&format!("{aborted} aborts at {} different steps", names.len()), &violations);
    assert!(aborted * 50 >= cases.len() * 49, "{aborted} of {} came to pass", cases.len());
}
