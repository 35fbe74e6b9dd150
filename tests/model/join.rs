//! Coming and going: claiming a slot, the end of a thread, fork, and a command under a share. Stands
//! for `member/join.rs`, `member/lifeline.rs` and `Slot::settle`.

use crate::cover::Claim;
use crate::model::Event;
use crate::scene::Scene;
use crate::state::{Kind, Life, State, Who, is_closed, is_inside};
use crate::variants::Variant;
use crate::writer::{self, Writer};

/// `Slot::settle`, by who holds the life byte: one store after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Settle {
    Load,
    Raise,
    Clear,
    Free,
}

/// The next step of settling a slot; `None`: it is settled.
pub fn settle(
    scene: &Scene,
    s: &mut State,
    who: Who,
    (b, slot): (usize, usize),
    pc: Settle,
) -> (Option<Settle>, &'static str) {
    let dirty_last = scene.is(Variant::DirtyAfterClearing);
    match pc {
        Settle::Load => {
            let odd = is_inside(s.barriers[b].slots[slot].word);
            let next = match odd {
                true if dirty_last => Settle::Clear,
                true => Settle::Raise,
                false => Settle::Free,
            };
            (Some(next), "Slot::settle: word")
        }
        Settle::Raise => {
            s.raise_dirty(b, slot);
            (Some(if dirty_last { Settle::Free } else { Settle::Clear }), "DirtyRecord::raise")
        }
        Settle::Clear => {
            s.clear_word(b, slot, who);
            let next = if dirty_last { Settle::Raise } else { Settle::Free };
            (Some(next), "Slot::settle: word + 1")
        }
        Settle::Free => {
            let slot = &mut s.barriers[b].slots[slot];
            if slot.kind == Kind::Counted {
                slot.word = 0;
            }
            slot.kind = Kind::Free;
            slot.may_be_covered = false;
            (None, "Slot::settle: kind")
        }
    }
}

/// The step that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pc {
    /// A forked child drops the guard that it has inherited.
    DropGuard,
    /// In `claim`: does slot i look free?
    LooksFree(u8),
    /// Then its life byte is asked for; last, that of every slot.
    TryLife {
        slot: u8,
        any: bool,
    },
    /// It is settled; the descriptor is still open, and the process's lock held.
    Claimed(Settle),
    Introduce,
    /// The thread ends: `Attachment::unregister`.
    Leave(Settle),
    FreeLife,
    TellGate,
}

/// The first step of a process or thread that has no slot yet.
pub const CLAIM: writer::Pc = writer::Pc::Join(Pc::LooksFree(0));

pub fn step(
    scene: &Scene,
    s: &mut State,
    i: usize,
    pc: Pc,
    event: Event,
) -> Option<(writer::Pc, &'static str)> {
    let who = Who::Writer(i);
    let own = s.writers[i].slot as usize;
    if event == Event::Fork && matches!(pc, Pc::Claimed(_) | Pc::Introduce) {
        // Another thread of this process forks: the process's lock is what keeps it from that.
        return scene.is(Variant::ForkWhileJoining).then(|| fork(scene, s, i))?;
    }
    if event != Event::Step {
        return None;
    }
    let slots = &mut s.barriers[0].slots;
    let (pc, name) = match pc {
        Pc::DropGuard => {
            if scene.is(Variant::ChildKeepsGuard) {
                slots[own].word += slots[own].word % 2;
            }
            (Pc::LooksFree(0), "leave_slow: a guard of the parent")
        }
        Pc::LooksFree(slot) => {
            let pc = match () {
                () if slots[slot as usize].kind == Kind::Free => Pc::TryLife { slot, any: false },
                () if slot as usize + 1 < scene.slots => Pc::LooksFree(slot + 1),
                () => Pc::TryLife { slot: 0, any: true },
            };
            (pc, "join::claim: kind")
        }
        Pc::TryLife { slot, any } => {
            let life = &mut slots[slot as usize].life;
            let taken = if scene.is(Variant::OneDescription) {
                life.inherit(who);
                true
            } else {
                life.try_take(who)
            };
            let pc = match () {
                () if taken => {
                    s.writers[i].slot = slot;
                    Pc::Claimed(Settle::Load)
                }
                () if slot as usize + 1 < scene.slots && any => Pc::TryLife { slot: slot + 1, any },
                () if slot as usize + 1 < scene.slots => Pc::LooksFree(slot + 1),
                () if any => return Some((writer::Pc::Done, "join::claim: full")),
                () => Pc::TryLife { slot: 0, any: true },
            };
            (pc, "join::claim: life byte")
        }
        Pc::Claimed(pc) => {
            let (next, name) = settle(scene, s, who, (0, own), pc);
            (next.map_or(Pc::Introduce, Pc::Claimed), name)
        }
        Pc::Introduce => {
            slots[own].kind = Kind::Thread;
            return Some((writer::Pc::Idle, "join::introduce: kind"));
        }
        Pc::Leave(pc) => {
            let (next, name) = settle(scene, s, who, (0, own), pc);
            (next.map_or(Pc::FreeLife, Pc::Leave), name)
        }
        Pc::FreeLife => {
            slots[own].life.close(who);
            (Pc::TellGate, "Registration: the life byte falls")
        }
        Pc::TellGate => {
            let closed = is_closed(s.barriers[0].generation);
            let pc = if closed { writer::Pc::Bump } else { writer::Pc::Done };
            return Some((pc, "Attachment::unregister: generation"));
        }
    };
    Some((writer::Pc::Join(pc), name))
}

/// What a program may do besides taking shares.
pub fn choose(
    scene: &Scene,
    s: &mut State,
    i: usize,
    event: Event,
) -> Option<(writer::Pc, &'static str)> {
    let me = &mut s.writers[i];
    match event {
        Event::EndThread if scene.ends_threads => {
            me.gone = true;
            s.lose(i);
            Some((writer::Pc::Join(Pc::Leave(Settle::Load)), "join::thread_ended"))
        }
        Event::Fork => fork(scene, s, i),
        Event::Start if me.depth[0] > 0 => {
            let command = scene.command_of(i)?;
            let slot = me.slot;
            let word = s.barriers[0].slots[slot as usize].word;
            let pc = me.pc;
            if !scene.is(Variant::WrapperKeepsItsByte) {
                s.barriers[0].slots[slot as usize].life.inherit(Who::Writer(command));
            }
            start(s, command, Claim::Slot { index: slot, word })?;
            s.writers[command].protected = true;
            Some((pc, "run: start the command"))
        }
        _ => None,
    }
}

/// A command begins under a cover, in a slot of its own.
pub fn start(s: &mut State, command: usize, claim: Claim) -> Option<()> {
    let child = &mut s.writers[command];
    if child.life != Life::Unborn {
        return None;
    }
    child.life = Life::Runs;
    child.claim = claim;
    let slot = &mut s.barriers[0].slots[child.slot as usize];
    slot.kind = Kind::Thread;
    slot.may_be_covered = true;
    slot.life.try_take(Who::Writer(command));
    Some(())
}

/// The kernel copies what is not marked otherwise: no lifeline, and no seat.
fn fork(scene: &Scene, s: &mut State, i: usize) -> Option<(writer::Pc, &'static str)> {
    let parent = s.writers[i];
    let child = scene.child.filter(|child| s.writers[*child].life == Life::Unborn)?;
    let inherits = matches!(parent.pc, writer::Pc::Join(_));
    if inherits {
        s.barriers[0].slots[parent.slot as usize].life.inherit(Who::Writer(child));
    }
    let pc = if parent.depth[0] > 0 { writer::Pc::Join(Pc::DropGuard) } else { CLAIM };
    s.writers[child] = Writer { life: Life::Runs, pc, slot: parent.slot, ..Writer::default() };
    Some((parent.pc, "fork"))
}
