//! flock(1) from util-linux on the barrier file counts as a share.

use crate::common::{Place, at_once, ms, skip, until};
use std::fs::File;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use stillpoint::{Error, ErrorKind, Phase};

/// `flock -s FILE cat`: holds until its input ends.
fn script(place: &Place) -> Option<Child> {
    let mut command = Command::new("flock");
    command.arg("-s").arg(place.barrier_path()).arg("-c").arg("echo inside; cat");
    match command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() {
        Ok(mut child) => {
            let mut said = [0; 7];
            std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut said).unwrap();
            Some(child)
        }
        Err(error) => {
            skip(&format!("flock(1) cannot be started: {error}"));
            None
        }
    }
}

#[test]
fn a_script_with_flock_holds_a_share() {
    let place = Place::new();
    let barrier = place.barrier();
    let Some(mut child) = script(&place) else { return };
    let mut impatient = at_once(50).wait(ms(30));
    let error = barrier.exclusive(&mut impatient).unwrap_err();
    let Error::NotQuiet { writers, .. } = &error else { panic!("{error}") };
    // flock(1) holds it, or the command that inherited it: /proc/locks names the former.
    let named: Vec<_> = writers.iter().map(|writer| (writer.slot, writer.pid)).collect();
    assert_eq!(named, [(None, child.id())]);
    assert!(error.to_string().contains("flock"), "{error}");
    assert_eq!(place.status().generation, 0, "waited with the gate open");
    let mut input = child.stdin.take();
    let mut phases = Vec::new();
    let mut progress = |waiting: &stillpoint::Waiting<'_>| {
        phases.push((waiting.phase, waiting.writers.len()));
        drop(input.take());
    };
    let mut patient = at_once(100).wait(ms(20_000)).progress(&mut progress);
    let pause = barrier.exclusive(&mut patient).unwrap();
    assert_eq!(phases[0], (Phase::Foreign, 1));
    pause.release().unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_pause_keeps_scripts_out() {
    let place = Place::new();
    let barrier = place.barrier();
    for keep_descriptor in [false, true] {
        let mut options = at_once(100).keep_descriptor(keep_descriptor);
        let pause = barrier.exclusive(&mut options).unwrap();
        let try_script = || {
            let mut command = Command::new("flock");
            command.arg("-sn").arg(place.barrier_path()).arg("true");
            command.stdin(Stdio::null()).status()
        };
        match try_script() {
            Ok(status) => assert_eq!(status.code(), Some(1)),
            Err(error) => return skip(&format!("flock(1) cannot be started: {error}")),
        }
        pause.release().unwrap();
        assert!(try_script().unwrap().success());
    }
}

#[test]
fn a_script_that_is_killed_lets_go() {
    let place = Place::new();
    let barrier = place.barrier();
    let Some(mut child) = script(&place) else { return };
    // Its command ends when its input does, and then nobody holds the lock.
    let mut input = child.stdin.take().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let _ = input.write_all(b"x");
    drop(input);
    until("the lock is free", || match barrier.exclusive(&mut at_once(100)) {
        Ok(pause) => pause.release().is_ok(),
        Err(error) => error.kind() != ErrorKind::NotQuiet,
    });
}

#[test]
fn a_script_keeps_the_barrier_from_being_retired() {
    let place = Place::new();
    let barrier = place.barrier();
    let Some(mut child) = script(&place) else { return };
    assert_eq!(barrier.retire().unwrap_err().kind(), ErrorKind::InUse);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    stillpoint::Barrier::open(place.barrier_path()).unwrap().retire().unwrap();
    assert!(!place.barrier_path().exists());
}

/// A reader of flock(2) who holds it most of the time and leaves it for a millisecond now and then: how
/// many of these moments go by is counted.
#[test]
fn a_lock_that_is_free_for_moments_is_had_in_one_of_the_first() {
    const ROUNDS: u32 = 40;
    let place = Place::new();
    let barrier = place.barrier();
    let (moments, done) = (AtomicU32::new(0), AtomicBool::new(false));
    let mut missed = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let file = File::open(place.barrier_path()).unwrap();
            while !done.load(Ordering::Relaxed) {
                file.lock_shared().unwrap();
                // Of several lengths, lest the two go in step.
                let moment = moments.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(ms(15 + u64::from(moment * 7 % 10)));
                file.unlock().unwrap();
                std::thread::sleep(ms(1));
            }
        });
        for _ in 0..ROUNDS {
            let last = moments.load(Ordering::Relaxed);
            until("it is taken again", || moments.load(Ordering::Relaxed) != last);
            let before = moments.load(Ordering::Relaxed);
            let mut patient = at_once(100).wait(ms(20_000));
            let pause = barrier.exclusive(&mut patient).unwrap();
            missed += moments.load(Ordering::Relaxed) - before;
            pause.release().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(4 * missed <= 3 * ROUNDS, "{missed} moments were missed for {ROUNDS} locks");
}
