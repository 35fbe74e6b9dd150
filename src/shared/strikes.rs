//! What everybody sees of a thread at every step of a share, with signal handlers that take shares of their
//! own at any two of the steps: the line of the one whose word is odd, or none.
//!
//! `sync::step` stands between any two stores of enter and leave. A handler runs there, as one does that a
//! signal calls, and whoever looks then sees what a reader may see and what a death leaves.

use crate::barrier::handle::Barrier;
use crate::file::layout::Slot;
use crate::gate::protocol::{Gate, is_closed, is_inside};
use crate::gate::steps::STRIKE;
use crate::gate::sync::Ordering;
use crate::shared::guard::SharedGuard;
use std::cell::RefCell;
use std::panic::Location;

/// One way to take a share: its line.
#[derive(Clone, Copy)]
struct Way {
    line: u32,
    take: fn(&Barrier) -> SharedGuard<'_>,
}

macro_rules! way {
    () => {
        Way { line: line!(), take: |barrier| barrier.shared().unwrap() }
    };
}

const HERE: Way = way!();
const THERE: Way = way!();
const ELSEWHERE: Way = way!();

/// What happens in a share.
struct Play {
    barrier: &'static Barrier,
    slot: &'static Slot,
    /// Where handlers strike, and how they take their shares, the last one first.
    strikes: Vec<(usize, Way)>,
    /// Where the gate is closed. It opens when somebody has seen that.
    closing: usize,
    /// Steps that have passed.
    reached: usize,
    /// The lines of the one who was interrupted and of the handlers in it.
    lines: Vec<u32>,
    /// The word as it was last seen, and the line of who had set it.
    seen: (u32, u32),
    /// How often a line was seen.
    shown: usize,
}

thread_local! {
    static PLAY: RefCell<Option<Play>> = const { RefCell::new(None) };
}

impl Play {
    /// As a reader does, or a tool that finds this process dead.
    fn look(&mut self) {
        let word = self.slot.word.load(Ordering::Relaxed);
        if word != self.seen.0 {
            self.seen = (word, *self.lines.last().unwrap());
        }
        let shown = self.slot.taken_at(word);
        if !shown.is_empty() {
            assert!(is_inside(word), "{shown} of nobody");
            let its = format!("shared/strikes.rs:{}", self.seen.1);
            assert!(shown.ends_with(&its), "{shown}, of a share from {its}");
            self.shown += 1;
        }
    }

    fn step(&mut self, name: &str) -> Option<(&'static Barrier, Way)> {
        self.look();
        self.reached += 1;
        let gate = self.slot_gate();
        if self.reached == self.closing {
            let strike = STRIKE.take();
            gate.close();
            STRIKE.set(strike);
        } else if matches!(name, "drain: bumped" | "wait: counted") && is_closed(gate.now()) {
            gate.open(gate.now());
        }
        let (_, way) = self.strikes.pop_if(|(at, _)| *at == self.reached)?;
        self.lines.push(way.line);
        Some((self.barrier, way))
    }

    fn slot_gate(&self) -> &'static Gate {
        self.barrier.inner.attached().unwrap().parts.gate()
    }
}

fn strike(name: &'static str) {
    let handler = PLAY.with_borrow_mut(|play| play.as_mut().unwrap().step(name));
    let Some((barrier, way)) = handler else { return };
    drop((way.take)(barrier));
    PLAY.with_borrow_mut(|play| {
        let play = play.as_mut().unwrap();
        play.look();
        play.lines.pop();
        if name == "enter: told" {
            // In the middle of the text: the rest is written over the handler's.
            play.slot.taken_at.set(Location::caller().into());
        }
    });
}

/// Ends a play, be it by a failure.
struct Curtain;

impl Drop for Curtain {
    fn drop(&mut self) {
        STRIKE.set(None);
    }
}

/// Plays one share, and gives how many steps it took and how often its line was seen.
fn play(
    barrier: &'static Barrier,
    way: Way,
    strikes: &[(usize, Way)],
    closing: usize,
) -> (usize, usize) {
    let attachment = barrier.inner.attached().unwrap();
    let slot = attachment.slot(barrier.seat().unwrap().slot());
    let seen = (slot.word.load(Ordering::Relaxed), 0);
    let strikes = strikes.iter().rev().copied().collect();
    let lines = vec![way.line];
    let play = Play { barrier, slot, strikes, closing, reached: 0, lines, seen, shown: 0 };
    PLAY.set(Some(play));
    STRIKE.set(Some(strike));
    let curtain = Curtain;
    drop((way.take)(barrier));
    drop(curtain);
    let play = PLAY.take().unwrap();
    let gate = attachment.gate();
    gate.open(gate.now());
    assert!(!is_inside(slot.word.load(Ordering::Relaxed)) && barrier.depth() == 0);
    (play.reached, play.shown)
}

/// Plays a share with these strikes after one at another line, and some more: soon its line is seen again.
fn rehearse(
    barrier: &'static Barrier,
    before: Way,
    strikes: &[(usize, Way)],
    closing: usize,
) -> usize {
    drop((before.take)(barrier));
    let (steps, _) = play(barrier, HERE, strikes, closing);
    assert!((0..5).any(|_| play(barrier, HERE, &[], 0).1 > 0), "never again");
    steps
}

#[test]
fn nobody_is_seen_at_a_line_of_another_share() {
    let folder = tempfile::tempdir().unwrap();
    let barrier = Barrier::create(folder.path().join("test.barrier")).unwrap();
    let barrier: &'static Barrier = Box::leak(Box::new(barrier));
    drop(barrier.shared().unwrap());
    for before in [HERE, THERE] {
        let steps = rehearse(barrier, before, &[], 0);
        assert!(steps > 8, "{steps}");
        for (closing, at, first) in (0..=steps)
            .flat_map(|closing| (1..=steps).map(move |at| (closing, at)))
            .flat_map(|(closing, at)| [HERE, THERE].map(|first| (closing, at, first)))
        {
            let steps = rehearse(barrier, before, &[(at, first)], closing);
            for second in at + 1..=steps {
                for way in [HERE, THERE, ELSEWHERE] {
                    rehearse(barrier, before, &[(at, first), (second, way)], closing);
                }
            }
        }
    }
}
