//! How a tool comes to a pause, or gives up. Stands for `acquire`, `closing` and the first half of `held`, in
//! `src/exclusive`.

use crate::model::Event;
use crate::scene::Scene;
use crate::state::{SUPERSEDED, State, Who, is_closed};
use crate::tool::{Pc, Phase, Tool, wake};
use crate::variants::Variant;

pub fn step(scene: &Scene, s: &mut State, i: usize, event: Event) -> Option<(Pc, &'static str)> {
    let who = Who::Tool(i);
    let t = s.tools[i];
    let b = t.at as usize;
    let me = &mut s.tools[i];
    let gate = &mut s.barriers[b];
    let last = b == scene.last_of(&t);
    let home = t.home as usize;
    Some(match (t.pc, event) {
        (Pc::Idle, Event::Step) if scene.waits_for_x => (Pc::TryX, "acquire"),
        (Pc::Idle | Pc::TryX, Event::Step) => {
            if !gate.x.try_take(who) {
                return None;
            }
            let pc = match () {
                () if scene.is(Variant::PaceBeforeHealing) && scene.paces[i] => Pc::Pace,
                () if scene.is(Variant::AnnounceBeforeHealing) => Pc::Announce,
                () => Pc::Heal,
            };
            (pc, "Held::try_take: X")
        }
        (Pc::TryX, Event::Limit) if scene.limits && b > home => {
            s.close_locks_of(who);
            (s.tools[i].rest(), "acquire::poll: busy")
        }
        // Of an old file: another one takes its place, and the caller is told.
        (Pc::Heal | Pc::CloseLoad | Pc::Close, Event::Step) if gate.generation == SUPERSEDED => {
            me.generation[b] = 0;
            (Pc::GiveBack, "Held::heal, Gate::close: closed for good")
        }
        (Pc::Heal, Event::Step) => {
            let odd = is_closed(gate.generation);
            me.generation[b] = if odd { gate.generation } else { 0 };
            (if odd { Pc::HealOpen } else { me.healed(scene, i, last) }, "Held::heal: now")
        }
        (Pc::HealOpen, Event::Step) => {
            let opened = s.open(b, t.generation[b]);
            let me = &mut s.tools[i];
            (
                if opened { Pc::HealWake } else { me.healed(scene, i, last) },
                "Held::heal: Gate::open",
            )
        }
        (Pc::HealWake, Event::Step) => {
            s.wake_gate(b, None);
            (s.tools[i].healed(scene, i, last), "wait::readmit: wake")
        }
        (Pc::Pace, Event::Limit) if scene.limits => {
            let pc = if scene.is(Variant::PaceBeforeHealing) { Pc::Heal } else { Pc::Announce };
            (pc, "acquire::pace")
        }
        (Pc::Gather, Event::Step) => {
            let alone = s.alone;
            s.alone |= scene.is(Variant::NotedTooEarly);
            let pc = match () {
                () if alone => Pc::Announce,
                () if scene.is(Variant::OldStaysOpen) => {
                    me.at = 0;
                    me.begin(Phase::Old);
                    Pc::Ticket
                }
                () => Pc::Supersede,
            };
            (pc, "Gathering::attempt: alone")
        }
        (Pc::Supersede, Event::Step) => {
            s.supersede(0);
            let wakes = !scene.is(Variant::SupersedeWithoutWake);
            let me = &mut s.tools[i];
            (
                if wakes { Pc::SupersedeWake } else { me.look_at_old() },
                "Gate::supersede: generation",
            )
        }
        (Pc::SupersedeWake, Event::Step) => {
            s.wake_gate(0, None);
            let me = &mut s.tools[i];
            let blind = scene.is(Variant::OldNotAwaited);
            (if blind { Pc::NoteAlone } else { me.look_at_old() }, "Gate::supersede: wake")
        }
        (Pc::OldAgain, Event::Step) => (me.look_at_old(), "acquire::gather: again"),
        (Pc::OldAgain, Event::Limit) if scene.limits => {
            me.at = t.home;
            (Pc::GiveBack, "acquire::gather: its limit has passed")
        }
        (Pc::NoteAlone, Event::Step) => {
            s.alone = true;
            (Pc::Announce, "Parts::note_alone")
        }
        (Pc::Announce, Event::Step) => {
            gate.limit = if scene.limited[i] { i as u8 + 1 } else { 0 };
            me.courteous = scene.courteous && !scene.is(Variant::NoCourtesy);
            let pc = match () {
                () if scene.is(Variant::AnnounceBeforeHealing) => Pc::Heal,
                () => me.each(last, Pc::Announce, Pc::CloseLoad),
            };
            (pc, "Held::announce: limit")
        }
        (Pc::CloseLoad, Event::Step) if !is_closed(gate.generation) => {
            (Pc::Close, "Gate::close: generation")
        }
        (Pc::Close, Event::Step) => {
            gate.generation += 1;
            gate.closer = i as u8 + 1;
            me.generation[b] = gate.generation;
            let pc = if scene.is(Variant::CloseTogether) && !last {
                me.at += 1;
                Pc::CloseLoad
            } else {
                if scene.is(Variant::CloseTogether) {
                    me.at = t.home;
                }
                me.begin(Phase::Drain);
                Pc::Ticket
            };
            (pc, "Gate::close: generation + 1")
        }
        (Pc::GrantCheck, Event::Step) => {
            let pc = match () {
                () if gate.generation != t.generation[b] => me.restart_at(Pc::Reopen),
                () if !last => me.each(last, Pc::GrantCheck, Pc::Paused),
                () => {
                    me.at = t.home;
                    me.granted = true;
                    me.sound = true;
                    me.clean = true;
                    me.lost = s.barriers.iter().any(|gate| gate.slots.iter().any(|slot| slot.lost));
                    Pc::Paused
                }
            };
            (pc, "Held::is_closed")
        }
        (Pc::Reopen, Event::Step) => {
            let opened = s.open(b, t.generation[b]);
            let me = &mut s.tools[i];
            me.generation[b] = 0;
            (if opened { Pc::ReopenWake } else { me.reopened(last) }, "Held::reopen: Gate::open")
        }
        (Pc::ReopenWake, Event::Step | Event::Second) => {
            wake(scene, s, b, event)?;
            (s.tools[i].reopened(last), "wait::readmit: wake")
        }
        (Pc::OutlastAgain, Event::Tick) if scene.ticks => {
            me.slot = 0;
            (me.ask(), "Announced::outlast: again")
        }
        (Pc::OutlastAgain, Event::Limit) if scene.limits => {
            (me.close_again(), "Announced::outlast: its patience has passed")
        }
        _ => return None,
    })
}

impl Tool {
    /// Looks whether anybody is inside a file that is closed for good.
    fn look_at_old(&mut self) -> Pc {
        self.at = 0;
        self.begin(Phase::Old);
        Pc::Ticket
    }

    fn healed(&mut self, scene: &Scene, i: usize, last: bool) -> Pc {
        self.generation[self.at as usize] = 0;
        let then = match () {
            () if scene.is(Variant::AnnounceBeforeHealing) => Pc::CloseLoad,
            () if scene.replaced && self.home == 1 => Pc::Gather,
            () if scene.is(Variant::PaceBeforeHealing) || !scene.paces[i] => Pc::Announce,
            () => Pc::Pace,
        };
        self.each(last, Pc::TryX, then)
    }

    fn reopened(&mut self, last: bool) -> Pc {
        if self.phase == Phase::Outlast {
            self.slot = 0;
            return self.ask();
        }
        if last { Pc::GiveBack } else { self.each(last, Pc::Reopen, Pc::GiveBack) }
    }
}
