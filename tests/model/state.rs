//! What a state is: the words of the barrier file, the kernel's locks on it, and where everybody is.
//!
//! The numbers stay small (see `numbers`). The `drain` word is only compared with a tool's own ticket,
//! so that tool carries the answer: has it moved since?

use crate::tool::Tool;
use crate::writer::Writer;
use std::hash::{Hash, Hasher};

pub const BARRIERS: usize = 2;
pub const SLOTS: usize = 3;
pub const WRITERS: usize = 3;
pub const TOOLS: usize = 2;

/// The generation of a gate that is closed for good.
pub const SUPERSEDED: u8 = u8::MAX;

/// Whether a gate of this generation is closed.
pub fn is_closed(generation: u8) -> bool {
    generation % 2 == 1
}

/// Whether a writer with this word is inside, as far as the word tells.
pub fn is_inside(word: u8) -> bool {
    word % 2 == 1
}

/// The processes: writers first, then tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    Writer(usize),
    Tool(usize),
}

impl Who {
    fn bit(self) -> u8 {
        1 << match self {
            Who::Writer(index) => index,
            Who::Tool(index) => WRITERS + index,
        }
    }
}

/// A lock byte: who keeps the description alive on which it was taken. Nobody: the byte is free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lock(u8);

impl Lock {
    pub fn is_free(self) -> bool {
        self.0 == 0
    }

    pub fn is_held_by(self, who: Who) -> bool {
        self.0 & who.bit() != 0
    }

    /// Whether somebody else than `who` holds it.
    pub fn is_held_by_another(self, who: Who) -> bool {
        self.0 & !who.bit() != 0
    }

    /// Takes it on a fresh description, if it is free.
    pub fn try_take(&mut self, who: Who) -> bool {
        let free = self.is_free();
        if free {
            self.0 = who.bit();
        }
        free
    }

    /// Another process comes to keep the description too.
    pub fn inherit(&mut self, who: Who) {
        self.0 |= who.bit();
    }

    /// One process's descriptors and maps are gone.
    pub fn close(&mut self, who: Who) {
        self.0 &= !who.bit();
    }

    /// Explicitly, whoever keeps the description.
    pub fn unlock(&mut self) {
        self.0 = 0;
    }
}

/// What a slot says of its owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    #[default]
    Free,
    Thread,
    Counted,
    Command,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Slot {
    pub word: u8,
    pub kind: Kind,
    /// `FLAG_MAY_BE_COVERED`.
    pub may_be_covered: bool,
    /// The life byte.
    pub life: Lock,
    /// Seen by the properties only: its owner was lost inside, and the dirty epoch was not raised
    /// for that yet.
    pub lost: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Barrier {
    pub generation: u8,
    /// 0: none. Else the tool whose limit it is, from 1.
    pub limit: u8,
    /// The waiters hint; kept only where a wake-up is passed on.
    pub waiters: u8,
    pub slots: [Slot; SLOTS],
    /// The byte X.
    pub x: Lock,
    /// Seen by the properties only: the tool that closed the gate, from 1.
    pub closer: u8,
}

/// How a process is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Life {
    /// It takes no part in this scene, or does not yet.
    #[default]
    Unborn,
    Runs,
    Stopped,
    Dead,
}

/// What must never happen, noticed in the very step that does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Broken {
    /// A word was cleared under a living owner.
    FalseDeath,
    /// A gate was opened from another generation than the one that was seen.
    OpenedUnseen,
    /// A waiter counted by the limit of another pause.
    WrongLimit,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub barriers: [Barrier; BARRIERS],
    pub writers: [Writer; WRITERS],
    pub tools: [Tool; TOOLS],
    /// How many may yet be killed, and stopped.
    pub crashes: u8,
    pub stops: u8,
    pub broken: Option<Broken>,
    /// The first barrier is a file that was in the place of the second.
    pub replaced: bool,
    /// That nobody is left there was found out.
    pub alone: bool,
}

/// Who takes no part is passed over: most of the time goes into this.
impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        fn present<T: Default + PartialEq + Hash>(all: &[T], hasher: &mut impl Hasher) {
            let absent = T::default();
            all.iter()
                .enumerate()
                .filter(|(_, one)| **one != absent)
                .for_each(|one| one.hash(hasher));
        }
        present(&self.barriers, hasher);
        present(&self.writers, hasher);
        present(&self.tools, hasher);
        (self.crashes, self.stops, self.broken, self.alone).hash(hasher);
    }
}

impl State {
    /// `Gate::bump_drain`, first half: the word moves, so no ticket is current any more.
    pub fn bump_drain(&mut self, barrier: usize) {
        for tool in self.tools.iter_mut().filter(|tool| tool.at as usize == barrier) {
            tool.bumped();
        }
    }

    /// `Gate::bump_drain`, second half: whoever sleeps on the word wakes.
    pub fn wake_drain(&mut self, barrier: usize) {
        for tool in self.tools.iter_mut().filter(|tool| tool.at as usize == barrier) {
            tool.wake();
        }
    }

    /// The writers that sleep on the gate.
    pub fn sleepers(&self, barrier: usize) -> impl Iterator<Item = usize> {
        let asleep = self.writers.map(|writer| writer.sleeps_on(barrier));
        (0..WRITERS).filter(move |index| asleep[*index])
    }

    /// Wakes everybody who sleeps on the gate, or one of them: the n-th.
    pub fn wake_gate(&mut self, barrier: usize, only: Option<usize>) {
        let sleepers: Vec<usize> = self.sleepers(barrier).collect();
        for (nth, sleeper) in sleepers.into_iter().enumerate() {
            if only.is_none_or(|only| only == nth) {
                self.writers[sleeper].wake();
            }
        }
    }

    /// `Gate::open`: swaps `closed` for the next generation, unless the gate is closed for good.
    pub fn open(&mut self, barrier: usize, closed: u8) -> bool {
        closed != SUPERSEDED && self.open_any(barrier, closed)
    }

    pub fn open_any(&mut self, barrier: usize, closed: u8) -> bool {
        let gate = &mut self.barriers[barrier];
        let opened = is_closed(closed) && gate.generation == closed;
        if opened {
            gate.generation = gate.generation.wrapping_add(1);
            gate.closer = 0;
        }
        opened
    }

    /// `Gate::supersede`, without the wake-ups.
    pub fn supersede(&mut self, barrier: usize) {
        let gate = &mut self.barriers[barrier];
        gate.generation = SUPERSEDED;
        gate.closer = 0;
    }

    /// `DirtyRecord::raise`, for the owner that this slot has lost.
    pub fn raise_dirty(&mut self, barrier: usize, slot: usize) {
        self.barriers[barrier].slots[slot].lost = false;
        for tool in &mut self.tools {
            tool.dirty_raised();
        }
    }

    /// The second store of `Slot::settle`. Only who holds the life byte, or nobody else does, may.
    pub fn clear_word(&mut self, barrier: usize, slot: usize, who: Who) {
        let slot = &mut self.barriers[barrier].slots[slot];
        if slot.life.is_held_by_another(who) {
            self.broken = Some(Broken::FalseDeath);
        }
        slot.word += slot.word % 2;
    }

    /// The kernel closes what a process has open: its locks fall, in whatever step it was.
    pub fn close_locks_of(&mut self, who: Who) {
        for barrier in &mut self.barriers {
            barrier.x.close(who);
            barrier.slots.iter_mut().for_each(|slot| slot.life.close(who));
        }
    }
}
