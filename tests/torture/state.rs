//! What a writer says of itself, and what the dirty epoch owes it if it dies so.
//!
//! A state carries a number that grows with every change, so that whoever saw one can tell later
//! whether the writer has moved since, wherever it has come to.

use crate::arena::{Arena, Record};
use std::collections::HashSet;
use std::sync::atomic::Ordering::SeqCst;

/// What a writer is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Doing {
    /// It is outside.
    Outside = 0,
    /// It is inside with a slot of its own, or died so.
    Inside = 1,
    /// It is inside, or died inside, with a share that may be counted with others of its process: the
    /// dirty epoch rises once for all of them.
    Counted = 2,
    /// It ended inside on purpose: its thread ended, or its process executed another program.
    Ended = 3,
    /// The same where the share may have been counted.
    CountedEnded = 4,
}

/// What it is doing, and the how manieth thing that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State(pub u32);

impl State {
    pub fn of(record: &Record) -> State {
        State(record.state.load(SeqCst))
    }

    /// The next one.
    pub fn next(self, doing: Doing) -> State {
        State(((self.0 >> 3) + 1) << 3 | doing as u32)
    }

    fn is(self, doing: Doing) -> bool {
        self.0 & 7 == doing as u32
    }

    pub fn is_outside(self) -> bool {
        self.is(Doing::Outside)
    }

    /// Whether it claims to be in the middle of a share.
    pub fn is_inside(self) -> bool {
        self.is(Doing::Inside) || self.is(Doing::Counted)
    }

    /// Whether a dead writer in this state was lost inside.
    pub fn is_loss(self) -> bool {
        !self.is_outside()
    }

    /// Whether others of its process may have been lost by the same raise.
    fn is_counted(self) -> bool {
        self.is(Doing::Counted) || self.is(Doing::CountedEnded)
    }
}

/// Adds up how often the dead must have raised the dirty epoch.
pub struct Ledger<'a> {
    arena: &'a Arena,
    losses: u32,
    counted: HashSet<u32>,
}

impl<'a> Ledger<'a> {
    pub fn new(arena: &'a Arena, losses: u32) -> Ledger<'a> {
        Ledger { arena, losses, counted: HashSet::new() }
    }

    /// A writer of this process ended, or is about to, in this state.
    pub fn enter(&mut self, process: u32, state: State) {
        if state.is_counted() {
            let known = self.arena.process(process).counted_loss.load(SeqCst) != 0;
            self.losses += u32::from(!known && self.counted.insert(process));
        } else {
            self.losses += u32::from(state.is_loss());
        }
    }

    /// The sum. `settle`: nobody need count these again.
    pub fn close(self, settle: bool) -> u32 {
        if settle {
            for process in &self.counted {
                self.arena.process(*process).counted_loss.store(1, SeqCst);
            }
        }
        self.losses
    }
}
