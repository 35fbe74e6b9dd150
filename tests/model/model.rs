//! Who may do what, and what the checker is told.

use crate::explore::Explored;
use crate::properties;
use crate::scene::Scene;
use crate::state::{Life, State, TOOLS, WRITERS, Who};
use crate::tool::{self, Tool};
use crate::writer::{self, Writer};
use stateright::{Model, Property};

/// What happens next to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The next atomic step of the code.
    Step,
    /// The same, where one sleeper is woken: the second one.
    Second,
    /// A tick has passed where the code asks for that.
    Tick,
    /// A longer limit has passed: of a pause, a drain, somebody's patience.
    Limit,
    /// The program takes one more share inside the first.
    Nest,
    EndThread,
    Fork,
    /// It finds out that another file is in the place of its own.
    Notice,
    /// A command is started.
    Start,
    /// A sleeper wakes without reason.
    Spurious,
    /// SIGKILL, SIGSTOP, SIGCONT.
    Crash,
    Stop,
    Continue,
}

impl Event {
    /// Whether one may count on it: the code goes on, and time passes. That a program does this or
    /// that besides, or somebody a sleeper a favour, is nothing to count on.
    pub fn is_sure(self) -> bool {
        matches!(self, Event::Step | Event::Second | Event::Tick | Event::Limit)
    }
}

const ALL: [Event; 12] = [
    Event::Step,
    Event::Second,
    Event::Tick,
    Event::Limit,
    Event::Nest,
    Event::EndThread,
    Event::Fork,
    Event::Notice,
    Event::Start,
    Event::Spurious,
    Event::Crash,
    Event::Stop,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Action {
    pub who: Who,
    pub event: Event,
}

impl Scene {
    /// What the action makes of a state, and the name of the step that it is; `None`: it cannot happen.
    pub fn perform(&self, last: &State, action: Action) -> Option<(State, &'static str)> {
        let mut s = *last;
        let name = match (action.event, action.who) {
            (Event::Crash, who) => self.crash(&mut s, who)?,
            (Event::Stop, who) if s.stops == 0 || !self.may_stop(who) => return None,
            (Event::Stop, who) => {
                s.stops -= 1;
                *life(&mut s, who) = Life::Stopped;
                "SIGSTOP"
            }
            (Event::Continue, who) => {
                *life(&mut s, who) = Life::Runs;
                "SIGCONT"
            }
            (event, Who::Tool(index)) => tool::step(self, &mut s, index, event)?,
            (event, Who::Writer(index)) => {
                let name = writer::step(self, &mut s, index, event)?;
                if s.writers[index].pc == writer::Pc::Done {
                    s.close_locks_of(action.who);
                    s.writers[index].protected = false;
                }
                name
            }
        };
        properties::observe(&mut s);
        s.renumber();
        Some((s, name))
    }

    /// SIGKILL: the locks fall, and what the process was doing is left as it is.
    fn crash(&self, s: &mut State, who: Who) -> Option<&'static str> {
        s.crashes = s.crashes.checked_sub(1)?;
        match who {
            Who::Tool(index) => {
                if !self.tools_may_die[index] {
                    return None;
                }
                s.tools[index] =
                    Tool { life: Life::Dead, home: s.tools[index].home, ..Tool::default() };
                s.close_locks_of(who);
            }
            Who::Writer(_) if !self.writers_may_die => return None,
            Who::Writer(index) => {
                let together = if self.one_process { 0..self.writers } else { index..index + 1 };
                for index in together {
                    s.lose(index);
                    let slot = s.writers[index].slot;
                    let dead = Writer { life: Life::Dead, slot, ..Writer::default() };
                    s.writers[index] = dead;
                    s.close_locks_of(Who::Writer(index));
                }
            }
        }
        Some("SIGKILL")
    }

    fn may_stop(&self, who: Who) -> bool {
        self.tools_may_stop || matches!(who, Who::Writer(_))
    }

    /// Everybody who takes part.
    fn everybody(&self) -> impl Iterator<Item = Who> + use<> {
        (0..self.writers).map(Who::Writer).chain((0..self.tools).map(Who::Tool))
    }

    /// Whether something will happen that one may count on.
    pub fn goes_on(&self, state: &State) -> bool {
        let runs = self.everybody().filter(|who| *life(&mut { *state }, *who) == Life::Runs);
        let sure = |who| ALL[..4].iter().map(move |event| Action { who, event: *event });
        runs.flat_map(sure).any(|action| self.perform(state, action).is_some())
    }

    /// Whether such a thing may happen in this scene at all.
    fn knows(&self, event: Event) -> bool {
        match event {
            Event::Step | Event::Spurious => true,
            Event::Second => self.readmits_one,
            Event::Tick => self.ticks,
            Event::Limit => self.limits || self.courteous,
            Event::Nest => self.nests || self.barriers > 1 && !self.replaced,
            Event::EndThread => self.ends_threads,
            Event::Fork => self.child.is_some(),
            Event::Notice => self.notices,
            Event::Start => self.under_pause.is_some() || self.commands.iter().any(Option::is_some),
            Event::Crash => self.crashes > 0,
            Event::Stop => self.stops > 0,
            Event::Continue => self.stops > 0 || self.long_share,
        }
    }
}

fn life(s: &mut State, who: Who) -> &mut Life {
    match who {
        Who::Writer(index) => &mut s.writers[index].life,
        Who::Tool(index) => &mut s.tools[index].life,
    }
}

impl Model for Scene {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        assert!(self.writers <= WRITERS && self.tools <= TOOLS);
        vec![self.first_state()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let mut state = *state;
        for who in self.everybody() {
            let may = |event| actions.push(Action { who, event });
            match *life(&mut state, who) {
                Life::Runs => ALL.into_iter().filter(|event| self.knows(*event)).for_each(may),
                Life::Stopped => [Event::Continue, Event::Crash].into_iter().for_each(may),
                Life::Unborn | Life::Dead => {}
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        self.perform(last, action).map(|(state, _)| state)
    }

    fn properties(&self) -> Vec<Property<Scene>> {
        properties::all()
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
        self.first_state()
    }

    fn next(&self, state: &State, action: &Action) -> Option<(State, &'static str)> {
        self.perform(state, *action)
    }

    fn is_at_rest(&self, state: &State) -> bool {
        state.writers.iter().all(Writer::rests) && state.tools.iter().all(|tool| tool.rests(self))
    }

    fn is_sure(&self, _: &State, action: &Action) -> bool {
        action.event.is_sure()
    }

    fn line(&self, state: &State, action: &Action, name: &str) -> String {
        let gate = &state.barriers[0];
        let words = gate.slots.map(|slot| slot.word);
        let how = format!("{:?}: {name} ({:?})", action.who, action.event);
        format!("{how:60} generation {} words {words:?}", gate.generation)
    }
}
