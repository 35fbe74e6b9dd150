//! A tool: takes the exclusive side again and again, with all kinds of limits, and has every pause
//! judged. It runs as threads of the harness and as processes that are killed and stopped.

use crate::arena::Arena;
use crate::chance::Chance;
use crate::oracle::Judge;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use stillpoint::{Barrier, Error, ErrorKind, ExclusiveGuard, ExclusiveOptions};

pub fn run(arena: &Arena) {
    let seed = u64::from(std::process::id()) << 32 | u64::from(arena.writers());
    let mut chance = Chance::new(seed ^ (&raw const seed).addr() as u64);
    let barrier = Barrier::open(arena.barrier()).expect("the barrier is there");
    while !arena.is_over() {
        let overstay = chance.one_in(20);
        let hold = if overstay { chance.up_to_ms(20) } else { Duration::from_secs(2) };
        let mut options = ExclusiveOptions {
            patience: if chance.one_in(2) { Duration::ZERO } else { chance.up_to_ms(100) },
            drain: Duration::from_millis(5) + chance.up_to_ms(60),
            hold: Some(hold),
            wait: Some(Duration::from_secs(1)),
            keep_descriptor: chance.one_in(4),
            ..Default::default()
        };
        match barrier.exclusive(&mut options) {
            Ok(pause) => {
                if overstay {
                    std::thread::sleep(chance.up_to_ms(60));
                }
                match judged(arena, pause) {
                    Ok(()) | Err(Error::Revoked { .. }) => {}
                    Err(error) => arena.complain(&format!("a release failed: {error}")),
                }
            }
            Err(error) => match error.kind() {
                ErrorKind::NotQuiet | ErrorKind::Busy | ErrorKind::Revoked => {}
                _ => arena.complain(&format!("an exclusive side failed: {error}")),
            },
        }
        std::thread::sleep(chance.up_to_ms(8));
    }
}

/// Judges a pause and ends it.
pub fn judged(arena: &Arena, pause: ExclusiveGuard) -> Result<(), Error> {
    arena.counters().granted.fetch_add(1, SeqCst);
    let mut judge = Judge::at_grant(arena, pause.report().dirty_at_grant[0].epoch);
    if arena.counters().granted.load(SeqCst).is_multiple_of(2) {
        std::thread::sleep(Duration::from_millis(2));
    }
    judge.at_release();
    match pause.release() {
        Ok(report) => {
            arena.counters().certified.fetch_add(1, SeqCst);
            let who = format!("process {} ({report:?})", std::process::id());
            judge.convict(&who);
            Ok(())
        }
        Err(error) => {
            arena.counters().revoked.fetch_add(1, SeqCst);
            Err(error)
        }
    }
}
