//! What an agent does about what it hears: no time, no store, no barrier in it, and so nothing that could block.
//!
//! An epoch is obeyed from its beginning or not at all, and only if its number is greater than that of every epoch
//! obeyed before: an engine that was restored from an old backup gives numbers out again. From then on it is the
//! `Part` that goes on. The end of the epoch's key, another epoch in its place, a step that fails and a phase that comes
//! too early all mean the same: the session is dropped, and its gate is open. Silence means nothing: the session's own
//! limits end it.
//!
//! Once the host has its certificate nothing is undone by any of this; what is asked for then is the verdict.

use super::part::Part;
use crate::record::epoch::Epoch;
use crate::record::identity::{Begun, EpochId};
use crate::record::report::{Certificate, Failed, Said, Taken};
use crate::record::value::Unreadable;
use crate::record::verdict::Verdict;
use crate::words::exit::Exit;

/// What happens to an agent.
#[derive(Clone, Debug)]
pub enum Input {
    /// The store shows this epoch.
    Epoch(EpochId, Result<Epoch, Unreadable>),
    /// The store shows none.
    NoEpoch,
    /// The session has done this, or failed to.
    Done(EpochId, Result<Done, Failed>),
    /// A report was refused, so its epoch is over.
    Refused(EpochId),
    /// The verdict was read.
    Verdict(EpochId, Verdict),
    /// This host takes part, or no longer: it is in the roster, and nobody else wants to be it.
    Membership(Option<Member>),
}

/// Since when an agent takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The revision at which it was registered: epochs that began before it do not count on it.
    pub since: EpochId,
}

/// What a session has done.
#[derive(Clone, Debug)]
pub enum Done {
    /// All that comes before the closing.
    Prepared,
    /// The gate is closed and nobody is inside; the snapshot is being taken.
    Quiet,
    /// The snapshot is whole.
    Snapped,
    /// The gate is open again, and nobody had opened it.
    Certified(Taken, Certificate),
}

/// What is to be done. None of it waits.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Note the epoch for good, then prepare a session for it.
    Start(EpochId, Epoch),
    /// Have the session close the gate, and take the snapshot behind it.
    Pause(EpochId),
    /// Have it open the gate.
    Release(EpochId),
    /// Drop it: the gate opens at once.
    Drop(EpochId, String),
    /// Write a report.
    Report(Begun, Said),
    /// Read the verdict, until there is one.
    Ask(Begun),
    /// Tell the session.
    Settle(EpochId, Verdict),
    /// Tell the log.
    Say(String),
}

/// An agent's state.
#[derive(Clone, Debug)]
pub struct Agent {
    /// The greatest epoch that was obeyed or refused.
    last: EpochId,
    member: Option<Member>,
    /// What the store shows, for who becomes a member only now: what one learns from several sides may come in any
    /// order.
    seen: Option<(EpochId, Result<Epoch, Unreadable>)>,
    /// The epoch that is obeyed now.
    part: Option<Part>,
    /// Epochs with a certificate and without a verdict.
    waiting: Vec<Begun>,
}

impl Agent {
    /// One that has obeyed this epoch and none after it, and has not heard the verdicts of those.
    pub fn new(last: EpochId, waiting: Vec<Begun>) -> Agent {
        Agent { last, member: None, seen: None, part: None, waiting }
    }

    /// The epoch that is under way here, if its gate may be closed.
    pub fn busy(&self) -> Option<EpochId> {
        self.part.as_ref().map(|part| part.begun.id)
    }

    /// The greatest epoch that was obeyed or refused.
    pub fn last(&self) -> EpochId {
        self.last
    }

    /// The epochs of which it has a certificate and no verdict.
    pub fn waiting(&self) -> &[Begun] {
        &self.waiting
    }

    /// Takes note of what happened.
    pub fn take(&mut self, input: Input) -> Vec<Action> {
        match input {
            Input::Epoch(id, epoch) => {
                self.seen = Some((id, epoch.clone()));
                self.epoch(id, epoch)
            }
            Input::NoEpoch => {
                self.seen = None;
                self.over("the epoch was given up")
            }
            Input::Refused(id) if self.busy() == Some(id) => self.over("the epoch is over"),
            Input::Done(id, done) if self.busy() == Some(id) => self.done(done),
            Input::Refused(_) | Input::Done(..) => Vec::new(),
            Input::Verdict(id, verdict) => {
                let begun = Begun { id, nonce: verdict.nonce.clone() };
                let was_waiting = self.waiting.contains(&begun);
                self.waiting.retain(|other| *other != begun);
                match was_waiting {
                    true => vec![Action::Settle(id, verdict)],
                    false => Vec::new(),
                }
            }
            Input::Membership(member) => {
                self.member = member;
                match (member, self.seen.clone()) {
                    (None, _) => self.over("this host no longer takes part"),
                    (Some(_), Some((id, epoch))) if self.busy().is_none() => self.epoch(id, epoch),
                    (Some(_), _) => Vec::new(),
                }
            }
        }
    }

    fn epoch(&mut self, id: EpochId, epoch: Result<Epoch, Unreadable>) -> Vec<Action> {
        if let Some(part) = self.part.as_mut().filter(|part| part.begun.id == id) {
            let moved = match &epoch {
                Ok(epoch) if epoch.nonce == part.begun.nonce => Some(part.sees(epoch.phase)),
                // A restored store has given the number out again.
                Ok(_) => None,
                Err(unreadable) => Some(Err(refused(format!("the epoch's key: {unreadable}")))),
            };
            if let Some(moved) = moved {
                return moved.unwrap_or_else(|failed| self.fail(failed));
            }
        }
        let mut actions = self.over("another epoch has begun");
        // Whoever began an older one counted on another life of this agent, or on none.
        if self.member.is_none_or(|member| id <= member.since) {
            return actions;
        }
        let nonce = epoch.as_ref().map_or_else(|_| String::new(), |epoch| epoch.nonce.clone());
        let begun = Begun { id, nonce };
        let why = match epoch {
            // One that failed here already is shown again with each of its phases.
            _ if id == self.last => return actions,
            _ if id < self.last => format!(
                "epoch {id} is not greater than {}, which was obeyed before; if the store was restored from a backup, restore it with --bump-revision",
                self.last
            ),
            Err(unreadable) => format!("epoch {id}: {unreadable}"),
            Ok(epoch) if epoch.phase != epoch.first() => format!(
                "epoch {id} is in its phase {} already, and its beginning was missed",
                epoch.phase
            ),
            Ok(epoch) => {
                self.last = id;
                self.part = Some(Part::new(begun, &epoch));
                actions.push(Action::Start(id, epoch));
                return actions;
            }
        };
        self.last = self.last.max(id);
        actions.push(Action::Say(why.clone()));
        actions.push(Action::Report(begun, Said::Failed(refused(why))));
        actions
    }

    fn done(&mut self, done: Result<Done, Failed>) -> Vec<Action> {
        let Some(part) = &mut self.part else {
            return Vec::new();
        };
        let moved = done.and_then(|done| part.has(done));
        if moved.is_ok() && part.is_certified() {
            self.waiting.push(part.begun.clone());
        }
        moved.unwrap_or_else(|failed| self.fail(failed))
    }

    /// This host cannot do its part.
    fn fail(&mut self, failed: Failed) -> Vec<Action> {
        // One that is certified has done it; what comes now is the verdict's.
        let Some(part) = self.part.take_if(|part| !part.is_certified()) else {
            return Vec::new();
        };
        let drop = Action::Drop(part.begun.id, failed.text.clone());
        vec![drop, Action::Report(part.begun, Said::Failed(failed))]
    }

    /// The epoch that was obeyed is not the store's any more.
    fn over(&mut self, why: &str) -> Vec<Action> {
        match self.part.take() {
            None => Vec::new(),
            Some(part) if part.is_certified() => vec![Action::Ask(part.begun)],
            // It may have its certificate by now, of which nobody has heard: what that is worth, the verdict says.
            Some(part) if part.is_opening() => {
                self.waiting.push(part.begun.clone());
                vec![Action::Ask(part.begun)]
            }
            Some(part) => vec![Action::Drop(part.begun.id, why.to_owned())],
        }
    }
}

fn refused(text: String) -> Failed {
    Failed { text, exit: Exit::CONFLICT.code() }
}
