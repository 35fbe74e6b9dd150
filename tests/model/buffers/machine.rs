//! States and steps.

use super::variants::Variant;
use crate::explore::Explored;
use stateright::{Model, Property};

pub const WRITERS: usize = 2;
/// Who acts, if it is no writer.
const TOOL: usize = WRITERS;
/// How many stores may be on their way.
const QUEUE: usize = 2;

/// No writer is inside while a pause is granted.
pub const EXCLUSION: &str = "exclusion";

/// A writer of the scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Keeps its fence, and registers with nobody.
    Fenced,
    /// Joins, and does without from then on.
    Joins,
    /// The same from the beginning.
    Unfenced,
    /// Forked by the other one once that is unfenced, with a copy of its memory.
    Child,
    /// Started under a share of the other one.
    Covered,
}

#[derive(Clone, Copy, Debug)]
pub struct Scene {
    pub name: &'static str,
    pub writers: [Kind; WRITERS],
    /// The writers are threads of one process.
    pub one_process: bool,
    /// The call may fail.
    pub fails: bool,
    pub variant: Option<Variant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    Unborn,
    /// Asks whether its process is registered; registers; remembers that; says it in its slot.
    Asks,
    Registers,
    Remembers,
    Flags,
    Out,
    Publish,
    Fence,
    Load,
    /// The load that the compiler has taken before the store.
    Late,
    Cover,
    Retract,
    Bump,
    Inside,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Store {
    Word(u8),
    Flag,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Writer {
    at: At,
    shares: u8,
    unfenced: bool,
    /// The word as it last set it.
    copy: u8,
    /// The word of the share that covers it; 0: none.
    cover: u8,
    queue: [Option<Store>; QUEUE],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Tool {
    Open,
    /// Before this thread is reached.
    Call(usize),
    Failed,
    /// The first or second look, before this word.
    Look(bool, usize),
    Granted,
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    gate: u8,
    words: [u8; WRITERS],
    flags: [bool; WRITERS],
    writers: [Writer; WRITERS],
    /// By process: what the kernel knows, and what its memory says.
    registered: [bool; WRITERS],
    remembered: [bool; WRITERS],
    tool: Tool,
    seen: [u8; WRITERS],
    unchanged: bool,
    pauses: u8,
    reopened: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    Step,
    /// A store reaches memory.
    Drain,
    /// The call fails.
    Fail,
    /// The gate is opened out of courtesy, and will be closed again.
    Reopen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Action {
    who: usize,
    event: Event,
}

fn is_odd(number: u8) -> bool {
    number & 1 == 1
}

impl Writer {
    fn is_drained(&self) -> bool {
        self.queue[0].is_none()
    }

    /// Stores, unless as much as there may be is on its way.
    fn store(&mut self, store: Store) -> Option<()> {
        *self.queue.iter_mut().find(|place| place.is_none())? = Some(store);
        Some(())
    }

    fn store_word(&mut self, word: u8) -> Option<()> {
        self.copy = word;
        self.store(Store::Word(word))
    }
}

impl State {
    /// The oldest store of a writer reaches memory.
    fn drain(&mut self, who: usize) -> Option<&'static str> {
        match self.writers[who].queue[0].take()? {
            Store::Word(word) => self.words[who] = word,
            Store::Flag => self.flags[who] = true,
        }
        self.writers[who].queue.rotate_left(1);
        Some("a store reaches memory")
    }

    fn is_inside(&self) -> bool {
        self.writers.iter().any(|writer| writer.at == At::Inside)
    }
}

impl Scene {
    fn is(&self, variant: Variant) -> bool {
        self.variant == Some(variant)
    }

    fn process(&self, who: usize) -> usize {
        if self.one_process { 0 } else { who }
    }

    fn writer(&self, s: &mut State, who: usize) -> Option<&'static str> {
        let (process, other) = (self.process(who), s.writers[1 - who]);
        let w = &mut s.writers[who];
        let (next, name) = match w.at {
            At::Unborn if self.writers[who] == Kind::Child => {
                if !other.unfenced {
                    return None;
                }
                s.remembered[process] = self.is(Variant::ChildKeepsItsParents);
                (At::Asks, "fork")
            }
            At::Unborn => {
                if other.at != At::Inside {
                    return None;
                }
                w.cover = other.copy;
                (At::Out, "started under a share")
            }
            At::Asks if s.remembered[process] => (At::Flags, "is_registered: remembered"),
            At::Asks if self.is(Variant::Unregistered) => (At::Flags, "is_registered: not asked"),
            At::Asks => {
                s.remembered[process] = self.is(Variant::RememberedTooEarly);
                (At::Registers, "is_registered: asked")
            }
            At::Registers => {
                s.registered[process] = true;
                (At::Remembers, "membarrier: registered")
            }
            At::Remembers => {
                s.remembered[process] = true;
                (At::Flags, "is_registered: remembers")
            }
            At::Flags => {
                w.unfenced = true;
                w.store(Store::Flag)?;
                (At::Out, "introduce: flag")
            }
            At::Out => {
                let may_be_covered = w.cover != 0 && s.words[1 - who] == w.cover;
                if w.shares == 0 || is_odd(s.gate) && !may_be_covered {
                    return None;
                }
                let first = w.unfenced && self.is(Variant::NoCompilerFence);
                (if first { At::Load } else { At::Publish }, "try_enter: gate asked before")
            }
            At::Publish => {
                w.store_word(w.copy + 1)?;
                let bare = w.unfenced || w.cover != 0 && self.is(Variant::CoveredUnfenced);
                (if bare { At::Load } else { At::Fence }, "publish: word")
            }
            At::Fence => (w.is_drained().then_some(At::Load)?, "publish: fence"),
            At::Load if is_odd(s.gate) => match w.cover {
                0 if is_odd(w.copy) => (At::Retract, "publish: gate closed"),
                0 => (At::Out, "publish: gate closed"),
                _ => (At::Cover, "publish: gate closed"),
            },
            At::Load if !is_odd(w.copy) => (At::Late, "publish: gate open, too early"),
            At::Load => (At::Inside, "publish: gate open"),
            At::Late => {
                w.store_word(w.copy + 1)?;
                (At::Inside, "publish: word, too late")
            }
            At::Cover if s.words[1 - who] == w.cover => (At::Inside, "covered"),
            At::Cover => (At::Retract, "covered no more"),
            At::Retract => {
                w.store_word(w.copy + 1)?;
                (At::Bump, "retract: word")
            }
            At::Bump => (w.is_drained().then_some(At::Out)?, "retract: bump"),
            At::Inside => {
                w.store_word(w.copy + 1)?;
                w.shares -= 1;
                (At::Out, "leave: word")
            }
        };
        w.at = next;
        Some(name)
    }

    fn tool(&self, s: &mut State, event: Event) -> Option<&'static str> {
        let (next, name) = match (s.tool, event) {
            (Tool::Open, Event::Step) if s.pauses == 0 => return None,
            (Tool::Open, Event::Step) if self.is(Variant::CallBeforeClosing) && s.seen[0] == 0 => {
                // Marks that it was made.
                s.seen[0] = 1;
                (Tool::Call(0), "membarrier: too early")
            }
            (Tool::Open, Event::Step) => {
                s.gate += 1;
                s.seen = [0; WRITERS];
                let by_flag = self.is(Variant::CallByFlag) && s.flags == [false; WRITERS];
                let second = self.is(Variant::SecondClosingWithoutCall) && s.reopened;
                let early = self.is(Variant::CallBeforeClosing);
                let none = self.is(Variant::NoCall) || by_flag || second || early;
                (if none { Tool::Look(false, 0) } else { Tool::Call(0) }, "close")
            }
            (Tool::Call(0), Event::Fail) if self.fails && is_odd(s.gate) => {
                let goes_on = self.is(Variant::GoesOnAfterFailure);
                (if goes_on { Tool::Look(false, 0) } else { Tool::Failed }, "membarrier: fails")
            }
            (Tool::Call(WRITERS), Event::Step) if !is_odd(s.gate) => (Tool::Open, "membarrier"),
            (Tool::Call(WRITERS), Event::Step) => (Tool::Look(false, 0), "membarrier"),
            (Tool::Call(who), Event::Step) => {
                if s.registered[self.process(who)] {
                    while s.drain(who).is_some() {}
                }
                (Tool::Call(who + 1), "membarrier: a thread")
            }
            (Tool::Failed, Event::Step) => {
                if !self.is(Variant::LeavesItClosed) {
                    s.gate += 1;
                }
                s.pauses = 0;
                (Tool::Gone, "open: unavailable")
            }
            (Tool::Look(second, WRITERS), Event::Step) => {
                let quiet = second && s.unchanged && !s.seen.iter().any(|word| is_odd(*word));
                (if quiet { Tool::Granted } else { Tool::Look(true, 0) }, "looked")
            }
            (Tool::Look(_, WRITERS), Event::Reopen) if !s.reopened => {
                s.gate += 1;
                s.seen = [0; WRITERS];
                s.reopened = true;
                (Tool::Open, "open: courtesy")
            }
            (Tool::Look(second, at), Event::Step) => {
                s.unchanged = (at == 0 || s.unchanged) && s.seen[at] == s.words[at];
                s.seen[at] = s.words[at];
                (Tool::Look(second, at + 1), "look: word")
            }
            (Tool::Granted, Event::Step) => {
                s.gate += 1;
                s.seen = [0; WRITERS];
                s.pauses -= 1;
                s.reopened = false;
                (Tool::Open, "open")
            }
            _ => return None,
        };
        s.tool = next;
        Some(name)
    }
}

impl Model for Scene {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.first()]
    }

    fn actions(&self, _: &State, actions: &mut Vec<Action>) {
        for who in 0..WRITERS {
            actions.extend([Event::Step, Event::Drain].map(|event| Action { who, event }));
        }
        let of_tool = [Event::Step, Event::Fail, Event::Reopen];
        actions.extend(of_tool.map(|event| Action { who: TOOL, event }));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        self.next(last, &action).map(|(state, _)| state)
    }

    fn properties(&self) -> Vec<Property<Scene>> {
        vec![
            Property::always(EXCLUSION, |_: &Scene, s: &State| {
                s.tool != Tool::Granted || !s.is_inside()
            }),
            Property::sometimes("granted", |_: &Scene, s: &State| s.tool == Tool::Granted),
            Property::sometimes("inside without a fence", |_: &Scene, s: &State| {
                let inside = |w: &Writer| w.at == At::Inside && w.unfenced && !w.is_drained();
                s.writers.iter().any(inside)
            }),
        ]
    }
}

impl Explored for Scene {
    fn name(&self) -> &'static str {
        self.name
    }

    fn variant(&self) -> Option<String> {
        self.variant.map(|variant| format!("{variant:?}"))
    }

    fn first(&self) -> State {
        let writer = |kind| Writer {
            at: match kind {
                Kind::Child | Kind::Covered => At::Unborn,
                Kind::Joins => At::Asks,
                Kind::Fenced | Kind::Unfenced => At::Out,
            },
            shares: 2,
            unfenced: kind == Kind::Unfenced,
            copy: 0,
            cover: 0,
            queue: [None; QUEUE],
        };
        State {
            gate: 0,
            words: [0; WRITERS],
            flags: [false; WRITERS],
            writers: self.writers.map(writer),
            registered: self.writers.map(|kind| kind == Kind::Unfenced),
            remembered: self.writers.map(|kind| kind == Kind::Unfenced),
            tool: Tool::Open,
            seen: [0; WRITERS],
            unchanged: false,
            pauses: if crate::scenes::full() { 2 } else { 1 },
            reopened: false,
        }
    }

    fn next(&self, state: &State, action: &Action) -> Option<(State, &'static str)> {
        let mut s = *state;
        let name = match (action.who, action.event) {
            (TOOL, event) => self.tool(&mut s, event)?,
            (who, Event::Drain) => s.drain(who)?,
            (who, _) => self.writer(&mut s, who)?,
        };
        Some((s, name))
    }

    fn is_at_rest(&self, s: &State) -> bool {
        let rests = |w: &Writer| w.at == At::Unborn || w.at == At::Out && w.shares == 0;
        s.writers.iter().all(rests) && s.pauses == 0
    }

    fn is_sure(&self, _: &State, action: &Action) -> bool {
        matches!(action.event, Event::Step | Event::Drain)
    }

    fn line(&self, s: &State, action: &Action, name: &str) -> String {
        format!("{}: {name:40} gate {} words {:?}", action.who, s.gate, s.words)
    }
}
