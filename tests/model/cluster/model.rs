//! Who may do what, and what the checker is told.

use super::scene::Scene;
use super::state::{COORDINATORS, Child, Coordinator, HOSTS, Manifest, State, Step, Verdict};
use super::{agent, coordinator, properties};
use crate::explore::Explored;
use stateright::{Model, Property};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    Host(usize),
    Coordinator(usize),
    /// The store, or whoever comes by, and an epoch.
    Anybody(u8),
}

/// What happens next to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    Told,
    Resynced,
    Tool,
    Sent,
    /// The same, and a copy of it is still on its way.
    Copied,
    Late,
    Settled,
    Renews,
    Fails,
    Opens,
    LosesLease,
    Crash,
    Restarts,
    /// The coordinator of an epoch is told of this host's report.
    Seen(u8),
    Begin,
    Commit,
    Abort,
    /// The key `epoch` goes with its coordinator's lease, rightly or not.
    Expires,
    Recover,
    /// It joins the roster, or leaves it.
    Moves,
    Restored,
}

use Event::*;

const OF_A_HOST: [Event; 14] = [
    Told, Resynced, Tool, Sent, Copied, Late, Settled, Renews, Fails, Opens, LosesLease, Crash,
    Restarts, Moves,
];
const OF_A_COORDINATOR: [Event; 5] = [Begin, Commit, Abort, Crash, Restarts];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Action {
    pub who: Who,
    pub event: Event,
}

impl Scene {
    /// What the action makes of a state, and the name of the step that it is; `None`: it cannot happen.
    pub fn perform(&self, last: &State, action: Action) -> Option<(State, &'static str)> {
        let mut s = *last;
        let name = match (action.who, action.event) {
            (Who::Host(i), Seen(id)) => coordinator::see(self, &mut s, i, id)?,
            (Who::Host(i), event) => agent::step(self, &mut s, i, event)?,
            (Who::Coordinator(c), event) => coordinator::step(self, &mut s, c, event)?,
            (Who::Anybody(id), Recover) => coordinator::recover(self, &mut s, id)?,
            (Who::Anybody(_), Restored) => {
                s.restores = s.restores.checked_sub(1)?;
                coordinator::restore(&mut s);
                "the store is restored from an old backup"
            }
            (Who::Anybody(revision), _) => {
                if s.epoch.is_none_or(|epoch| epoch.id.revision != revision) {
                    return None;
                }
                s.put_epoch(None);
                "the epoch's lease is lost"
            }
        };
        self.finish(&mut s);
        Some((s, name))
    }
}

impl Model for Scene {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.first_state()]
    }

    fn actions(&self, _: &State, actions: &mut Vec<Action>) {
        let mut may = |who, event| actions.push(Action { who, event });
        // Those that do not take part are the first.
        for i in HOSTS - self.hosts..HOSTS {
            OF_A_HOST
                .into_iter()
                .filter(|event| self.resyncs || *event != Resynced)
                .filter(|event| !self.steady || *event != Opens)
                .for_each(|event| may(Who::Host(i), event));
            (1..=self.epochs).for_each(|id| may(Who::Host(i), Seen(id)));
        }
        for c in COORDINATORS - self.coordinators..COORDINATORS {
            OF_A_COORDINATOR
                .into_iter()
                .filter(|event| !self.calm || *event != Abort)
                .for_each(|event| may(Who::Coordinator(c), event));
        }
        for id in 1..=if self.calm { 0 } else { self.epochs } {
            [Expires, Recover, Restored].into_iter().for_each(|event| may(Who::Anybody(id), event));
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

    fn first(&self) -> State {
        self.first_state()
    }

    fn next(&self, state: &State, action: &Action) -> Option<(State, &'static str)> {
        self.perform(state, *action)
    }

    fn variant(&self) -> Option<String> {
        self.variant.map(|variant| format!("{variant:?}"))
    }

    /// Every epoch has its verdict, every gate is open, and every agent waits for the next epoch. Where
    /// nothing goes wrong that could be helped, each must be complete.
    fn is_at_rest(&self, s: &State) -> bool {
        let decided = |id: &u8| match s.verdicts[*id as usize - 1].0 {
            Verdict::Complete => true,
            Verdict::Aborted => !(self.calm && self.steady),
            Verdict::None => false,
        };
        let idle = |one: &Coordinator| *one == Coordinator::Idle;
        s.epoch.is_none()
            && (1..=s.begun).all(|id| decided(&id))
            && s.coordinators.iter().all(idle)
            && s.hosts.iter().all(|host| {
                // What the store has forgotten stays in doubt.
                let waits = s.begun().is_some_and(|id| {
                    let part = host.parts[id.index()];
                    part.manifest == Manifest::Waiting && part.of_nonce == id.nonce
                });
                let runs = host.incarnation != 0 && host.live == host.incarnation;
                let busy = host.child != Child::None || host.sent.step != Step::None;
                (runs || !host.exists) && !host.closed && !waits && !busy && host.told == s.count
            })
    }

    /// Whether one may count on it: somebody goes on, a limit passes, a service is started again. That
    /// a coordinator gives up without need, or a watch begins anew, is nothing to count on.
    fn is_sure(&self, state: &State, action: &Action) -> bool {
        match (action.event, action.who) {
            (Fails | Crash | Copied | Late | Resynced | Moves | Restored, _) => false,
            (LosesLease, Who::Host(i)) => state.hosts[i].incarnation == 0,
            (Begin, _) => false,
            _ => true,
        }
    }

    fn line(&self, state: &State, action: &Action, name: &str) -> String {
        let Action { who, event } = action;
        let gates: Vec<_> =
            state.hosts[HOSTS - self.hosts..].iter().map(|host| host.closed).collect();
        format!(
            "{:60} epoch {:?} closed {gates:?}",
            format!("{who:?}: {name} ({event:?})"),
            state.epoch
        )
    }
}
