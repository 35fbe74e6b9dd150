//! One host's part in the epoch that it obeys: from its beginning to its certificate.
//!
//! A phase that the store shows has the session do something, a step that the session has done is reported, and the
//! gate is opened when two things are so, whichever comes first: `release` was seen, and the host's own snapshot is
//! whole. That is the same in both modes; they differ in when the host says that it is ready. Why that is right stands in
//! the head of `record::epoch`. A phase that comes before this host has said what it waits for is not
//! obeyed: whoever wrote it did not wait for this host.
//!
//! `tests/model/cluster` has the same machine. What is called so there is called so here:
//!
//! | in the model | here |
//! |---|---|
//! | `Phase` | [`Phase`]: `Prepare`, `Pause`, `Release` |
//! | `Step` | [`Said`]: `Prepared`, `Ready`, `Certified`, `Failed` |
//! | `Child` | [`Stage`]: `Prepared`, `Quiet`, `Snapped`, `Certified`, and what takes its time before each |

use super::machine::{Action, Done};
use crate::record::epoch::{Epoch, Mode, Phase};
use crate::record::identity::Begun;
use crate::record::report::{Failed, Said, Step};
use crate::words::exit::Exit;

/// How far the session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Preparing,
    Prepared,
    Closing,
    /// Its snapshot is being taken.
    Quiet,
    Snapped,
    Opening,
    Certified,
}

/// The part.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub begun: Begun,
    mode: Mode,
    phase: Phase,
    stage: Stage,
    /// What was reported last.
    said: Option<Step>,
}

impl Part {
    /// That of an epoch that has just begun; its session is being prepared.
    pub fn new(begun: Begun, epoch: &Epoch) -> Part {
        let (mode, phase) = (epoch.mode, epoch.phase);
        Part { begun, mode, phase, stage: Stage::Preparing, said: None }
    }

    /// Whether nothing but the verdict matters any more.
    pub fn is_certified(&self) -> bool {
        self.stage == Stage::Certified
    }

    /// Whether the session has been told to open its gate, and has not said yet that it has.
    pub fn is_opening(&self) -> bool {
        self.stage == Stage::Opening
    }

    /// The store shows the epoch in this phase.
    pub fn sees(&mut self, phase: Phase) -> Result<Vec<Action>, Failed> {
        if phase <= self.phase {
            return Ok(Vec::new());
        }
        self.phase = phase;
        let awaited = match phase {
            Phase::Prepare => None,
            Phase::Pause => Some(Step::Prepared),
            Phase::Release => Some(Step::Ready),
        };
        match self.said >= awaited {
            true => Ok(self.is_due().into_iter().collect()),
            false => {
                Err(internal(format!("the phase {phase} came before this host was ready for it")))
            }
        }
    }

    /// The session has done what it was told.
    pub fn has(&mut self, done: Done) -> Result<Vec<Action>, Failed> {
        let is_early = self.mode == Mode::Early;
        let (stage, said) = match (done, self.stage) {
            (Done::Prepared, Stage::Preparing) => {
                // Where there is no phase for it, nobody waits to hear of it.
                let is_awaited = self.phase == Phase::Prepare;
                (Stage::Prepared, is_awaited.then_some((Step::Prepared, Said::Prepared)))
            }
            (Done::Quiet, Stage::Closing) => {
                (Stage::Quiet, is_early.then_some((Step::Ready, Said::Ready)))
            }
            (Done::Snapped, Stage::Quiet) => {
                (Stage::Snapped, (!is_early).then_some((Step::Ready, Said::Ready)))
            }
            (Done::Certified(snapshot, certificate), Stage::Opening) => {
                let said = Said::Certified { snapshot, certificate };
                (Stage::Certified, Some((Step::Certified, said)))
            }
            (done, stage) => {
                return Err(internal(format!("the session says {done:?} in stage {stage:?}")));
            }
        };
        self.stage = stage;
        let report = said.map(|(step, said)| {
            self.said = Some(step);
            Action::Report(self.begun.clone(), said)
        });
        Ok(report.into_iter().chain(self.is_due()).collect())
    }

    /// What the session is to do now.
    fn is_due(&mut self) -> Option<Action> {
        let (stage, action) = match (self.stage, self.phase) {
            (Stage::Prepared, Phase::Pause) => (Stage::Closing, Action::Pause(self.begun.id)),
            (Stage::Snapped, Phase::Release) => (Stage::Opening, Action::Release(self.begun.id)),
            _ => return None,
        };
        self.stage = stage;
        Some(action)
    }
}

fn internal(text: String) -> Failed {
    Failed { text, exit: Exit::INTERNAL.code() }
}
