//! Stores with a quiesce of their own: each takes part by a command that it is spoken to with, `--with`.
//!
//! They are started and get ready while the gate is open. Once nobody is inside, all are told at once to freeze and
//! have as long as a writer of ours may be kept waiting; whoever has not done it by then opens the gate. They are
//! told for how long at most, so that each goes on by itself when we are stopped; and when we die, their input ends.
//! What counts at the end is that none has ended or spoken since it was frozen: it says so before it goes on.
//!
//! Whatever they do, they are waited for with a limit and with nobody else's time: what they say is read in pieces, what
//! they complain of is kept until the gate is open, and in the end they are ended.

pub mod named;
pub mod session;
mod spoken;

use std::time::{Duration, Instant};

use stillpoint::HELD;

use self::named::With;
use self::session::{Phase, Session};
use crate::catalogue::record::ParticipantRecord;
use crate::process::dialogue::{self, Dialogue};
use crate::process::signals::received;
use crate::words::exit::{Exit, Failure};
use crate::words::lines::{say, warn};
use crate::words::seconds;

/// How long they have to get ready.
const READY: Duration = Duration::from_secs(10);
/// How long they have to thaw. Nobody of ours waits for that.
const THAW: Duration = Duration::from_secs(5);
/// Between two looks at what has no descriptor: ends, and signals.
const LOOK: Duration = Duration::from_millis(50);

/// One of them, and what became of it.
#[derive(Debug)]
pub struct Participant {
    /// As messages and manifests have it: without its arguments.
    pub name: String,
    with: With,
    session: Option<Session>,
    /// That of its last session.
    record: ParticipantRecord,
}

impl Participant {
    /// Writes down how its session stands.
    fn record(&mut self) {
        if let Some(session) = &self.session {
            self.record.covers = session.covers().to_vec();
            self.record.frozen_ms = session.froze().map(seconds::milliseconds);
            self.record.thawed = session.froze().is_some() && session.phase() == Phase::Ready;
        }
    }

    fn phase(&self) -> Option<Phase> {
        self.session.as_ref().map(Session::phase)
    }

    /// What is wrong with it.
    fn fault(&self) -> Option<&str> {
        self.session.as_ref().map_or(Some("does not run"), Session::fault)
    }

    fn failure(&self, exit: Exit, what: &str) -> Failure {
        Failure::new(exit, format!("participant {}: {what}", self.name))
    }

    /// Of one that has not done in time what it was to do, with the reason that it may have given.
    fn too_late(&mut self, exit: Exit, what: String) -> Failure {
        let what = match &mut self.session {
            Some(session) => session.dialogue_mut().with_last_words(what),
            None => what,
        };
        self.failure(exit, &what)
    }
}

/// All participants of a pause. Dropped, they thaw and end.
#[derive(Debug, Default)]
pub struct Participants {
    all: Vec<Participant>,
}

impl Participants {
    /// Finds them; two of the same words are one.
    pub fn find(wanted: &[With]) -> Result<Participants, Failure> {
        let mut all: Vec<Participant> = Vec::new();
        for with in wanted {
            if all.iter().any(|other| other.with == *with) {
                continue;
            }
            let name = with.name();
            with.command()?;
            let number = 1 + all.iter().filter(|other| other.with.name() == name).count();
            let name = if number == 1 { name } else { format!("{name} ({number})") };
            let record = ParticipantRecord {
                participant: name.clone(),
                covers: Vec::new(),
                frozen_ms: None,
                thawed: false,
            };
            all.push(Participant { name, with: with.clone(), session: None, record });
        }
        Ok(Participants { all })
    }

    /// What a manifest says of them.
    pub fn records(&self) -> Vec<ParticipantRecord> {
        self.all.iter().map(|one| one.record.clone()).collect()
    }

    /// Starts those that do not run.
    pub fn start(&mut self) -> Result<(), Failure> {
        for participant in self.all.iter_mut().filter(|one| one.session.is_none()) {
            participant.session = Some(start(&participant.with)?);
        }
        Ok(())
    }

    /// Waits until all run and are ready. The gate is open.
    pub fn get_ready(&mut self) -> Result<(), Failure> {
        self.start()?;
        let is_ready = |one: &Participant| one.session.as_ref().is_some_and(Session::is_ready);
        self.wait(READY, |all| {
            all.iter().all(is_ready) || all.iter().any(is_faulty) || received().is_some()
        });
        let ready = self.faultless().and_then(|()| {
            let late = self.all.iter_mut().find(|one| !is_ready(one));
            let what = format!("is not ready after {}", seconds::display(READY));
            late.map_or(Ok(()), |late| Err(late.too_late(Exit::UNAVAILABLE, what)))
        });
        self.tell_complaints();
        self.all.iter_mut().for_each(Participant::record);
        ready
    }

    /// In the pause: all have `within` to freeze, and thaw by themselves after `limit`.
    pub fn freeze(&mut self, within: Duration, limit: Duration) -> Result<(), Failure> {
        self.sessions().for_each(|session| session.freeze(limit));
        self.wait(within, |all| {
            let is_in_vain = |one: &Participant| !is_asked(one) && !is_frozen(one);
            all.iter().all(is_frozen) || all.iter().any(is_in_vain) || received().is_some()
        });
        self.all.iter_mut().for_each(Participant::record);
        self.faultless()?;
        // Whoever refused has kept others from answering in time.
        let refused = self.all.iter().position(|one| !is_frozen(one) && !is_asked(one));
        let Some(first) = refused.or(self.all.iter().position(is_asked)) else {
            return Ok(());
        };
        let what = match refused {
            Some(_) => "could not be frozen".to_owned(),
            None => format!("was not frozen within {}", seconds::display(within)),
        };
        Err(self.all[first].too_late(Exit::CONFLICT, what))
    }

    /// An error unless all have stood still until now. Does not wait.
    pub fn check(&mut self) -> Result<(), Failure> {
        self.sessions().for_each(Session::hear);
        let Some(moved) = self.all.iter().find(|one| !is_frozen(one)) else {
            return Ok(());
        };
        let what = moved.fault().unwrap_or("went on by itself");
        let consequence = "before the pause was over: what was made in it is not to be trusted";
        Err(moved.failure(Exit::LIMIT, &format!("{what}, {consequence}")))
    }

    fn faultless(&self) -> Result<(), Failure> {
        if let Some(signal) = received() {
            let cancelled = stillpoint::Error::Cancelled.to_string();
            return Err(Failure::new(Exit::killed_by(signal), cancelled));
        }
        let mut faults = self.all.iter().filter_map(|one| Some((one, one.fault()?)));
        match faults.next() {
            Some((one, fault)) => Err(one.failure(Exit::UNAVAILABLE, fault)),
            None => Ok(()),
        }
    }

    /// Lets all go on, and ends those that do not say that they do. The gate is open by now.
    ///
    /// An error if one has ended, or says something else: many find out only now that what they held was lost before.
    pub fn thaw(&mut self) -> Result<(), Failure> {
        self.sessions().for_each(Session::thaw);
        let is_thawing = |one: &Participant| one.phase() == Some(Phase::Thawing);
        self.wait(THAW, |all| !all.iter().any(|one| is_thawing(one) && !is_faulty(one)));
        self.all.iter_mut().for_each(Participant::record);
        let late = format!("did not say `thawed` within {} and is ended", seconds::display(THAW));
        let mut lost = Vec::new();
        let mut held = Ok(());
        for participant in &mut self.all {
            if is_thawing(participant) {
                match participant.fault() {
                    Some(fault) => held = held.and(Err(participant.failure(Exit::LIMIT, fault))),
                    None => warn(&participant.failure(Exit::UNAVAILABLE, &late).to_string()),
                }
            } else if !is_faulty(participant) {
                continue;
            }
            lost.extend(participant.session.take().map(Session::into_dialogue));
        }
        self.tell_complaints();
        dialogue::end(&mut lost);
        held
    }

    fn sessions(&mut self) -> impl Iterator<Item = &mut Session> {
        self.all.iter_mut().filter_map(|one| one.session.as_mut())
    }

    /// Takes in what they say until it is enough, or for so long.
    fn wait(&mut self, limit: Duration, is_enough: impl Fn(&[Participant]) -> bool) {
        let since = Instant::now();
        loop {
            self.sessions().for_each(Session::hear);
            let left = limit.saturating_sub(since.elapsed());
            if is_enough(&self.all) || left.is_zero() {
                return;
            }
            let sessions = self.all.iter().filter_map(|one| one.session.as_ref());
            dialogue::wait(sessions.map(Session::dialogue), left.min(LOOK));
        }
    }

    fn tell_complaints(&mut self) {
        for participant in &mut self.all {
            if let Some(session) = &mut participant.session {
                tell(&participant.name, session.dialogue_mut());
            }
        }
    }
}

impl Drop for Participants {
    fn drop(&mut self) {
        let _ = self.thaw();
        let running = self.all.iter_mut().filter_map(|one| Some((&one.name, one.session.take()?)));
        let (names, mut dialogues): (Vec<_>, Vec<_>) =
            running.map(|(name, session)| (name, session.into_dialogue())).unzip();
        dialogue::end(&mut dialogues);
        for (name, dialogue) in names.into_iter().zip(&mut dialogues) {
            tell(name, dialogue);
        }
    }
}

/// One that runs, and has said nothing yet.
pub fn start(with: &With) -> Result<Session, Failure> {
    let mut command = with.command()?;
    // It takes no part in the barrier as one of ours, nor shall it wait at the gate with a lock.
    command.env_remove(HELD).env("STILLPOINT_ADOPT", "off");
    Session::start(&mut command).map_err(|failure| {
        let exit = match failure.exit {
            Exit::NOT_FOUND | Exit::CANNOT_EXECUTE => Exit::UNAVAILABLE,
            exit => exit,
        };
        Failure::new(exit, format!("participant {}: {failure}", with.name()))
    })
}

fn tell(name: &str, dialogue: &mut Dialogue) {
    for line in dialogue.take_complaints() {
        say(&format!("{name}: {line}"));
    }
}

fn is_faulty(one: &Participant) -> bool {
    one.fault().is_some()
}

fn is_asked(one: &Participant) -> bool {
    one.phase() == Some(Phase::Asked) && !is_faulty(one)
}

fn is_frozen(one: &Participant) -> bool {
    one.phase() == Some(Phase::Frozen) && !is_faulty(one)
}
