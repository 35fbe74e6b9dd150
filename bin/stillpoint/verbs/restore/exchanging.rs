//! The moment in which what was restored and what is there change places.
//!
//! Each does so by one call, which has happened or has not. Several do it one after the other, and whoever is killed in
//! between leaves a store of two times. So the barriers are dirty meanwhile: nothing that is taken of such a store is
//! called clean, until somebody has looked at it.

use stillpoint::{Dirty, ExclusiveGuard};

use super::work::Work;
use crate::barrier::recovery::Recovery;
use crate::words::exit::{Exit, Failure, reason};
use crate::words::lines::warn;

/// All of them, or none.
pub fn exchange_all(
    works: &mut [Work],
    guard: &ExclusiveGuard,
    recoveries: &[Recovery<'_>],
    dirty: &[Dirty],
) -> anyhow::Result<()> {
    let midway = match works.len() {
        0 | 1 => Midway::default(),
        _ => Midway::begin(recoveries, dirty),
    };
    for index in 0..works.len() {
        let place = works[index].spot.place();
        let exchanged = match guard.is_revoked() {
            true => Err("the pause did not last".to_owned()),
            false => works[index].exchange().map_err(|error| reason(&error)),
        };
        if let Err(why) = exchanged {
            let mut all_are_back = true;
            for work in works[..=index].iter_mut().rev() {
                if let Err(error) = work.take_back() {
                    all_are_back = false;
                    warn(&format!(
                        "{}: stays replaced: {}",
                        work.spot.place().display(),
                        reason(&error)
                    ));
                }
            }
            let what_is = match all_are_back {
                true => {
                    midway.finish();
                    "nothing is"
                }
                false => "some are, so that the store is dirty",
            };
            let message = format!("{}: cannot be replaced, and {what_is}: {why}", place.display());
            return Err(Failure::new(Exit::CANNOT_CREATE, message).into());
        }
    }
    midway.finish();
    Ok(())
}

/// From before the first of several changes places until all have, or are back.
#[derive(Default)]
struct Midway<'a> {
    /// Those that were clean, and the epoch that each was raised to.
    raised: Vec<(&'a Recovery<'a>, u32)>,
}

impl<'a> Midway<'a> {
    fn begin(recoveries: &'a [Recovery<'a>], dirty: &[Dirty]) -> Midway<'a> {
        let clean = recoveries.iter().zip(dirty).filter(|(_, dirty)| !dirty.is_dirty());
        let raised = clean.map(|(recovery, dirty)| {
            recovery.barrier.raise_dirty(std::process::id(), "restore, cut short");
            (recovery, dirty.epoch.wrapping_add(1))
        });
        Midway { raised: raised.collect() }
    }

    fn finish(self) {
        for (recovery, epoch) in self.raised {
            if let Err(failure) = recovery.acknowledge(epoch) {
                warn(&format!("{}: stays dirty: {failure}", recovery.barrier.path().display()));
            }
        }
    }
}
