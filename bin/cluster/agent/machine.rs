//! What an agent does about what it hears: no time, no store, no barrier in it, and so nothing that could block.
//!
//! An epoch is obeyed from its beginning or not at all, and only if its number is greater than that of every epoch
//! obeyed before: an engine that was restored from an old backup gives numbers out again. From then on each phase
//! that the store shows is followed by one step of the session, and each step that is done by one report. The end of
//! the epoch's key, another epoch in its place, a step that fails and a phase that comes too early all mean the same:
//! the session is dropped, and its gate is open. Silence means nothing: the session's own limits end it.
//!
//! Once the host has its certificate nothing is undone by any of this; what is asked for then is the verdict.

use crate::record::epoch::{Epoch, Mode, Phase};
use crate::record::identity::{Begun, EpochId};
use crate::record::report::{Certificate, Failed, Step, Taken};
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
    /// The gate is closed and nobody is inside.
    Quiet,
    /// There is a snapshot.
    Snapped(Taken),
    /// The gate is open again, and nobody had opened it.
    Certified(Certificate),
}

/// What is to be done. None of it waits.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Note the epoch for good, then prepare a session for it.
    Start(EpochId, Epoch),
    /// Have the session close the gate.
    Freeze(EpochId),
    /// Have it take the snapshot.
    Snapshot(EpochId),
    /// Have it open the gate.
    Release(EpochId),
    /// Drop it: the gate opens at once.
    Drop(EpochId, String),
    /// Write a report.
    Report(Begun, Told),
    /// Read the verdict, until there is one.
    Ask(Begun),
    /// Tell the session.
    Settle(EpochId, Verdict),
    /// Tell the log.
    Say(String),
}

/// The part of a report that the machine knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Which step.
    pub step: Step,
    /// Why it was not done.
    pub error: Option<Failed>,
    /// What was taken.
    pub snapshot: Option<Taken>,
    /// That nobody wrote.
    pub certificate: Option<Certificate>,
}

impl Told {
    fn done(step: Step) -> Told {
        Told { step, error: None, snapshot: None, certificate: None }
    }

    fn failed(step: Step, error: Failed) -> Told {
        Told { error: Some(error), ..Told::done(step) }
    }
}

/// How far a session is. Those in the middle of something come before it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Preparing,
    Prepared,
    Closing,
    Quiet,
    Snapping,
    Snapped,
    Releasing,
    Certified,
}

impl Stage {
    /// What is reported when this fails.
    fn step(self, mode: Mode) -> Step {
        match (self, mode) {
            (Stage::Preparing | Stage::Prepared, _) => Step::Prepared,
            (Stage::Closing, Mode::Early) => Step::Quiet,
            (Stage::Closing | Stage::Quiet | Stage::Snapping, Mode::HoldAll) => Step::Snapped,
            _ => Step::Certified,
        }
    }
}

/// The epoch that is obeyed now.
#[derive(Clone, Debug)]
struct Current {
    begun: Begun,
    mode: Mode,
    phase: Phase,
    stage: Stage,
    snapshot: Option<Taken>,
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
    current: Option<Current>,
    /// Epochs with a certificate and without a verdict.
    waiting: Vec<Begun>,
}

impl Agent {
    /// One that has obeyed this epoch and none after it, and has not heard the verdicts of those.
    pub fn new(last: EpochId, waiting: Vec<Begun>) -> Agent {
        Agent { last, member: None, seen: None, current: None, waiting }
    }

    /// The epoch that is under way here, if its gate may be closed.
    pub fn busy(&self) -> Option<EpochId> {
        self.current.as_ref().map(|current| current.begun.id)
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
            Input::Done(id, done) if self.busy() == Some(id) => match done {
                Ok(done) => self.done(done),
                Err(failed) => self.fail(failed),
            },
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
        let current = self.current.as_ref().filter(|current| current.begun.id == id);
        if let Some(current) = current {
            match epoch {
                Ok(epoch) if epoch.nonce == current.begun.nonce => return self.phase(&epoch),
                // A restored store has given the number out again.
                Ok(_) => {}
                Err(unreadable) => {
                    return self.fail(Failed {
                        text: format!("the epoch's key: {unreadable}"),
                        exit: Exit::INTERNAL.code(),
                    });
                }
            }
        }
        let nonce = epoch.as_ref().map_or_else(|_| String::new(), |epoch| epoch.nonce.clone());
        let begun = Begun { id, nonce };
        let mut actions = self.over("another epoch has begun");
        let Some(member) = self.member else {
            return actions;
        };
        // Whoever began it counted on another life of this agent, or on none.
        if id <= member.since {
            return actions;
        }
        if id <= self.last {
            // One that failed here already is shown again with each of its phases.
            if id < self.last {
                let text = format!(
                    "epoch {id} is not greater than {}, which was obeyed before; if the store was restored from a backup, restore it with --bump-revision",
                    self.last
                );
                actions.push(Action::Say(text.clone()));
                let failed = Failed { text, exit: Exit::CONFLICT.code() };
                actions.push(Action::Report(begun, Told::failed(Step::Prepared, failed)));
            }
            return actions;
        }
        let refusal = match epoch {
            Ok(epoch) if epoch.phase == Phase::Prepare => {
                self.last = id;
                self.current = Some(Current {
                    begun,
                    mode: epoch.mode,
                    phase: epoch.phase,
                    stage: Stage::Preparing,
                    snapshot: None,
                });
                actions.push(Action::Start(id, epoch));
                return actions;
            }
            Ok(epoch) => format!(
                "epoch {id} is in its phase {} already, and its beginning was missed",
                epoch.phase
            ),
            Err(unreadable) => format!("epoch {id}: {unreadable}"),
        };
        self.last = id;
        actions.push(Action::Say(refusal.clone()));
        let failed = Failed { text: refusal, exit: Exit::CONFLICT.code() };
        actions.push(Action::Report(begun, Told::failed(Step::Prepared, failed)));
        actions
    }

    /// The epoch that is obeyed has got further.
    fn phase(&mut self, epoch: &Epoch) -> Vec<Action> {
        let Some(current) = &mut self.current else {
            return Vec::new();
        };
        if epoch.phase <= current.phase {
            return Vec::new();
        }
        current.phase = epoch.phase;
        let fitting = match (epoch.phase, current.mode) {
            (Phase::Prepare, _) => false,
            (Phase::Pause, _) => current.stage == Stage::Prepared,
            (Phase::Snap, Mode::Early) => current.stage == Stage::Quiet,
            (Phase::Release, Mode::HoldAll) => current.stage == Stage::Snapped,
            _ => false,
        } && epoch.mode == current.mode;
        if !fitting {
            let text = format!("the phase {} came before this host was ready for it", epoch.phase);
            return self.fail(Failed { text, exit: Exit::INTERNAL.code() });
        }
        let (stage, action) = match epoch.phase {
            Phase::Prepare | Phase::Pause => (Stage::Closing, Action::Freeze(current.begun.id)),
            Phase::Snap => (Stage::Snapping, Action::Snapshot(current.begun.id)),
            Phase::Release => (Stage::Releasing, Action::Release(current.begun.id)),
        };
        current.stage = stage;
        vec![action]
    }

    /// The session has done what it was told.
    fn done(&mut self, done: Done) -> Vec<Action> {
        let Some(current) = &mut self.current else {
            return Vec::new();
        };
        let begun = current.begun.clone();
        let id = begun.id;
        let told = |step| Action::Report(begun.clone(), Told::done(step));
        match (done, current.stage, current.mode) {
            (Done::Prepared, Stage::Preparing, _) => {
                current.stage = Stage::Prepared;
                vec![told(Step::Prepared)]
            }
            // Nobody waits for others before the snapshot: the commit that counts comes after it.
            (Done::Quiet, Stage::Closing, Mode::HoldAll) => {
                current.stage = Stage::Snapping;
                vec![Action::Snapshot(id)]
            }
            (Done::Quiet, Stage::Closing, Mode::Early) => {
                current.stage = Stage::Quiet;
                vec![told(Step::Quiet)]
            }
            (Done::Snapped(taken), Stage::Snapping, mode) => {
                current.snapshot = Some(taken.clone());
                match mode {
                    Mode::HoldAll => {
                        current.stage = Stage::Snapped;
                        let told = Told { snapshot: Some(taken), ..Told::done(Step::Snapped) };
                        vec![Action::Report(begun, told)]
                    }
                    Mode::Early => {
                        current.stage = Stage::Releasing;
                        vec![Action::Release(id)]
                    }
                }
            }
            (Done::Certified(certificate), Stage::Releasing, _) => {
                current.stage = Stage::Certified;
                self.waiting.push(begun.clone());
                let told = Told {
                    snapshot: current.snapshot.clone(),
                    certificate: Some(certificate),
                    ..Told::done(Step::Certified)
                };
                vec![Action::Report(begun, told)]
            }
            (done, stage, _) => {
                let text = format!("the session says {done:?} in stage {stage:?}");
                self.fail(Failed { text, exit: Exit::INTERNAL.code() })
            }
        }
    }

    /// This host cannot do its part.
    fn fail(&mut self, failed: Failed) -> Vec<Action> {
        let Some(current) = self.current.take() else {
            return Vec::new();
        };
        if current.stage == Stage::Certified {
            // It has done its part; what comes now is the verdict's.
            self.current = Some(current);
            return Vec::new();
        }
        let told = Told::failed(current.stage.step(current.mode), failed.clone());
        vec![Action::Drop(current.begun.id, failed.text), Action::Report(current.begun, told)]
    }

    /// The epoch that was obeyed is not the store's any more.
    fn over(&mut self, why: &str) -> Vec<Action> {
        match self.current.take() {
            None => Vec::new(),
            Some(current) if current.stage == Stage::Certified => vec![Action::Ask(current.begun)],
            Some(current) => vec![Action::Drop(current.begun.id, why.to_owned())],
        }
    }
}
