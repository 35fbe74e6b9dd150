//! A tool: takes the exclusive side again and again, with all kinds of limits, and has every pause
//! judged. It runs as threads of the harness and as processes that are killed, stopped and frozen.

use crate::arena::Arena;
use crate::common::chance::Chance;
use crate::figures::Deed;
use crate::oracle::Judge;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use stillpoint::{Error, ErrorKind, ExclusiveGuard, ExclusiveOptions};

/// What a tool at a station says of itself: it has a pause.
pub const PAUSING: u32 = 1;
/// The same, and it was frozen in it.
pub const FROZEN: u32 = 2;

pub fn run(arena: &Arena, process: u32, station: Option<usize>) {
    let mut chance = Chance::of(arena.seed(), process ^ (&raw const process).addr() as u32);
    let barrier = arena.open_barrier(process);
    let say = |what| {
        let station = station.map(|station| arena.station(station));
        station.map_or(0, |station| station.swap(what, SeqCst))
    };
    say(0);
    while !arena.is_over() {
        let overstay = chance.one_in(20);
        let hold = match chance.below(3) {
            _ if overstay => chance.up_to_ms(20),
            0 => Duration::from_secs(2),
            _ => Duration::from_millis(100) + chance.up_to_ms(200),
        };
        let drain = if chance.one_in(8) { 500 } else { 60 };
        let mut options = ExclusiveOptions::default()
            .patience(if chance.one_in(2) { Duration::ZERO } else { chance.up_to_ms(100) })
            .drain(Duration::from_millis(5) + chance.up_to_ms(drain))
            .hold(hold)
            .wait(Duration::from_secs(1))
            .keep_descriptor(chance.one_in(4));
        match barrier.exclusive(&mut options) {
            Ok(pause) => {
                say(PAUSING);
                if overstay {
                    std::thread::sleep(chance.up_to_ms(60));
                } else if station.is_some() || chance.one_in(8) {
                    std::thread::sleep(chance.up_to_ms(20));
                }
                let ended = judged(arena, pause);
                let frozen = say(0) == FROZEN;
                match ended {
                    Ok(()) => {}
                    Err(Error::Revoked { .. }) => {
                        arena.count(Deed::FrozenRevoked, u32::from(frozen));
                    }
                    Err(error) => arena.complain(&format!("a release failed: {error}")),
                }
            }
            Err(error) => match error.kind() {
                ErrorKind::NotQuiet => arena.count(Deed::DrainTimeout, 1),
                ErrorKind::Busy | ErrorKind::Revoked => {}
                _ => arena.complain(&format!("an exclusive side failed: {error}")),
            },
        }
        std::thread::sleep(chance.up_to_ms(8));
    }
}

/// Judges a pause and ends it.
pub fn judged(arena: &Arena, pause: ExclusiveGuard) -> Result<(), Error> {
    arena.count(Deed::Granted, 1);
    let judge = Judge::at_grant(arena, pause.report().dirty_at_grant[0].epoch);
    if arena.counted(Deed::Granted).is_multiple_of(2) {
        std::thread::sleep(Duration::from_millis(2));
    }
    let findings = judge.at_release();
    match pause.release() {
        Ok(report) => {
            arena.count(Deed::Certified, 1);
            findings.convict(arena, &format!("process {} ({report:?})", std::process::id()));
            Ok(())
        }
        Err(error) => {
            arena.count(Deed::Revoked, 1);
            Err(error)
        }
    }
}
