//! Draining: with the gate closed, wait until nobody is inside.
//!
//! The exclusive side sleeps on the `drain` word, which every writer that leaves moves while the gate
//! is closed, and looks again at least every tick. Who was about to leave when it closed may not have seen
//! that, and moves nothing; so the first sleeps are shorter. At the first look and at every tick it asks of
//! each slot that is still odd whether its owner lives: a writer that died inside costs a tick, not a
//! limit. It notes in the slot since when it has seen the word there, so that `status` can say for how
//! long at least somebody has been inside: writers read no clock themselves, commands excepted.

use crate::error::Error;
use crate::error::who::Writer;
use crate::exclusive::held::Held;
use crate::file::layout::Slot;
use crate::gate::protocol::{Fenced, is_inside};
use crate::gate::sync::Ordering;
use crate::member::reclaim::reclaim;
use crate::report::watch::{Phase, Watch};
use std::time::{Duration, Instant};

/// How long the exclusive side sleeps at most between two looks.
const TICK: Duration = Duration::from_millis(10);
/// The same for the first sleeps after a closing.
const FIRST_TICKS: [Duration; 3] =
    [Duration::from_micros(50), Duration::from_micros(200), Duration::from_millis(1)];

/// Somebody who was seen inside.
#[derive(Clone, Debug)]
pub(crate) struct Insider {
    pub(crate) index: usize,
    pub(crate) word: u32,
    since: Instant,
    until: Instant,
}

impl Insider {
    fn slot<'map>(&self, slots: &'map [Slot]) -> &'map Slot {
        &slots[self.index]
    }

    /// Whether the very share that was seen has not ended.
    pub(crate) fn is_still_inside(&self, slots: &[Slot]) -> bool {
        self.slot(slots).word.load(Ordering::Acquire) == self.word
    }

    /// As a report names it; `alive` asks the kernel what it waits for.
    pub(crate) fn name(&self, slots: &[Slot], alive: bool) -> Writer {
        let slot = self.slot(slots);
        let seen_here = self.until.duration_since(self.since);
        let held = seen_here.max(slot.seen_for(self.word));
        let writer = Writer::of_slot(self.index, slot, self.word, held);
        if alive { writer } else { Writer { wait_channel: None, ..writer } }
    }
}

/// What a drain saw.
#[derive(Debug, Default)]
pub(crate) struct Drained {
    pub(crate) quiet: bool,
    /// Everybody who was seen inside, and was not dead.
    pub(crate) insiders: Vec<Insider>,
}

/// Waits until nobody is inside, at most until `deadline`.
pub(crate) fn drain(
    held: &Held,
    closed: &Fenced,
    deadline: Instant,
    watch: &mut Watch<'_>,
) -> Result<Drained, Error> {
    let attachment = held.attachment()?;
    let parts = attachment.parts;
    let slots = parts.slots();
    let mut insiders: Vec<Insider> = Vec::new();
    let mut asked: Option<Instant> = None;
    let mut cancelled = Ok(());
    let mut ticks = FIRST_TICKS.into_iter().chain(std::iter::repeat(TICK));
    let quiet = attachment.gate().wait_until_quiet(
        closed,
        || {
            attachment.is_cut();
            parts.words()
        },
        |words| {
            let now = Instant::now();
            note(words, slots, &mut insiders, now);
            if asked.is_none_or(|asked| asked.elapsed() >= TICK) {
                asked = Some(now);
                let before = insiders.len();
                insiders.retain(|insider| {
                    !insider.is_still_inside(slots)
                        || !reclaim(&held.barrier.inner.place, parts, insider.index)
                });
                if insiders.len() < before {
                    return Some(Duration::ZERO);
                }
            }
            let still =
                || still_inside(&insiders, slots).map(|seen| seen.name(slots, true)).collect();
            cancelled = watch.tick(Phase::Draining, held.barrier.path(), still);
            let remaining = deadline.saturating_duration_since(now);
            let tick = ticks.next().unwrap_or(TICK);
            (cancelled.is_ok() && !remaining.is_zero()).then(|| remaining.min(tick))
        },
    );
    cancelled?;
    if !quiet {
        insiders.retain(|insider| insider.is_still_inside(slots));
    }
    Ok(Drained { quiet, insiders })
}

/// Those of them whose share has not ended.
pub(crate) fn still_inside<'a>(
    insiders: &'a [Insider],
    slots: &'a [Slot],
) -> impl Iterator<Item = &'a Insider> {
    insiders.iter().filter(|insider| insider.is_still_inside(slots))
}

/// Adds who is inside now to those who were.
fn note(words: &[u32], slots: &[Slot], insiders: &mut Vec<Insider>, now: Instant) {
    for (index, word) in words.iter().copied().enumerate().filter(|(_, word)| is_inside(*word)) {
        match insiders.iter_mut().find(|seen| seen.index == index && seen.word == word) {
            Some(seen) => seen.until = now,
            None => {
                slots[index].see(word);
                insiders.push(Insider { index, word, since: now, until: now });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Barrier;

    /// Whoever leaves while the gate is closed tells the exclusive side, which would else only find out
    /// at its next tick. `share` enters, closes the gate, and leaves.
    fn tells(share: impl FnOnce(&Barrier, &(dyn Fn() + Sync))) {
        let folder = tempfile::tempdir().unwrap();
        let barrier = Barrier::create(folder.path().join("test.barrier")).unwrap();
        let gate = barrier.inner.attached().unwrap().gate();
        share(&barrier, &|| assert!(gate.close().is_some()));
        assert_ne!(gate.drain.word().load(Ordering::Relaxed), 0);
    }

    #[test]
    fn every_kind_of_share_tells_the_exclusive_side() {
        tells(|barrier, close| {
            let share = barrier.shared().unwrap();
            close();
            drop(share);
        });
        tells(|barrier, close| {
            let share = barrier.shared_owned().unwrap();
            close();
            drop(share);
        });
        tells(|barrier, close| {
            let share = barrier.shared_for_command(&mut Default::default()).unwrap();
            close();
            share.end();
        });
    }

    #[test]
    fn a_thread_that_ends_inside_tells_the_exclusive_side() {
        tells(|barrier, close| {
            std::thread::scope(|scope| {
                let forgets = || {
                    std::mem::forget(barrier.shared().unwrap());
                    close();
                };
                // Joined by name, it has really ended.
                scope.spawn(forgets).join().unwrap();
            });
        });
    }

    /// Whose store is on its way when the gate closes wakes nobody.
    #[test]
    fn one_that_leaves_without_a_word_costs_no_tick() {
        let folder = tempfile::tempdir().unwrap();
        let barrier = Barrier::create(folder.path().join("test.barrier")).unwrap();
        let mut held = Held::try_take(&barrier, 0, false).unwrap().unwrap();
        let mut pause = || {
            let share = barrier.shared().unwrap();
            let attachment = barrier.inner.attached().unwrap();
            let slot = attachment.slot(barrier.seat().unwrap().slot());
            let odd = slot.word.load(Ordering::Relaxed);
            let closed = held.close().unwrap();
            let began = Instant::now();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while slot.seen_word.load(Ordering::Relaxed) != odd {
                        std::thread::yield_now();
                    }
                    slot.word.store(odd + 1, Ordering::Release);
                });
                let deadline = began + Duration::from_secs(10);
                assert!(
                    drain(&held, &closed, deadline, &mut Watch::new(None, None)).unwrap().quiet
                );
            });
            let took = began.elapsed();
            held.reopen();
            drop(share);
            took
        };
        // On a busy machine some take longer.
        assert!((0..100).any(|_| pause() < TICK));
    }

    #[test]
    fn the_share_after_it_in_the_same_slot_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let barrier = Barrier::create(folder.path().join("test.barrier")).unwrap();
        let slots = barrier.inner.attached().unwrap().parts.slots();
        let mut insiders = Vec::new();
        let share = barrier.shared().unwrap();
        let words: Vec<u32> = slots.iter().map(|slot| slot.word.load(Ordering::Relaxed)).collect();
        note(&words, slots, &mut insiders, Instant::now());
        assert_eq!(still_inside(&insiders, slots).count(), 1);
        drop(share);
        let _share = barrier.shared().unwrap();
        assert_eq!(still_inside(&insiders, slots).count(), 0);
    }
}
