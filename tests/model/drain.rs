//! How a tool looks at the words, waits, and asks who is dead: while it drains, while it outlasts long
//! shares, and once more before the release. Stands for `Gate::wait_until_quiet`, `exclusive/drain.rs`,
//! `member/reclaim.rs` and `Held::still_inside`.

use crate::join::{Settle, settle};
use crate::model::Event;
use crate::scene::Scene;
use crate::state::{SLOTS, State, Who, is_inside};
use crate::tool::{Pc, Phase, Tool};
use crate::variants::Variant;

pub fn step(scene: &Scene, s: &mut State, i: usize, event: Event) -> Option<(Pc, &'static str)> {
    let who = Who::Tool(i);
    let t = s.tools[i];
    let (b, slot) = (t.at as usize, t.slot as usize);
    let me = &mut s.tools[i];
    let gate = &mut s.barriers[b];
    let last = b == scene.last_of(&t);
    Some(match (t.pc, event) {
        (Pc::Ticket, Event::Step) => {
            me.moved = false;
            me.slot = 0;
            let pc = if t.phase == Phase::Release {
                me.ask()
            } else {
                me.inside = 0;
                me.unchanged = t.seen[0].is_some();
                Pc::Look
            };
            (if pc == Pc::Collect { me.none_inside(last) } else { pc }, "Gate::look: drain")
        }
        (Pc::Look, Event::Step) => {
            let word = gate.slots[slot].word;
            me.inside |= u8::from(is_inside(word)) << slot;
            me.unchanged &= t.seen[slot] == Some(word);
            let second = t.seen[slot].is_some();
            me.seen[slot] = Some(word);
            me.slot += 1;
            let pc = match () {
                () if me.slot as usize != scene.slots => Pc::Look,
                () => me.judge(scene, second, last),
            };
            (pc, "Gate::look: word")
        }
        (Pc::Busy, Event::Step) if t.phase == Phase::Drain && t.inside == 0 => {
            (Pc::Ticket, "Gate::wait_until_quiet: again")
        }
        (Pc::Busy, Event::Step) => {
            (if t.moved { Pc::Ticket } else { Pc::Asleep }, "Futex::wait: drain")
        }
        (Pc::Asleep, Event::Spurious) => (Pc::Ticket, "Futex::wait: for nothing"),
        (Pc::Asleep, Event::Tick) if scene.ticks => (Pc::Ticket, "Futex::wait: time is up"),
        (Pc::Busy, Event::Tick) if scene.ticks && t.phase == Phase::Drain && t.inside != 0 => {
            me.slot = 0;
            (me.ask(), "drain: time to ask who is dead")
        }
        (Pc::Busy, Event::Limit) if t.phase == Phase::Release && scene.limits => {
            me.sound = false;
            (me.none_inside(last), "Held::still_inside: somebody is")
        }
        (Pc::Busy, Event::Limit)
            if t.phase == Phase::Drain && (scene.limits || t.courteous && scene.ticks) =>
        {
            if t.courteous {
                me.phase = Phase::Outlast;
            } else {
                me.forget();
            }
            (me.restart_at(Pc::Reopen), "drain: its limit has passed")
        }
        (Pc::StillInside, Event::Step) => {
            let still = t.seen[slot] == Some(gate.slots[slot].word);
            // In a drain, one that has left by itself is no loss, and no reason to look at once.
            let pc = match () {
                () if still => Pc::Word,
                () if t.phase == Phase::Drain => me.answered(false),
                () => me.answered(true),
            };
            (me.after_asking(pc, last), "Insider::is_still_inside")
        }
        (Pc::Word, Event::Step) => {
            let pc = match () {
                () if !is_inside(gate.slots[slot].word) => me.answered(true),
                () if scene.is(Variant::ReclaimWithoutAsking) => Pc::Settle(Settle::Load),
                () => Pc::Probe,
            };
            (me.after_asking(pc, last), "reclaim: word")
        }
        (Pc::Probe, Event::Step) => {
            let pc = match () {
                () if !gate.slots[slot].life.is_free() => me.answered(false),
                () if scene.is(Variant::ProbeThenClear) => Pc::Settle(Settle::Load),
                () => Pc::TryLife,
            };
            (me.after_asking(pc, last), "reclaim: Place::is_free")
        }
        (Pc::TryLife, Event::Step) => {
            let taken = gate.slots[slot].life.try_take(who);
            let pc = if taken { Pc::Settle(Settle::Load) } else { me.answered(false) };
            (me.after_asking(pc, last), "reclaim: life byte")
        }
        (Pc::Settle(pc), Event::Step) => {
            let (next, name) = settle(scene, s, who, (b, slot), pc);
            (next.map_or(Pc::Unlock, Pc::Settle), name)
        }
        (Pc::Unlock, Event::Step) => {
            gate.slots[slot].life.close(who);
            let pc = me.answered(true);
            (me.after_asking(pc, last), "reclaim: unlock")
        }
        _ => return None,
    })
}

impl Tool {
    /// The next slot from `self.slot` on that was seen inside.
    pub fn next_inside(&mut self) -> bool {
        self.slot = (self.inside >> self.slot).trailing_zeros() as u8 + self.slot;
        let found = self.inside != 0 && (self.slot as usize) < SLOTS;
        if !found {
            self.slot = 0;
        }
        found
    }

    /// Asks of the next slot that was seen inside, or goes on.
    pub fn ask(&mut self) -> Pc {
        if self.next_inside() {
            return if self.phase == Phase::Old { Pc::TryLife } else { Pc::StillInside };
        }
        match self.phase {
            Phase::Drain if std::mem::take(&mut self.reclaimed) => Pc::Ticket,
            Phase::Drain => Pc::Busy,
            Phase::Old if std::mem::take(&mut self.reclaimed) => Pc::Ticket,
            Phase::Old => Pc::OldAgain,
            Phase::Release if self.inside != 0 => Pc::Busy,
            Phase::Outlast if self.inside != 0 => Pc::OutlastAgain,
            Phase::Outlast => self.close_again(),
            Phase::Release => Pc::Collect,
        }
    }

    /// What the question for the slot at hand came to: nobody is inside there any more, or not so.
    pub fn answered(&mut self, out: bool) -> Pc {
        if out {
            self.reclaimed |= matches!(self.phase, Phase::Drain | Phase::Old);
            self.inside &= !(1 << self.slot);
        }
        self.slot += 1;
        self.ask()
    }

    /// At the end of a look.
    pub fn judge(&mut self, scene: &Scene, second: bool, last: bool) -> Pc {
        self.slot = 0;
        let unchanged = match () {
            () if scene.is(Variant::OneLook) => true,
            () if scene.is(Variant::TwoLooksAnyWords) => second,
            () => self.unchanged,
        };
        if self.phase == Phase::Old {
            return match () {
                () if self.inside == 0 && unchanged => {
                    self.forget();
                    self.restart_at(Pc::NoteAlone)
                }
                // The words change, or it was the first look.
                () if self.inside == 0 => Pc::Ticket,
                () => self.ask(),
            };
        }
        if self.inside == 0 && unchanged {
            self.forget();
            let drains = if scene.is(Variant::CloseTogether) { Pc::Ticket } else { Pc::CloseLoad };
            self.first = drains == Pc::Ticket && !last;
            return self.each(last, drains, Pc::GrantCheck);
        }
        if self.inside == 0 && std::mem::take(&mut self.first) {
            return Pc::Ticket;
        }
        if std::mem::replace(&mut self.asked, true) { Pc::Busy } else { self.ask() }
    }

    /// In the looks before a release, nobody is left to ask about.
    pub fn after_asking(&mut self, pc: Pc, last: bool) -> Pc {
        if pc == Pc::Collect { self.none_inside(last) } else { pc }
    }

    pub fn none_inside(&mut self, last: bool) -> Pc {
        self.begin(Phase::Release);
        self.each(last, Pc::Collect, Pc::ReadDirty)
    }
}
