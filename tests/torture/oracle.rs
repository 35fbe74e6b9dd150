//! The oracle: judges one pause, from the grant to the release.
//!
//! At the grant everybody's record and both files are read. Whoever is marked inside must be dead, or
//! must have ended inside on purpose, and all of these must be covered by the dirty epoch; everybody
//! else's two numbers must be equal. Until the release nothing may have moved.
//!
//! A writer that is being killed is marked for ever, and the kernel may give its slot back a moment
//! before the lock that proves its life here. So whoever is marked gets a second to be dead. In that
//! time one that lives moves, or goes on living: both convict.

use crate::arena::{Arena, COUNTED, INSIDE, OUTSIDE, is_loss};
use std::ops::Range;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// How long a dying process may take.
const DYING: Duration = Duration::from_secs(1);

/// What a judge saw.
#[derive(PartialEq, Eq)]
struct Sight {
    states: Vec<u32>,
    index: Vec<u32>,
    counter: Vec<u32>,
}

/// A pause under judgement.
pub struct Judge<'a> {
    arena: &'a Arena,
    range: Range<u32>,
    at_grant: Sight,
    complaints: Vec<String>,
}

impl<'a> Judge<'a> {
    /// Looks at a pause that was just granted with this dirty epoch.
    pub fn at_grant(arena: &'a Arena, epoch: u32) -> Judge<'a> {
        let (first, settled) = arena.settled();
        let range = first..arena.writers();
        let sight = look(arena, range.clone());
        let mut judge =
            Judge { arena, range: range.clone(), at_grant: sight, complaints: Vec::new() };
        let mut losses = settled;
        for (at, writer) in range.enumerate() {
            let seen = &judge.at_grant;
            let (state, index, counter) = (seen.states[at], seen.index[at], seen.counter[at]);
            losses += u32::from(is_loss(state));
            if state == OUTSIDE && index != counter {
                let torn = format!("writer {writer} is outside with {index} and {counter}");
                judge.complaints.push(torn);
            }
            if matches!(state, INSIDE | COUNTED) && !is_dead(arena, writer, state) {
                judge.complaints.push(format!("writer {writer} is inside and lives"));
            }
        }
        if losses > epoch {
            let text = format!("{losses} writers died inside and the dirty epoch is {epoch}");
            judge.complaints.push(text);
        }
        judge
    }

    /// Looks again, just before the release.
    pub fn at_release(&mut self) {
        let now = look(self.arena, self.range.clone());
        if now != self.at_grant {
            for (at, writer) in self.range.clone().enumerate() {
                let (before, now) = (self.at_grant.of(at), now.of(at));
                if before != now {
                    let text = format!("writer {writer} went from {before:?} to {now:?}");
                    self.complaints.push(text);
                }
            }
        }
        let new = self.range.end..self.arena.writers();
        let begun = new.filter(|writer| self.arena.record(*writer).state.load(SeqCst) != OUTSIDE);
        let begun: Vec<u32> = begun.collect();
        if !begun.is_empty() {
            self.complaints.push(format!("new writers {begun:?} are inside"));
        }
    }

    /// The pause was certified: what was seen counts.
    pub fn convict(self, who: &str) {
        for complaint in self.complaints {
            self.arena.complain(&format!("{complaint}, in a certified pause of {who}"));
        }
    }
}

impl Sight {
    /// State and numbers of one writer.
    fn of(&self, at: usize) -> (u32, u32, u32) {
        (self.states[at], self.index[at], self.counter[at])
    }
}

fn look(arena: &Arena, range: Range<u32>) -> Sight {
    let states = range.clone().map(|writer| arena.record(writer).state.load(SeqCst));
    Sight {
        states: states.collect(),
        index: Arena::numbers(&arena.index, range.clone()),
        counter: Arena::numbers(&arena.counter, range),
    }
}

/// Whether a writer that was seen inside, in this state, is dead or soon will be.
fn is_dead(arena: &Arena, writer: u32, state: u32) -> bool {
    let record = arena.record(writer);
    let started = Instant::now();
    while record.state.load(SeqCst) == state && started.elapsed() < DYING {
        if !arena.lives(record.process.load(SeqCst)) {
            // Once more, now that nothing can change any more.
            return record.state.load(SeqCst) == state;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    false
}
