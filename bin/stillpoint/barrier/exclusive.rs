//! The exclusive side for a command: how `run -x`, `recover` and `freeze` wait for it and use it.
//!
//! The wait may be without end, but the gate is closed for bounded drains only and opened in
//! between: no writer is stalled longer at a time by somebody else's wait. The command inherits a
//! descriptor of the lock, so that writers stay out while it runs even if somebody killed this
//! process. The pause is released, and thereby certified, only after the command has ended.

use std::cell::RefCell;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use stillpoint::{
    Barrier, Error, ErrorKind, ExclusiveGuard, ExclusiveOptions, GateChange, HELD, Pacing, Phase,
    Waiting, Writer, exclusive_all,
};

use crate::process::child::ended::Ended;
use crate::process::child::{self, Bounds, Terms};
use crate::process::ending::from_error;
use crate::process::signals::Signals;
use crate::words::exit::{Exit, Failure};
use crate::words::seconds::{self, FOREVER, Limit};
use crate::words::waiting::{self, WaitingLine};

/// No writer shall wait longer at one closed gate because of our waiting, unless told otherwise.
pub const DRAIN: Duration = Duration::from_secs(2);
/// How long the command may run, unless told otherwise.
pub const HOLD: Limit = Limit::After(Duration::from_secs(60));

/// Others that stand still in a pause, besides the writers of the barrier. Who is asked only before it is granted, and
/// stilled by nobody, has nothing to answer for at its end.
pub trait Others {
    /// Before each closing, while nobody waits for us: what must be had first, with so much time left in all.
    fn get_ready(&mut self, _left: Option<Duration>, _signals: &Signals) -> anyhow::Result<()> {
        Ok(())
    }
    /// Whether anything is asked of them before the pause is granted.
    fn are_asked(&self) -> bool;
    /// Asked again and again with nobody inside, until it is true.
    fn are_still(&mut self) -> bool;
    /// Asked once, just before the gate opens.
    fn have_stayed_still(&mut self) -> Result<(), Failure> {
        Ok(())
    }
    /// Asked once, when it is open again and before they go on.
    fn have_held(&mut self) -> Result<(), Failure> {
        Ok(())
    }
    /// The gate is open again: so shall they be.
    fn let_go(&mut self) {}
    /// Who kept the answer from being true, for messages.
    fn in_the_way(&self) -> Vec<String>;
}

/// Nobody else.
pub struct Nobody;

impl Others for Nobody {
    fn are_asked(&self) -> bool {
        false
    }
    fn are_still(&mut self) -> bool {
        true
    }
    fn in_the_way(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A pause that was not had because of others says which.
pub fn because_of(others: &dyn Others, error: Error) -> anyhow::Error {
    let in_the_way = others.in_the_way();
    match &error {
        Error::NotQuiet { path, waited, writers }
            if writers.is_empty() && !in_the_way.is_empty() =>
        {
            let (path, waited) = (path.display(), seconds::display(*waited));
            let message =
                format!("{path}: not quiet after {waited}, busy: {}", in_the_way.join(", "));
            Failure::new(Exit::CONFLICT, message).into()
        }
        _ => error.into(),
    }
}

/// Others, as the callbacks of one attempt reach them.
pub struct Beside<'a>(RefCell<&'a mut dyn Others>);

impl<'a> Beside<'a> {
    pub fn new(others: &'a mut dyn Others) -> Beside<'a> {
        Beside(RefCell::new(others))
    }

    pub fn are_asked(&self) -> bool {
        self.0.borrow().are_asked()
    }

    /// For the predicate.
    pub fn are_still(&self) -> bool {
        self.0.borrow_mut().are_still()
    }

    /// For what is told around closings.
    pub fn changed(&self, change: GateChange) {
        if change == GateChange::Reopened {
            self.0.borrow_mut().let_go();
        }
    }

    fn get_ready(&self, left: Option<Duration>, signals: &Signals) -> anyhow::Result<()> {
        self.0.borrow_mut().get_ready(left, signals)
    }
}

/// The time to get in.
pub struct Patience {
    since: Instant,
    limit: Option<Duration>,
}

impl Patience {
    /// Begins now; `None` is no limit, zero does not wait at all.
    pub fn new(limit: Option<Duration>) -> Patience {
        Patience { since: Instant::now(), limit }
    }

    pub fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// What is left of it; `None` is no limit.
    pub fn left(&self) -> Option<Duration> {
        self.limit.map(|limit| limit.saturating_sub(self.elapsed()))
    }

    fn is_over(&self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }
}

/// The exclusive side of one barrier or of several at one moment, as a command wants it.
pub struct Exclusive<'a> {
    pub barriers: &'a [&'a Barrier],
    pub label: &'a str,
    pub patience: &'a Patience,
    /// How long the gate may be closed at a time before it is quiet.
    pub drain: Duration,
    pub hold: Limit,
    /// Whether the command inherits the descriptor of the lock.
    pub inherited: bool,
}

impl Exclusive<'_> {
    /// Closes the gate again and again, briefly, until it is quiet once or the time is over.
    pub fn quiesce(
        &self,
        signals: &Signals,
        others: &mut dyn Others,
    ) -> anyhow::Result<ExclusiveGuard> {
        // Else whoever holds it for us has said so.
        for barrier in self.barriers.iter().filter(|barrier| barrier.is_covered().is_none()) {
            waiting::warn_if_unseen(barrier);
        }
        let mut progress = WaitingLine::new();
        loop {
            let bound = self.patience.left().unwrap_or(FOREVER);
            let mut last = None;
            // While the gate is open between two closings, nobody is named.
            let mut inside = Vec::new();
            let stop = AtomicBool::new(false);
            let mut show = |waiting: &Waiting<'_>| {
                progress.show(waiting);
                if !waiting.writers.is_empty() {
                    inside = waiting.writers.to_vec();
                }
                let late = !bound.is_zero() && self.patience.is_over();
                if late {
                    let barrier = waiting.barrier.to_owned();
                    last = Some((barrier, waiting.phase, waiting.writers.to_vec()));
                }
                stop.store(late || signals.check().is_err(), Ordering::Relaxed);
            };
            let beside = Beside::new(others);
            let mut predicate = || beside.are_still();
            let mut refused = None;
            let mut around = |change| {
                beside.changed(change);
                if change == GateChange::AboutToClose {
                    refused = beside.get_ready(self.patience.left(), signals).err();
                }
                refused.is_none()
            };
            let mut options = ExclusiveOptions::default()
                .patience(bound)
                .drain(bound.min(self.drain))
                .hold(self.hold.duration())
                .wait(bound)
                .pacing(Pacing::Minimal)
                .label(self.label.to_string())
                .progress(&mut show)
                .cancel(&stop)
                .around_closing(&mut around)
                .keep_descriptor(self.inherited);
            if beside.are_asked() {
                options = options.predicate(&mut predicate);
            }
            let attempt = exclusive_all(self.barriers, &mut options);
            if attempt.is_err() {
                others.let_go();
            }
            if let Some(error) = refused {
                match from_error(&error, Exit::CONFLICT) {
                    Exit::CONFLICT if !self.patience.is_over() => continue,
                    _ => return Err(error),
                }
            }
            match (attempt, last) {
                (Err(Error::Cancelled), Some((path, phase, writers))) => {
                    signals.check()?;
                    let nobody = writers.is_empty() && others.in_the_way().is_empty();
                    let writers = if nobody { inside } else { writers };
                    return Err(because_of(others, self.too_late(path, phase, writers)));
                }
                (Err(error), _)
                    if matches!(
                        error.kind(),
                        ErrorKind::NotQuiet | ErrorKind::Busy | ErrorKind::Stragglers
                    ) && !self.patience.is_over() => {}
                (Err(error), _) => return Err(because_of(others, error)),
                (Ok(guard), _) => return Ok(guard),
            }
        }
    }

    /// The time to get in was over in this phase of waiting for this barrier.
    fn too_late(&self, path: PathBuf, phase: Phase, writers: Vec<Writer>) -> Error {
        match phase {
            Phase::OtherTool => {
                let holder = waiting::closer(&path).unwrap_or_else(|| "another tool".to_string());
                Error::Busy { path, holder }
            }
            Phase::Pacing => Error::Pacing { path },
            Phase::Stragglers => {
                let barrier = self.barriers.iter().find(|barrier| barrier.path() == path);
                let users = barrier.and_then(|barrier| barrier.stragglers()).unwrap_or_default();
                Error::Stragglers { path, users }
            }
            _ => {
                let waited = self.patience.elapsed();
                let present = |writer| waiting::present(writer, &path);
                let writers = writers.iter().map(present).collect();
                Error::NotQuiet { path, waited, writers }
            }
        }
    }

    /// Their paths, for messages.
    fn shown(&self) -> String {
        let paths = self.barriers.iter().map(|barrier| barrier.path().display().to_string());
        paths.collect::<Vec<_>>().join(", ")
    }

    /// Runs `command` in the pause and ends the pause; an error unless it held until the command
    /// had ended by itself.
    pub fn run(
        &self,
        guard: ExclusiveGuard,
        command: &mut Command,
        signals: &mut Signals,
        others: &mut dyn Others,
    ) -> anyhow::Result<Ended> {
        signals.check()?;
        command.env(HELD, guard.cover());
        let bounds = match guard.remaining().map(|left| Instant::now() + left) {
            None => Bounds::None,
            // An ancestor holds the barrier and ends us together with its process group.
            Some(deadline) if guard.covered() => Bounds::UntilWithin(deadline),
            Some(deadline) => Bounds::Until(deadline),
        };
        let descriptors = guard.descriptors();
        let terms =
            Terms { bounds, inherited: &descriptors, prints_errors_only: false, told: None };
        let ended = child::run(command, terms, signals)?;
        drop(descriptors);
        let stayed = others.have_stayed_still();
        let released = guard.release();
        if ended == Ended::AtLimit {
            let limit = self.hold.duration().map(seconds::display).unwrap_or_default();
            return Err(Failure::new(
                Exit::LIMIT,
                format!(
                    "{}: {} was ended at the hold limit of {limit}; see --hold",
                    self.shown(),
                    command.get_program().to_string_lossy(),
                ),
            )
            .into());
        }
        released?;
        // Our own writers first.
        others.have_held()?;
        stayed?;
        Ok(ended)
    }
}
