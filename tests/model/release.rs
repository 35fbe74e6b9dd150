//! A pause, and how it ends. Stands for `guard` and the second half of `held`, in
//! `src/exclusive`.

use crate::cover::Claim;
use crate::join;
use crate::model::Event;
use crate::scene::Scene;
use crate::state::{Life, State, Who, is_inside};
use crate::tool::{Pc, Phase, Tool, Verdict, wake};
use crate::variants::Variant;

pub fn step(scene: &Scene, s: &mut State, i: usize, event: Event) -> Option<(Pc, &'static str)> {
    let who = Who::Tool(i);
    let t = s.tools[i];
    let (b, slot) = (t.at as usize, t.slot as usize);
    let me = &mut s.tools[i];
    let gate = &mut s.barriers[b];
    let last = b == scene.last_of(&t);
    Some(match (t.pc, event) {
        (Pc::Paused, Event::Start) => {
            let command = scene.under_pause.filter(|_| i == 0)?;
            join::start(s, command, Claim::Generation(t.generation[0]))?;
            (Pc::Paused, "snapshot: start the command")
        }
        (Pc::Paused, Event::Step) => {
            let under = s.writers.map(|writer| writer.under == i as u8 + 1);
            me.kept = (0..under.len()).fold(0, |kept, at| kept | u8::from(under[at]) << at);
            me.begin(Phase::Release);
            let early = scene.is(Variant::DirtyReadBeforeLooking);
            let blind = early || scene.is(Variant::NoLookAtRelease);
            if early {
                me.clean = !t.dirty;
            }
            let pc = match () {
                () if early => Pc::Collect,
                () if blind => Pc::ReadDirty,
                () => Pc::Collect,
            };
            (pc, "ExclusiveGuard::release")
        }
        (Pc::Collect, Event::Step) => {
            let found = gate.slots[slot];
            if is_inside(found.word) && found.may_be_covered {
                me.inside |= 1 << slot;
                me.seen[slot] = Some(found.word);
            }
            me.slot += 1;
            let more = (me.slot as usize) < scene.slots;
            (if more { Pc::Collect } else { Pc::Ticket }, "Held::still_inside: words")
        }
        (Pc::ReadDirty, Event::Step) => {
            if !scene.is(Variant::DirtyReadBeforeLooking) {
                me.clean = !t.dirty;
            }
            // Held::is_in_place: an old file is not, from the beginning.
            let lost = scene.replaced && t.home == 0;
            me.sound &= !lost || scene.is(Variant::CertifiedElsewhere);
            let pc = if scene.is(Variant::WakeBeforeOpening) { Pc::Wake } else { Pc::Open };
            (me.restart_at(pc), "Barrier::dirty: epoch; Held::is_in_place")
        }
        (Pc::Open, Event::Step) => {
            let opened = s.open(b, t.generation[b]);
            let me = &mut s.tools[i];
            me.generation[b] = 0;
            me.sound &= opened || scene.is(Variant::NoCertificate);
            let early = scene.is(Variant::WakeBeforeOpening);
            let pc = if opened && !early { Pc::Wake } else { me.opened(last) };
            (pc, "Held::open: Gate::open")
        }
        (Pc::Wake, Event::Step | Event::Second) => {
            wake(scene, s, b, event)?;
            let early = scene.is(Variant::WakeBeforeOpening);
            (if early { Pc::Open } else { s.tools[i].opened(last) }, "wait::readmit: wake")
        }
        (Pc::GiveBack, Event::Step) => {
            gate.x.close(who);
            let verdict = match () {
                () if !t.granted => Verdict::NotQuiet,
                () if t.sound => Verdict::Certified { clean: t.clean },
                () => Verdict::Revoked,
            };
            let pc = if t.at == t.home { Pc::Returns(verdict) } else { Pc::GiveBack };
            me.at = t.at.saturating_sub(1).max(t.home);
            (pc, "Held::unlock")
        }
        (Pc::Returns(_), Event::Step) => {
            for writer in &mut s.writers {
                writer.under = if writer.under == i as u8 + 1 { 0 } else { writer.under };
            }
            let pc = s.tools[i].rest();
            if scene.one_pause {
                s.tools[i].life = Life::Dead;
            }
            (pc, "acquire or release returns")
        }
        _ => return None,
    })
}

impl Tool {
    fn opened(&mut self, last: bool) -> Pc {
        if last { Pc::GiveBack } else { self.each(last, Pc::Open, Pc::GiveBack) }
    }
}
