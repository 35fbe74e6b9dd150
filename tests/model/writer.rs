//! A writer: enters, nests, leaves. Stands for `Gate::enter`, `Gate::leave` and what of `seat/`,
//! `shared/counted.rs`, `member/cover.rs` and `shared/command_share.rs` touches what others see.
//!
//! The fast path of `Barrier::shared` is the first turn of `Gate::enter`: the same loads and stores.
//! A writer may be killed or stopped between any two of these steps.

use crate::cover::{self, Claim};
use crate::join;
use crate::model::Event;
use crate::scene::Scene;
use crate::state::{BARRIERS, Kind, Life, SUPERSEDED, State, Who, is_closed, is_inside};
use crate::variants::Variant;
use crate::waiting;

/// The deepest that shares nest.
const DEPTH: u8 = 2;

/// The step that comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Pc {
    /// Outside; a share may be asked for, or never again.
    #[default]
    Idle,
    /// In `Gate::enter`: is the gate open?
    Ask,
    /// In `Covered::holds`: its word, or its generation; then its lock byte.
    Cover {
        published: bool,
    },
    CoverByte {
        published: bool,
    },
    Publish,
    Check,
    Retract,
    /// In `Gate::enter`: the generation to wait for.
    Again,
    Wait(waiting::Pc),
    Inside,
    /// In a nested share, where nothing is asked; but for the variant that does.
    NestAsk,
    AfterLeave,
    /// The share of a command gives its life byte back before it tells the exclusive side.
    Unlock,
    AfterLeaving,
    Bump,
    WakeDrain,
    PassOn,
    Join(join::Pc),
    /// In `succession::come_over`: the old gate is closed for good, its sleepers are woken, and whatever
    /// begins, begins in the new file.
    Supersede,
    SupersedeWake,
    Follow,
    /// It never asks for a share again.
    Done,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Writer {
    pub life: Life,
    pub pc: Pc,
    /// The barrier that it is busy with.
    pub at: u8,
    /// The first of those that it takes shares of.
    pub home: u8,
    /// Shares, by barrier. Not 0 until the very store that ends the last one.
    pub depth: [u8; BARRIERS],
    pub slot: u8,
    /// The generation that it waits for to pass; 0: none.
    pub generation: u8,
    pub claim: Claim,
    /// A wake-up is to be passed on.
    pub readmitted: bool,
    /// It counts among the waiters.
    pub waiting: bool,
    /// `Bump` is that of `Gate::retract`, not of leaving.
    pub backing_out: bool,
    /// Its thread has ended.
    pub gone: bool,
    /// The limit that it has waited for; 0: not for one.
    pub limit: u8,
    /// Seen by the properties only: the tool, from 1, under whose pause it is inside.
    pub under: u8,
    /// Seen by the properties only: it is a command that writes under its wrapper's share, whether it
    /// takes one itself or not.
    pub protected: bool,
}

impl Writer {
    pub fn lives(&self) -> bool {
        matches!(self.life, Life::Runs | Life::Stopped)
    }

    /// Whether it is inside, in truth.
    pub fn is_inside(&self, barrier: usize) -> bool {
        self.lives() && (self.depth[barrier] > 0 || self.protected && barrier == 0)
    }

    pub fn sleeps_on(&self, barrier: usize) -> bool {
        self.lives() && self.at as usize == barrier && self.pc == Pc::Wait(waiting::Pc::Asleep)
    }

    pub fn wake(&mut self) {
        self.pc = Pc::Wait(waiting::Pc::Awake);
    }

    /// Whether nothing is left to do that it has begun.
    pub fn rests(&self) -> bool {
        self.life != Life::Runs || matches!(self.pc, Pc::Idle | Pc::Done)
    }

    /// The share of the barrier that it is busy with has ended.
    fn outside(&mut self) -> Pc {
        if self.gone {
            return Pc::Done;
        }
        if self.at > self.home {
            self.at -= 1;
            return Pc::Inside;
        }
        Pc::Idle
    }
}

/// Takes the writer's next step, if it can take one by this event. The name of the step says which
/// function it stands for.
pub fn step(scene: &Scene, s: &mut State, i: usize, event: Event) -> Option<&'static str> {
    let w = s.writers[i];
    let (b, slot) = (w.at as usize, w.slot as usize);
    let closed = is_closed(s.barriers[b].generation);
    let counted = scene.counts[i];
    let me = &mut s.writers[i];
    let word = &mut s.barriers[b].slots[slot].word;
    let (pc, name) = match (w.pc, event) {
        (Pc::Idle | Pc::Ask, Event::Step) => {
            let pc = match () {
                () if !closed => Pc::Publish,
                () if w.claim != Claim::None => Pc::Cover { published: false },
                () => Pc::Again,
            };
            (pc, "Gate::enter: now")
        }
        (Pc::Cover { .. } | Pc::CoverByte { .. }, _) => cover::step(scene, s, i, event)?,
        (Pc::Publish, Event::Step) => {
            if counted && scene.is(Variant::CountedAsNumber) {
                *word += 1;
            } else if counted {
                *word += if is_inside(*word) { 2 } else { 1 };
            } else {
                *word += 2 - (*word + 1) % 2;
            }
            let unchecked = scene.is(Variant::NoCheckAfterPublishing)
                || scene.is(Variant::CoverBeforePublishing) && closed && w.claim != Claim::None;
            if unchecked {
                s.enter(i);
            }
            (if unchecked { Pc::Inside } else { Pc::Check }, "Gate::publish: word")
        }
        (Pc::Check, Event::Step) => {
            let pc = match () {
                () if !closed => {
                    s.enter(i);
                    s.writers[i].under = 0;
                    Pc::Inside
                }
                () if w.claim != Claim::None => Pc::Cover { published: true },
                () => Pc::Retract,
            };
            (pc, "Gate::publish: generation")
        }
        (Pc::Retract, Event::Step) => {
            end(scene, i, word);
            me.backing_out = !scene.is(Variant::RetractWithoutBump);
            (if me.backing_out { Pc::Bump } else { Pc::Again }, "Gate::retract: word")
        }
        (Pc::Again, Event::Step) => {
            let for_good = s.barriers[b].generation == SUPERSEDED;
            let pc = if for_good && !scene.is(Variant::OldHealed) {
                Pc::Supersede
            } else if closed {
                me.generation = s.barriers[b].generation;
                Pc::Wait(waiting::Pc::LookAfter)
            } else {
                Pc::Ask
            };
            (pc, "Gate::enter: the generation to wait for")
        }
        (Pc::Wait(pc), _) => waiting::step(scene, s, i, pc, event)?,
        (Pc::Idle, Event::Notice) if s.replaced && b == 0 => {
            (Pc::Supersede, "Place::open_fresh: replaced")
        }
        (Pc::Supersede, Event::Step) => {
            s.supersede(0);
            (Pc::SupersedeWake, "Gate::supersede: generation")
        }
        (Pc::SupersedeWake, Event::Step) => {
            s.wake_gate(0, None);
            (Pc::Follow, "Gate::supersede: wake")
        }
        (Pc::Follow, Event::Step) => {
            (me.home, me.at, me.generation) = (1, 1, 0);
            let there = &mut s.barriers[1].slots[slot];
            there.kind = Kind::Thread;
            there.life.inherit(Who::Writer(i));
            (Pc::Ask, "succession::come_over: the successor's")
        }
        (Pc::Inside, Event::Nest) if b + 1 < scene.barriers && !s.replaced => {
            me.at += 1;
            (Pc::Ask, "Barrier::shared: of the next barrier")
        }
        (Pc::Inside, Event::Nest) if scene.nests && w.depth[b] < DEPTH => {
            if scene.is(Variant::NestedShareAsks) {
                (Pc::NestAsk, "Barrier::shared: nested")
            } else {
                me.depth[b] += 1;
                (Pc::Inside, "Seat::try_enter: nested")
            }
        }
        (Pc::NestAsk, Event::Step) if !closed => {
            me.depth[b] += 1;
            (Pc::Inside, "Gate::try_enter: nested")
        }
        (Pc::Inside, Event::Step) if w.depth[b] > 1 => {
            me.depth[b] -= 1;
            (Pc::Inside, "Seat::leave: nested")
        }
        (Pc::Inside, Event::Step) => {
            end(scene, i, word);
            me.depth[b] = 0;
            s.end_cover(i, false);
            if let Some(command) = scene.command_of(i) {
                s.writers[command].protected = false;
                (Pc::Unlock, "Gate::leave: word")
            } else {
                (Pc::AfterLeave, "Gate::leave: word")
            }
        }
        (Pc::AfterLeave, Event::Step) => {
            let told = (closed && !scene.is(Variant::LeaveWithoutBump)) || w.readmitted;
            (if told { Pc::AfterLeaving } else { me.outside() }, "Gate::leave: generation")
        }
        (Pc::Unlock, Event::Step) => {
            s.barriers[b].slots[slot].life.unlock();
            (Pc::AfterLeaving, "Lifeline::unlock")
        }
        (Pc::AfterLeaving, Event::Step) => {
            let bumps = closed && !scene.is(Variant::LeaveWithoutBump);
            (if bumps { Pc::Bump } else { told(me) }, "wait::after_leaving: generation")
        }
        (Pc::Bump, Event::Step) => {
            s.bump_drain(b);
            (Pc::WakeDrain, "Gate::bump_drain: drain")
        }
        (Pc::WakeDrain, Event::Step) => {
            s.wake_drain(b);
            let me = &mut s.writers[i];
            let pc = if me.backing_out { Pc::Again } else { told(me) };
            me.backing_out = false;
            (pc, "Gate::bump_drain: wake")
        }
        (Pc::PassOn, Event::Step | Event::Second) => {
            let waits = s.barriers[b].waiters > 0;
            if event == Event::Second && (!waits || s.sleepers(b).count() < 2) {
                return None;
            }
            if waits {
                s.wake_gate(b, Some(usize::from(event == Event::Second)));
            }
            let me = &mut s.writers[i];
            me.readmitted = false;
            (me.outside(), "wait::after_leaving: pass the wake-up on")
        }
        (Pc::Join(pc), _) => join::step(scene, s, i, pc, event)?,
        (Pc::Idle | Pc::Inside, Event::EndThread | Event::Fork | Event::Start) => {
            join::choose(scene, s, i, event)?
        }
        _ => return None,
    };
    let me = &mut s.writers[i];
    me.pc = pc;
    let once = scene.one_share || scene.command_of(i).is_some();
    if once && pc == Pc::Idle && w.pc != Pc::Idle {
        me.pc = Pc::Done;
    }
    Some(name)
}

/// What is still owed once the exclusive side has been told.
fn told(me: &mut Writer) -> Pc {
    if me.readmitted { Pc::PassOn } else { me.outside() }
}

/// Takes a published word back, or ends a share: `Gate::retract`, `Gate::leave` and `uncount`.
fn end(scene: &Scene, i: usize, word: &mut u8) {
    let counted = scene.counts[i];
    *word = match () {
        () if counted && scene.is(Variant::CountedAsNumber) => word.saturating_sub(1),
        () if counted && *word > 2 && is_inside(*word) => *word - 2,
        () if counted => 0,
        () => *word + *word % 2,
    };
}
