//! What the file of a job has run around its pause, and what is kept of how that went.
//!
//! The last keeper does it, which outlives the command that was called: `before` while all gates are open, and `after` once
//! they are open again, whether somebody has thawed them, the limit came, or it came to no pause. So what was stopped goes
//! on also where a host never comes back. A keeper that is killed by signal 9 runs none, as a run of a job does not.
//! Hosts do not wait for `after`, so the next pause does, by the lock that lets a job run but once at a time: else what
//! that starts would be there again in it.

use std::time::{Duration, SystemTime};

use crate::barrier::exclusive::Patience;
use crate::job::commands::{self, Known};
use crate::job::record::{Record, Turn};
use crate::job::{Hooks, Job};
use crate::process::ending::from_error;
use crate::process::signals::Signals;
use crate::words::exit::Exit;
use crate::words::lines::{line, say, warn};
use crate::words::seconds::timestamp;

/// How a pause was over.
pub enum Over {
    /// It was thawed, and had held.
    Held,
    /// Its token was sent, and it did not hold.
    Lost(anyhow::Error),
    /// It came to none: a barrier before this one, which has said why.
    Refused(Exit),
}

impl Over {
    /// What the keeper ends with. Once the token was sent only that of a later barrier asks for it.
    pub fn exit(self) -> anyhow::Result<Exit> {
        match self {
            Over::Held => Ok(Exit::SUCCESS),
            Over::Lost(_) => Ok(Exit::LIMIT),
            Over::Refused(exit) => Ok(exit),
        }
    }
}

/// Of a job.
pub struct Around {
    job: String,
    hooks: Hooks,
    /// Its record tells of its pauses, as it has no other runs.
    only_freezes: bool,
}

/// The first thing that went wrong.
struct Wrong {
    step: &'static str,
    exit: Exit,
    reason: String,
}

impl Around {
    pub fn new(job: &mut Job) -> Around {
        let hooks = std::mem::take(&mut job.hooks);
        Around { job: job.name.clone(), hooks, only_freezes: job.only_freezes() }
    }

    /// Runs what comes before, the pause, and what comes after. The time for the first is that for the pause.
    pub fn run(
        &self,
        patience: &Patience,
        signals: &mut Signals,
        pause: impl FnOnce(&mut Signals) -> anyhow::Result<Over>,
    ) -> anyhow::Result<Exit> {
        let _turn = self.turn(patience, signals)?;
        let mut record = self.begin();
        let mut wrong = self.before(patience, signals).err();
        let ended = match &wrong {
            Some(wrong) => {
                say(&format!("job {}: {}: {}", self.job, wrong.step, wrong.reason));
                Ok(Over::Refused(wrong.exit))
            }
            None => pause(signals),
        };
        if wrong.is_none() {
            wrong = Wrong::of(&ended);
        }
        if let Err(after) = self.step("after", self.hooks.after.as_deref(), None, &wrong, signals) {
            say(&format!("job {}: after: {}", self.job, after.reason));
            wrong.get_or_insert(after);
        }
        if wrong.is_some() {
            let on_failure = self.hooks.on_failure.as_deref();
            if let Err(failed) = self.step("on-failure", on_failure, None, &wrong, signals) {
                say(&format!("job {}: on-failure: {}", self.job, failed.reason));
            }
        }
        if self.only_freezes {
            record.ended = Some(timestamp(SystemTime::now()));
            match wrong {
                None => record.succeeded.clone_from(&record.ended),
                Some(Wrong { step, exit, reason }) => {
                    record.exit = Some(exit.code());
                    (record.failed, record.reason) = (Some(step.to_owned()), Some(reason));
                }
            }
            record.exit.get_or_insert(0);
            record.store().unwrap_or_else(|failure| warn(&failure.to_string()));
        }
        ended.and_then(Over::exit)
    }

    /// What is kept of its pause, which is written down before anything is done: that of a keeper that was killed says
    /// so from then on.
    fn begin(&self) -> Record {
        if !self.only_freezes {
            return Record::begun(&self.job, None);
        }
        let last = Record::load(&self.job).ok().flatten();
        if let Some(last) = last.as_ref().filter(|last| last.ended.is_none()) {
            let (job, began) = (&self.job, &last.began);
            warn(&format!("job {job}: the pause that began at {began} was cut short"));
        }
        let record = Record::begun(&self.job, last.as_ref());
        record.store().unwrap_or_else(|failure| warn(&failure.to_string()));
        record
    }

    /// `None`: nothing is run or kept of it, or the lock cannot be had at all.
    fn turn(&self, patience: &Patience, signals: &Signals) -> anyhow::Result<Option<Turn>> {
        let Hooks { before, after, on_failure, .. } = &self.hooks;
        let runs = [before, after, on_failure].iter().any(|command| command.is_some());
        if !runs && !self.only_freezes {
            return Ok(None);
        }
        loop {
            match Turn::take(&self.job) {
                Ok(turn) => return Ok(Some(turn)),
                Err(failure) if failure.exit != Exit::CONFLICT => {
                    warn(&failure.to_string());
                    return Ok(None);
                }
                Err(failure) if patience.left().is_some_and(|left| left.is_zero()) => {
                    return Err(failure.into());
                }
                Err(_) => signals.check()?,
            }
        }
    }

    fn before(&self, patience: &Patience, signals: &mut Signals) -> Result<(), Wrong> {
        // No time to wait for the writers is no limit for it.
        let left = patience.left().filter(|left| !left.is_zero());
        self.step("before", self.hooks.before.as_deref(), left, &None, signals)
    }

    /// Runs a command, `within` that time if that is shorter than what the file gives it.
    fn step(
        &self,
        step: &'static str,
        words: Option<&[String]>,
        within: Option<Duration>,
        wrong: &Option<Wrong>,
        signals: &mut Signals,
    ) -> Result<(), Wrong> {
        let Some(words) = words else { return Ok(()) };
        let known = Known {
            job: &self.job,
            exit: wrong.as_ref().map_or(Exit::SUCCESS, |wrong| wrong.exit),
            failed: wrong.as_ref().map(|wrong| wrong.step),
            reason: wrong.as_ref().map(|wrong| wrong.reason.as_str()),
        };
        let mut command = commands::command(words, known);
        let timeout = [self.hooks.timeout, within].into_iter().flatten().min();
        match commands::run(&mut command, timeout, signals) {
            Ok(Exit::SUCCESS) => Ok(()),
            Ok(exit) => {
                Err(Wrong { step, exit, reason: format!("ended with status {}", exit.code()) })
            }
            Err(error) => {
                Err(Wrong { step, exit: from_error(&error, Exit::CONFLICT), reason: line(&error) })
            }
        }
    }
}

impl Wrong {
    fn of(ended: &anyhow::Result<Over>) -> Option<Wrong> {
        let (exit, reason) = match ended {
            Ok(Over::Held) => return None,
            Ok(Over::Lost(error)) => (Exit::LIMIT, line(error)),
            Ok(Over::Refused(exit)) => (*exit, format!("ended with status {}", exit.code())),
            Err(error) => (from_error(error, Exit::CONFLICT), line(error)),
        };
        Some(Wrong { step: "freeze", exit, reason })
    }
}
