//! A host whose writers send messages to those of others, and whose snapshot is a copy that takes time: whatever
//! is written meanwhile shows in a part of it.
//!
//! Its gate is a generation, opened by a swap, by whoever has waited for as long as a pause may last, or by chance.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use stillpoint_cluster::host::{Host, Order, Session};
use stillpoint_cluster::record::identity::{Begun, EpochId};
use stillpoint_cluster::record::live::Counts;
use stillpoint_cluster::record::report::{Certificate, Failed, Taken};
use stillpoint_cluster::record::verdict::Verdict;

use crate::chance::Chance;

/// What is wrong with every host, for the proof that it is seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flaw {
    #[default]
    None,
    /// Nobody minds the gate.
    NoGate,
    /// A release is certified whether or not its own swap opened the gate.
    NoCertificate,
}

/// What one writer after another has written: the number of the last message, to each host and from each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Data {
    pub sent: BTreeMap<usize, u64>,
    pub received: BTreeMap<usize, u64>,
}

#[derive(Default)]
struct State {
    data: Data,
    /// Odd while the gate is closed.
    generation: u64,
    until: Option<Instant>,
    longest: Duration,
    snapshots: BTreeMap<Begun, Data>,
    certificates: BTreeMap<Begun, Certificate>,
    /// The last epoch that was prepared for, whichever agent asked for it.
    last: EpochId,
    wrong: Vec<String>,
    settled: Vec<(EpochId, Verdict)>,
    /// As SIGSTOP does it: no step of a session ends before.
    stopped_until: Option<Instant>,
    fails: bool,
}

/// A machine.
#[derive(Clone)]
pub struct Machine {
    pub number: usize,
    flaw: Flaw,
    state: Arc<Mutex<State>>,
    chance: Arc<Mutex<Chance>>,
}

impl Machine {
    pub fn new(number: usize, flaw: Flaw, chance: Chance) -> Machine {
        let chance = Arc::new(Mutex::new(chance));
        Machine { number, flaw, state: Arc::default(), chance }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn takes(&self, most: u64) -> Duration {
        Duration::from_millis(self.chance.lock().unwrap().below(most))
    }

    /// Opens the gate by mistake, so long after it is closed.
    pub async fn open_when_closed(&self, later: Duration) {
        while !self.is_closed() {
            sleep(Duration::from_millis(1)).await;
        }
        sleep(later).await;
        let mut state = self.state();
        if state.is_closed() {
            state.generation += 1;
        }
    }

    pub fn is_closed(&self) -> bool {
        self.state().is_closed()
    }

    /// The next session that is asked for anything fails.
    pub fn fail(&self, fails: bool) {
        self.state().fails = fails;
    }

    /// No session gets anywhere meanwhile.
    pub fn stop(&self, long: Duration) {
        self.state().stopped_until = Some(Instant::now() + long);
    }

    /// The longest that a writer has waited.
    pub fn longest(&self) -> Duration {
        self.state().longest
    }

    /// The snapshot of an epoch, if one was taken.
    pub fn snapshot_of(&self, begun: &Begun) -> Option<Data> {
        self.state().snapshots.get(begun).cloned()
    }

    /// The certificate that it gave for an epoch, if it did.
    pub fn certificate_of(&self, begun: &Begun) -> Option<Certificate> {
        self.state().certificates.get(begun).cloned()
    }

    /// The last epoch that it prepared for.
    pub fn last(&self) -> EpochId {
        self.state().last
    }

    /// What it was asked for and should not have been.
    pub fn wrong(&self) -> Vec<String> {
        self.state().wrong.clone()
    }

    /// What it was told of verdicts.
    pub fn settled(&self) -> Vec<(EpochId, Verdict)> {
        self.state().settled.clone()
    }

    /// Writes, as a writer does: behind the gate, or after it has waited for as long as a pause may last.
    pub async fn write<T>(&self, write: impl FnOnce(&mut Data) -> T) -> T {
        let since = Instant::now();
        loop {
            {
                let mut state = self.state();
                if state.is_closed() && state.until.is_some_and(|until| Instant::now() >= until) {
                    state.generation += 1;
                }
                if !state.is_closed() || self.flaw == Flaw::NoGate {
                    state.longest = state.longest.max(since.elapsed());
                    return write(&mut state.data);
                }
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// A step of a session: it takes its time, and longer if it is stopped.
    async fn step(&self, most: u64) -> Result<(), Failed> {
        sleep(self.takes(most)).await;
        let stopped = self.state().stopped_until;
        if let Some(until) = stopped {
            tokio::time::sleep_until(until).await;
        }
        match std::mem::take(&mut self.state().fails) {
            true => Err(failed("it was told to fail")),
            false => Ok(()),
        }
    }
}

impl State {
    fn is_closed(&self) -> bool {
        self.generation % 2 == 1
    }
}

fn failed(text: &str) -> Failed {
    Failed { text: text.to_owned(), exit: 75 }
}

impl Host for Machine {
    type Session = Taking;

    async fn prepare(&self, order: &Order) -> Result<Taking, Failed> {
        {
            let mut state = self.state();
            if order.epoch <= state.last {
                let line = format!("h{} obeys {} after {}", self.number, order.epoch, state.last);
                state.wrong.push(line);
            }
            state.last = order.epoch;
        }
        self.step(200).await?;
        Ok(Taking { machine: self.clone(), order: order.clone(), generation: None })
    }

    async fn counts(&self) -> Vec<Counts> {
        Vec::new()
    }

    async fn settle(&self, epoch: EpochId, verdict: &Verdict) -> Result<(), Failed> {
        self.state().settled.push((epoch, verdict.clone()));
        Ok(())
    }
}

/// A snapshot of it.
pub struct Taking {
    machine: Machine,
    order: Order,
    generation: Option<u64>,
}

impl Session for Taking {
    async fn freeze(&mut self) -> Result<(), Failed> {
        {
            let mut state = self.machine.state();
            if state.is_closed() {
                return Err(failed("somebody else has the gate"));
            }
            state.generation += 1;
            state.until = Some(Instant::now() + self.order.drain + self.order.hold);
            self.generation = Some(state.generation);
        }
        self.machine.step(50).await
    }

    async fn snapshot(&mut self) -> Result<Taken, Failed> {
        let before = self.machine.state().data.clone();
        self.machine.step(300).await?;
        let mut state = self.machine.state();
        let after = state.data.clone();
        // Half of it was read in the beginning, half in the end.
        let data = match self.order.epoch.0 % 2 {
            0 => Data { sent: before.sent, received: after.received },
            _ => Data { sent: after.sent, received: before.received },
        };
        state.snapshots.insert(self.order.begun(), data);
        Ok(Taken { name: self.order.name(), path: None })
    }

    async fn release(&mut self) -> Result<Certificate, Failed> {
        self.machine.step(20).await?;
        let mut state = self.machine.state();
        let is_ours = Some(state.generation) == self.generation;
        if is_ours {
            state.generation += 1;
        }
        if !is_ours && self.machine.flaw != Flaw::NoCertificate {
            return Err(failed("the pause did not last"));
        }
        let generations = vec![self.generation.unwrap_or_default()];
        let certificate = Certificate { generations, ..Certificate::default() };
        state.certificates.insert(self.order.begun(), certificate.clone());
        Ok(certificate)
    }

    async fn settle(self, verdict: &Verdict) -> Result<(), Failed> {
        self.machine.settle(self.order.epoch, verdict).await
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        let mut state = self.machine.state();
        // One that is stopped does not even open its gate.
        let is_stopped = state.stopped_until.is_some_and(|until| Instant::now() < until);
        if !is_stopped && Some(state.generation) == self.generation && state.is_closed() {
            state.generation += 1;
        }
    }
}
