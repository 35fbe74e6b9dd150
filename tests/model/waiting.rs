//! A writer at a closed gate. Stands for `shared/wait.rs` and `member/healing.rs`: it sleeps in
//! ticks, heals, and revokes.
//!
//! No clock is modelled. Where the code asks how long something has lasted there are events: a tick
//! has passed, the pause's limit has passed, or neither. A scene in which no time passes shows that
//! wake-ups alone suffice.

use crate::model::Event;
use crate::scene::Scene;
use crate::state::{Broken, State, Who};
use crate::variants::Variant;
use crate::writer;

/// The step that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pc {
    /// In `look_after`: how long has this generation stood?
    LookAfter,
    /// Its `limit` was read and has passed, or the holder is dead: swap the generation.
    Open,
    /// That was done, and the waiters are to be let in.
    Readmit,
    /// It will count among the waiters.
    Count,
    /// About to sleep.
    Sleep,
    Asleep,
    /// Something woke it.
    Awake,
    /// It counts no longer.
    Uncount,
}

pub fn step(
    scene: &Scene,
    s: &mut State,
    i: usize,
    pc: Pc,
    event: Event,
) -> Option<(writer::Pc, &'static str)> {
    let w = s.writers[i];
    let b = w.at as usize;
    let gate = &mut s.barriers[b];
    let me = &mut s.writers[i];
    let sleep = if scene.readmits_one && !w.waiting { Pc::Count } else { Pc::Sleep };
    let (pc, name) = match (pc, event) {
        (Pc::LookAfter, Event::Step) => (sleep, "wait::look_after: too early"),
        (Pc::LookAfter, Event::Limit) if scene.limits && gate.limit != 0 => {
            me.limit = gate.limit;
            (Pc::Open, "wait::look_after: the limit has passed")
        }
        (Pc::LookAfter, Event::Tick) if scene.ticks => {
            let free = scene.can_ask[i]
                && if scene.is(Variant::HealerTakesX) {
                    gate.x.try_take(Who::Writer(i))
                } else {
                    gate.x.is_free()
                };
            (if free { Pc::Open } else { sleep }, "wait::look_after: is X free?")
        }
        (Pc::Open, Event::Step) => {
            let opened = if scene.is(Variant::OpenByStore) {
                if gate.generation != w.generation {
                    s.broken = Some(Broken::OpenedUnseen);
                }
                gate.generation = w.generation + 1;
                true
            } else {
                let closer = gate.closer;
                let opened = match scene.is(Variant::OldHealed) {
                    true => s.open_any(b, w.generation),
                    false => s.open(b, w.generation),
                };
                if opened && w.limit != 0 && w.limit != closer {
                    s.broken = Some(Broken::WrongLimit);
                }
                opened
            };
            s.writers[i].limit = 0;
            let pc = if opened { Pc::Readmit } else { return Some(let_in(scene, s, i)) };
            (pc, "wait::open_for_all: Gate::open")
        }
        (Pc::Readmit, Event::Step | Event::Second) => {
            let second = event == Event::Second;
            if second && !(scene.readmits_one && s.sleepers(b).count() > 1) {
                return None;
            }
            s.wake_gate(b, scene.readmits_one.then_some(usize::from(second)));
            return Some((let_in(scene, s, i).0, "wait::readmit: wake"));
        }
        (Pc::Count, Event::Step) => {
            gate.waiters += 1;
            me.waiting = true;
            (Pc::Sleep, "wait::for_opening: waiters + 1")
        }
        (Pc::Sleep, Event::Step) => {
            let still = gate.generation == w.generation;
            (if still { Pc::Asleep } else { Pc::Awake }, "Futex::wait: generation")
        }
        (Pc::Asleep, Event::Tick) if scene.ticks => (Pc::Awake, "Futex::wait: time is up"),
        (Pc::Asleep, Event::Spurious) => (Pc::Awake, "Futex::wait: for nothing"),
        (Pc::Awake, Event::Step) => {
            if gate.generation != w.generation {
                return Some((let_in(scene, s, i).0, "wait::wait_here: now"));
            }
            (Pc::Sleep, "wait::wait_here: now")
        }
        (Pc::Awake, Event::Tick) if scene.ticks && gate.generation == w.generation => {
            (Pc::LookAfter, "wait::wait_here: time to look after oneself")
        }
        (Pc::Uncount, Event::Step) => {
            gate.waiters -= 1;
            me.waiting = false;
            return Some((let_in(scene, s, i).0, "wait::for_opening: waiters - 1"));
        }
        _ => return None,
    };
    Some((writer::Pc::Wait(pc), name))
}

/// The gate has opened, as far as this waiter knows.
fn let_in(scene: &Scene, s: &mut State, i: usize) -> (writer::Pc, &'static str) {
    let me = &mut s.writers[i];
    if scene.is(Variant::HealerTakesX) && s.barriers[me.at as usize].x.is_held_by(Who::Writer(i)) {
        s.barriers[me.at as usize].x.close(Who::Writer(i));
    }
    me.generation = 0;
    if me.waiting {
        return (writer::Pc::Wait(Pc::Uncount), "wait::open_for_all: Gate::open");
    }
    me.readmitted = scene.readmits_one;
    (writer::Pc::Ask, "wait::open_for_all: Gate::open")
}
