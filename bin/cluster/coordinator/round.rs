//! One epoch, as its coordinator sees it: no store and no clock in it.
//!
//! Every member's report moves it on; when all have reported what the phase asks for, the next phase is written.
//! Anything else ends it: a report of failure, an agent that is gone or is another one, a phase that takes too long,
//! the epoch's key gone. An end names the member and the reason. What it calls complete has a certificate of every
//! member, each from the very agent that was there at the beginning; whether that is the verdict is decided by the
//! store, which takes one verdict only, and only while the epoch and the roster are what they were.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::record::epoch::{Mode, Phase};
use crate::record::identity::{Begun, EpochId, Incarnation, Name};
use crate::record::live::Live;
use crate::record::report::{Failed, Report, Said, Step};
use crate::record::value::Unreadable;
use crate::record::verdict::Part;
use crate::words::exit::Exit;

/// How long members may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// To prepare, before any gate is closed. Zero: each closes its gate as soon as it has prepared.
    pub prepare: Duration,
    /// To become quiet. Members keep this themselves; the coordinator only waits for their word.
    pub drain: Duration,
    /// For the snapshot and until the opening.
    pub hold: Duration,
    /// For certificates to arrive: they are made within the hold limit, and last.
    pub certificates: Duration,
}

/// For the word of a member that keeps its limits to arrive.
const GRACE: Duration = Duration::from_secs(2);

/// What happens in an epoch. Times are since its beginning.
#[derive(Clone, Debug)]
pub enum Input {
    /// A member's report was put.
    Report(Name, Result<Report, Unreadable>),
    /// A host's sign of life was put, or is gone.
    Live(Name, Option<Result<Live, Unreadable>>),
    /// The store no longer shows this epoch.
    Gone,
    /// The phase that was asked for is written.
    Written(Phase),
    /// Somebody asks for its end.
    Interrupted(Failed),
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Write the next phase.
    Write(Phase),
    /// Write that it is complete.
    Complete,
    /// Write that it is aborted.
    Abort(Failed),
}

/// A member, as far as it has come.
#[derive(Clone, Debug)]
struct Seat {
    step: Option<Step>,
    part: Part,
}

/// An epoch under way.
#[derive(Clone, Debug)]
pub struct Round {
    begun: Begun,
    mode: Mode,
    limits: Limits,
    /// Written, or being written.
    phase: Phase,
    is_written: bool,
    /// When the phase must be over.
    until: Duration,
    seats: BTreeMap<Name, Seat>,
    is_over: bool,
}

impl Round {
    /// One that has just begun, of these members.
    pub fn new(
        begun: Begun,
        mode: Mode,
        limits: Limits,
        members: impl IntoIterator<Item = (Name, Incarnation)>,
    ) -> Round {
        let seat = |incarnation| Seat {
            step: None,
            part: Part { incarnation, snapshot: None, certificate: None },
        };
        let mut round = Round {
            begun,
            mode,
            limits,
            phase: Phase::first(limits.prepare),
            is_written: true,
            until: Duration::ZERO,
            seats: members
                .into_iter()
                .map(|(name, incarnation)| (name, seat(incarnation)))
                .collect(),
            is_over: false,
        };
        round.until = round.limit();
        round
    }

    /// Which it is.
    pub fn id(&self) -> EpochId {
        self.begun.id
    }

    /// Where it has got to.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// When a tick is wanted, if nothing happens before.
    pub fn deadline(&self) -> Option<Duration> {
        (!self.is_over).then_some(self.until)
    }

    /// What every member has.
    pub fn parts(&self) -> BTreeMap<Name, Part> {
        self.seats.iter().map(|(name, seat)| (name.clone(), seat.part.clone())).collect()
    }

    /// Whom the phase still waits for.
    pub fn awaited(&self) -> Vec<&Name> {
        let wanted = self.wanted();
        let seats = self.seats.iter();
        seats.filter(|(_, seat)| seat.step < Some(wanted)).map(|(name, _)| name).collect()
    }

    /// Takes note of what happened.
    pub fn take(&mut self, input: Input, now: Duration) -> Option<Action> {
        if self.is_over {
            return None;
        }
        let ended = match input {
            Input::Report(host, report) => self.report(&host, report),
            Input::Live(host, live) => self.live(&host, live),
            Input::Gone => Err(failed(Exit::CONFLICT, "the epoch's key is gone: the coordinator's lease ran out, or somebody gave the epoch up".to_owned())),
            Input::Written(phase) => {
                if phase == self.phase {
                    self.is_written = true;
                    self.until = now.saturating_add(self.limit());
                }
                Ok(())
            }
            Input::Interrupted(why) => Err(why),
            Input::Tick => self.tick(now),
        };
        match ended {
            Err(reason) => {
                self.is_over = true;
                Some(Action::Abort(reason))
            }
            Ok(()) => self.advance(now),
        }
    }

    /// The step that ends the phase.
    fn wanted(&self) -> Step {
        match self.phase {
            Phase::Prepare => Step::Prepared,
            Phase::Pause => Step::Ready,
            Phase::Release => Step::Certified,
        }
    }

    fn limit(&self) -> Duration {
        let Limits { prepare, drain, hold, certificates } = self.limits;
        let limit = match (self.phase, self.mode) {
            (Phase::Prepare, _) => return prepare,
            (Phase::Pause, Mode::Early) => drain,
            (Phase::Pause, Mode::HoldAll) => drain.saturating_add(hold),
            (Phase::Release, Mode::Early) => hold.saturating_add(certificates),
            (Phase::Release, Mode::HoldAll) => certificates,
        };
        limit.saturating_add(GRACE)
    }

    fn report(&mut self, host: &Name, report: Result<Report, Unreadable>) -> Result<(), Failed> {
        let Some(seat) = self.seats.get_mut(host) else {
            return Ok(());
        };
        let report = match report {
            Ok(report) => report,
            Err(_) if seat.step == Some(Step::Certified) => return Ok(()),
            Err(unreadable) => {
                return Err(failed(Exit::INTERNAL, format!("{host}: its report: {unreadable}")));
            }
        };
        // What it says of another epoch, or another one says, is nothing of this. That there is another one is
        // seen by its sign of life.
        let is_of_this = report.epoch == self.begun.id && report.nonce == self.begun.nonce;
        if !is_of_this || report.incarnation != seat.part.incarnation {
            return Ok(());
        }
        // A certificate stands, whatever is said afterwards.
        if seat.step == Some(Step::Certified) {
            return Ok(());
        }
        let step = match report.said {
            Said::Failed(Failed { text, exit }) => {
                return Err(Failed { text: format!("{host}: {text}"), exit });
            }
            Said::Prepared => Step::Prepared,
            Said::Ready => Step::Ready,
            Said::Certified { snapshot, certificate } => {
                seat.part.snapshot = Some(snapshot);
                seat.part.certificate = Some(certificate);
                Step::Certified
            }
        };
        seat.step = seat.step.max(Some(step));
        Ok(())
    }

    fn live(&self, host: &Name, live: Option<Result<Live, Unreadable>>) -> Result<(), Failed> {
        let Some(seat) = self.seats.get(host) else {
            return Ok(());
        };
        // Its word is given; nobody needs it any more.
        if seat.step == Some(Step::Certified) {
            return Ok(());
        }
        let why = match live {
            None => "its agent has not been heard of, or was stopped".to_owned(),
            Some(Err(unreadable)) => format!("its sign of life: {unreadable}"),
            Some(Ok(live)) => match live.rival {
                Some(ref rival) => live.rivalry(rival),
                None if live.incarnation != seat.part.incarnation => {
                    "its agent was started anew".to_owned()
                }
                None => return Ok(()),
            },
        };
        Err(failed(Exit::CONFLICT, format!("{host}: {why}, before it had its certificate")))
    }

    fn tick(&self, now: Duration) -> Result<(), Failed> {
        if now < self.until {
            return Ok(());
        }
        if !self.is_written {
            let why = format!("the phase {} could not be written in time", self.phase);
            return Err(failed(Exit::UNAVAILABLE, why));
        }
        let awaited = self.awaited();
        let shown: Vec<String> = awaited.iter().take(5).map(ToString::to_string).collect();
        let more = match awaited.len().saturating_sub(5) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let what = match (self.phase, self.mode) {
            (Phase::Prepare, _) => "prepared",
            (Phase::Pause, Mode::Early) => "quiet",
            (Phase::Pause, Mode::HoldAll) => "a snapshot",
            (Phase::Release, _) => "a certificate",
        };
        let within = self.limit().as_secs_f64();
        let why = format!("{}{more}: no word of {what} within {within} s", shown.join(", "));
        Err(failed(Exit::CONFLICT, why))
    }

    fn advance(&mut self, now: Duration) -> Option<Action> {
        if !self.is_written || !self.awaited().is_empty() {
            return None;
        }
        let next = match self.phase {
            Phase::Prepare => Phase::Pause,
            Phase::Pause => Phase::Release,
            Phase::Release => {
                self.is_over = true;
                return Some(Action::Complete);
            }
        };
        self.phase = next;
        self.is_written = false;
        // Members that are quiet meanwhile keep their own limit.
        self.until = now.saturating_add(self.limits.hold).saturating_add(GRACE);
        Some(Action::Write(next))
    }
}

/// A reason, as it is kept in a verdict.
pub fn failed(exit: Exit, text: String) -> Failed {
    Failed { text, exit: exit.code() }
}
