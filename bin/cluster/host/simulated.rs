//! A host without a barrier: a gate that is a number, opened by itself at its limit, as writers would. It waits and
//! fails as it is told, and notes what happened, for simulations and tests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Host, Order, Session};
use crate::record::identity::EpochId;
use crate::record::live::Counts;
use crate::record::report::{Certificate, Failed, Taken};
use crate::record::verdict::{Outcome, Verdict};

/// How long each step takes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// All before the closing.
    pub prepare: Duration,
    /// From closing to quiet.
    pub drain: Duration,
    /// The snapshot.
    pub snapshot: Duration,
}

/// What a session is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// All before the closing.
    Prepare,
    /// The closing.
    Freeze,
    /// The snapshot.
    Snapshot,
    /// The opening.
    Release,
}

/// What happened at a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A session was prepared.
    Prepared(EpochId),
    /// The gate was closed.
    Closed(EpochId),
    /// A snapshot was taken.
    Snapped(EpochId),
    /// The gate was opened by its own release.
    Released(EpochId),
    /// It was opened without one: the session was dropped, or writers waited long enough.
    Broken(EpochId),
    /// The verdict was heard.
    Settled(EpochId, Outcome),
}

/// A gate, its steps, and what is to go wrong.
#[derive(Clone, Debug, Default)]
pub struct Simulated(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    pace: Pace,
    /// What fails, and how.
    fails: Option<(Asked, Failed)>,
    /// Odd while it is closed.
    generation: u64,
    closed: Option<Closed>,
    longest: Duration,
    happened: Vec<Happened>,
}

#[derive(Clone, Copy, Debug)]
struct Closed {
    since: Instant,
    until: Instant,
    epoch: EpochId,
}

impl Simulated {
    /// A host that does nothing wrong.
    pub fn new(pace: Pace) -> Simulated {
        let host = Simulated::default();
        host.state().pace = pace;
        host
    }

    /// From now on this fails, or nothing does.
    pub fn fail(&self, fails: Option<(Asked, Failed)>) {
        self.state().fails = fails;
    }

    /// From now on steps take this long.
    pub fn set_pace(&self, pace: Pace) {
        self.state().pace = pace;
    }

    /// Whether the gate is closed.
    pub fn is_closed(&self) -> bool {
        self.state().closed.is_some()
    }

    /// All that happened.
    pub fn happened(&self) -> Vec<Happened> {
        self.state().happened.clone()
    }

    /// The longest that the gate was ever closed.
    pub fn longest(&self) -> Duration {
        self.state().longest
    }

    /// The state, with a gate that has been closed for too long opened.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(closed) = state.closed.filter(|closed| Instant::now() >= closed.until) {
            state.open(closed.until, false);
        }
        state
    }
}

impl State {
    fn open(&mut self, at: Instant, is_release: bool) {
        let Some(closed) = self.closed.take() else {
            return;
        };
        self.generation += 1;
        self.longest = self.longest.max(at - closed.since);
        self.happened.push(match is_release {
            true => Happened::Released(closed.epoch),
            false => Happened::Broken(closed.epoch),
        });
    }
}

/// A session of it.
#[derive(Debug)]
pub struct SimulatedSession {
    host: Simulated,
    order: Order,
    generation: Option<u64>,
}

impl SimulatedSession {
    fn is_closed(&self, state: &State) -> bool {
        state.closed.is_some() && self.generation == Some(state.generation)
    }

    fn check(&self, asked: Asked) -> Result<Pace, Failed> {
        let state = self.host.state();
        match &state.fails {
            Some((fails, failed)) if *fails == asked => Err(failed.clone()),
            _ => Ok(state.pace),
        }
    }
}

fn revoked() -> Failed {
    Failed {
        text: "the pause did not last: writers waited for as long as it may".to_owned(),
        exit: 124,
    }
}

impl Host for Simulated {
    type Session = SimulatedSession;

    async fn prepare(&self, order: &Order) -> Result<SimulatedSession, Failed> {
        let session =
            SimulatedSession { host: self.clone(), order: order.clone(), generation: None };
        sleep(session.check(Asked::Prepare)?.prepare).await;
        self.state().happened.push(Happened::Prepared(order.epoch));
        Ok(session)
    }

    async fn counts(&self) -> Vec<Counts> {
        let closed = self.is_closed();
        vec![Counts { barrier: "simulated".to_owned(), closed, ..Counts::default() }]
    }

    async fn settle(&self, epoch: EpochId, verdict: &Verdict) -> Result<(), Failed> {
        self.state().happened.push(Happened::Settled(epoch, verdict.outcome));
        Ok(())
    }
}

impl Session for SimulatedSession {
    async fn freeze(&mut self) -> Result<(), Failed> {
        let pace = self.check(Asked::Freeze)?;
        {
            let mut state = self.host.state();
            if state.closed.is_some() {
                return Err(Failed { text: "somebody else has the gate".to_owned(), exit: 75 });
            }
            let since = Instant::now();
            let until = since + self.order.drain + self.order.hold;
            state.generation += 1;
            state.closed = Some(Closed { since, until, epoch: self.order.epoch });
            state.happened.push(Happened::Closed(self.order.epoch));
            self.generation = Some(state.generation);
        }
        sleep(pace.drain.min(self.order.drain)).await;
        match pace.drain > self.order.drain {
            true => Err(Failed { text: "not quiet within the limit".to_owned(), exit: 75 }),
            false => Ok(()),
        }
    }

    async fn snapshot(&mut self) -> Result<Taken, Failed> {
        let pace = self.check(Asked::Snapshot)?;
        sleep(pace.snapshot).await;
        let mut state = self.host.state();
        if !self.is_closed(&state) {
            return Err(revoked());
        }
        state.happened.push(Happened::Snapped(self.order.epoch));
        Ok(Taken { name: self.order.name(), path: None })
    }

    async fn release(&mut self) -> Result<Certificate, Failed> {
        self.check(Asked::Release)?;
        let mut state = self.host.state();
        let Some(closed) = state.closed.filter(|_| self.is_closed(&state)) else {
            return Err(revoked());
        };
        let generations = vec![state.generation];
        state.open(Instant::now(), true);
        let pause_ms = closed.since.elapsed().as_millis() as u64;
        Ok(Certificate { generations, pause_ms, ..Certificate::default() })
    }

    async fn settle(self, verdict: &Verdict) -> Result<(), Failed> {
        self.host.settle(self.order.epoch, verdict).await
    }
}

impl Drop for SimulatedSession {
    fn drop(&mut self) {
        let mut state = self.host.state();
        if self.is_closed(&state) {
            state.open(Instant::now(), false);
        }
    }
}
