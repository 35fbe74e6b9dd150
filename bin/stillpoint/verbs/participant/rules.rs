//! What is agreed of participants, as trials: each with a process of its own, since one that has broken a rule tells
//! nothing about the next.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::process::dialogue;
use crate::stilling::participant;
use crate::stilling::participant::named::With;
use crate::stilling::participant::session::{Phase, Session};
use crate::words::seconds;

/// For one that is told to thaw in time.
const LONG: Duration = Duration::from_secs(60);
/// For one that is not.
const SHORT: Duration = Duration::from_secs(1);
/// How long it is watched when it shall do nothing.
const WATCH: Duration = Duration::from_millis(200);
/// How long those that it has started may outlive it.
const MOMENT: Duration = Duration::from_millis(300);
/// How long it may take to thaw or to end.
const SOON: Duration = Duration::from_secs(2);

/// What is said of a rule that was kept, or how it was broken.
pub type Outcome = Result<String, String>;

pub struct Rule {
    pub name: &'static str,
    trial: fn(&mut Trial) -> Outcome,
}

pub const RULES: &[Rule] = &[
    Rule { name: "gets ready", trial: Trial::gets_ready },
    Rule { name: "freezes, stays so, and thaws", trial: Trial::freezes },
    Rule { name: "does so again", trial: Trial::freezes_again },
    Rule { name: "thaws when it is told before it is frozen", trial: Trial::thaws_early },
    Rule { name: "thaws by itself at its limit, not before", trial: Trial::keeps_to_its_limit },
    Rule { name: "ends when its input ends", trial: Trial::ends },
    Rule { name: "ends when its input ends while it is frozen", trial: Trial::ends_frozen },
    Rule { name: "ends by TERM while it is frozen", trial: Trial::ends_by_signal },
];

/// How a participant does in the trial of one rule.
pub fn outcome(rule: &Rule, with: &With, patience: Duration) -> Outcome {
    let since = Instant::now();
    let mut session = participant::start(with).map_err(|failure| failure.to_string())?;
    let ready = session.until(patience, |one| one.is_ready() || one.fault().is_some());
    let took = since.elapsed();
    let mut trial = Trial { session, patience, took };
    let outcome = match trial.session.fault() {
        None if ready => (rule.trial)(&mut trial),
        None => Err(format!("is not ready after {}", seconds::display(patience))),
        Some(fault) => Err(fault.to_owned()),
    };
    dialogue::end(&mut [trial.session.into_dialogue()]);
    outcome
}

/// A participant on trial, which is ready.
struct Trial {
    session: Session,
    patience: Duration,
    /// To get ready.
    took: Duration,
}

impl Trial {
    fn gets_ready(&mut self) -> Outcome {
        if self.session.phase() != Phase::Ready {
            return Ok("without saying so: `ready` would save a second each time".to_owned());
        }
        let mut said = format!("after {}", seconds::display(self.took));
        if let count @ 1.. = self.session.covers().len() {
            said.push_str(&format!(", covers {count} processes"));
        }
        Ok(said)
    }

    fn freezes(&mut self) -> Outcome {
        let since = Instant::now();
        self.freeze(LONG)?;
        let froze = since.elapsed();
        let session = &mut self.session;
        session.until(WATCH, |one| one.phase() != Phase::Frozen || one.fault().is_some());
        self.in_order("does not stay frozen", Phase::Frozen)?;
        let since = Instant::now();
        self.thaw()?;
        let (froze, thawed) = (seconds::display(froze), seconds::display(since.elapsed()));
        Ok(format!("frozen after {froze}, thawed after {thawed}"))
    }

    fn freezes_again(&mut self) -> Outcome {
        self.freezes()?;
        self.freezes()
    }

    fn thaws_early(&mut self) -> Outcome {
        self.session.freeze(LONG);
        self.thaw()
    }

    fn keeps_to_its_limit(&mut self) -> Outcome {
        // Before it reads the line.
        let since = Instant::now();
        self.freeze(SHORT)?;
        let session = &mut self.session;
        session.until(SHORT + SOON, |one| one.phase() != Phase::Frozen || one.fault().is_some());
        let took = since.elapsed();
        let told = seconds::display(SHORT);
        let told = format!("{} after it was told {told}", seconds::display(took));
        let has_ended = self.session.dialogue().ended().is_some();
        if took < SHORT && (has_ended || self.session.phase() == Phase::Expired) {
            return Err(format!("went on {told}"));
        }
        if has_ended {
            return Ok("ends".to_owned());
        }
        self.in_order(&format!("is still frozen {told}"), Phase::Expired)?;
        let thawed = self.thaw();
        match self.session.dialogue().ended() {
            Some(_) => Ok("says `expired` and ends".to_owned()),
            None => thawed.map(|_| "says `expired`".to_owned()),
        }
    }

    fn ends(&mut self) -> Outcome {
        self.session.dialogue_mut().close_input();
        self.is_gone()
    }

    fn ends_frozen(&mut self) -> Outcome {
        self.freeze(LONG)?;
        self.ends()
    }

    fn ends_by_signal(&mut self) -> Outcome {
        self.freeze(LONG)?;
        self.session.dialogue().signal(Signal::SIGTERM);
        self.is_gone()
    }

    fn freeze(&mut self, limit: Duration) -> Outcome {
        self.session.freeze(limit);
        let patience = self.patience;
        self.session.until(patience, |one| one.phase() != Phase::Asked || one.fault().is_some());
        let patience = seconds::display(patience);
        self.in_order(&format!("is not frozen after {patience}"), Phase::Frozen)
    }

    fn thaw(&mut self) -> Outcome {
        self.session.thaw();
        self.session.until(SOON, |one| one.phase() != Phase::Thawing || one.fault().is_some());
        let soon = seconds::display(SOON);
        self.in_order(&format!("does not say `thawed` within {soon}"), Phase::Ready)
    }

    /// With nothing of it left, whatever it said meanwhile.
    fn is_gone(&mut self) -> Outcome {
        let soon = seconds::display(SOON);
        if !self.session.until(SOON, |one| one.dialogue().ended().is_some()) {
            return Err(format!("runs on for {soon}"));
        }
        // What filters its last words ends after it.
        let is_alone = |one: &Session| !one.dialogue().has_left_others();
        match self.session.until(MOMENT, is_alone) {
            true => Ok(String::new()),
            false => Err("leaves processes behind, which are ended".to_owned()),
        }
    }

    /// Where it shall be; else `what` is wrong, unless it is something worse.
    fn in_order(&self, what: &str, expected: Phase) -> Outcome {
        match self.session.fault() {
            Some(fault) => Err(fault.to_owned()),
            None if self.session.phase() == expected => Ok(String::new()),
            None if self.session.phase() == Phase::Refused => Err("said `failed`".to_owned()),
            None => Err(what.to_owned()),
        }
    }
}
