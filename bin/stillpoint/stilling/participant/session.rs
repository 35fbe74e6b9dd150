//! One participant that runs: what it was told, what it has said, and whether that is in order.
//!
//! A fault is kept until somebody asks, and is final: what is said afterwards counts for nothing.

use std::process::Command;
use std::time::{Duration, Instant};

use super::spoken::{self, Word};
use crate::process::dialogue::{self, Dialogue, shown};
use crate::words::exit::Failure;

/// Whoever has said nothing for so long after it was started is ready.
const SILENCE: Duration = Duration::from_secs(1);
/// Between two looks at what has no descriptor: an end.
const LOOK: Duration = Duration::from_millis(20);
/// More processes than these are no server of one host.
const COVERED: usize = 65_536;

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It has not said that it is ready.
    Preparing,
    Ready,
    /// Told to freeze.
    Asked,
    Frozen,
    /// It cannot now; another time it may.
    Refused,
    /// Has gone on by itself.
    Expired,
    /// Told to thaw.
    Thawing,
}

/// A participant that runs.
#[derive(Debug)]
pub struct Session {
    dialogue: Dialogue,
    since: Instant,
    phase: Phase,
    /// Whether it may still say what it covers, and that it is ready.
    begins: bool,
    spoke: bool,
    covers: Vec<u32>,
    asked: Instant,
    froze: Option<Duration>,
    fault: Option<String>,
}

impl Session {
    pub fn start(command: &mut Command) -> Result<Session, Failure> {
        Ok(Session {
            dialogue: Dialogue::start(command)?,
            since: Instant::now(),
            phase: Phase::Preparing,
            begins: true,
            spoke: false,
            covers: Vec::new(),
            asked: Instant::now(),
            froze: None,
            fault: None,
        })
    }

    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// What is wrong with it: it has ended, or has done what is not agreed.
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// Whether it can be told to freeze: it said so, or nothing at all.
    pub fn is_ready(&self) -> bool {
        match self.phase {
            Phase::Ready => true,
            Phase::Preparing => !self.spoke && self.since.elapsed() >= SILENCE,
            _ => false,
        }
    }

    /// The processes of this host that it stills, as it says.
    pub fn covers(&self) -> &[u32] {
        &self.covers
    }

    /// How long it took to freeze, the last time that it was told, if it has.
    pub fn froze(&self) -> Option<Duration> {
        self.froze
    }

    pub fn dialogue(&self) -> &Dialogue {
        &self.dialogue
    }

    pub fn dialogue_mut(&mut self) -> &mut Dialogue {
        &mut self.dialogue
    }

    pub fn into_dialogue(self) -> Dialogue {
        self.dialogue
    }

    pub fn freeze(&mut self, limit: Duration) {
        self.phase = Phase::Asked;
        (self.asked, self.froze) = (Instant::now(), None);
        self.tell(&spoken::freeze(limit));
    }

    /// Nothing for one that was not told to freeze, or does not listen.
    pub fn thaw(&mut self) {
        let was_told =
            matches!(self.phase, Phase::Asked | Phase::Frozen | Phase::Refused | Phase::Expired);
        if was_told && self.fault.is_none() {
            self.phase = Phase::Thawing;
            self.tell(spoken::THAW);
        }
    }

    /// Takes in what it says until it is enough, or for so long. Whether it was enough.
    pub fn until(&mut self, limit: Duration, is_enough: impl Fn(&Session) -> bool) -> bool {
        let since = Instant::now();
        loop {
            self.hear();
            let left = limit.saturating_sub(since.elapsed());
            if is_enough(self) || left.is_zero() {
                return is_enough(self);
            }
            dialogue::wait(std::iter::once(&self.dialogue), left.min(LOOK));
        }
    }

    fn tell(&mut self, line: &str) {
        if !self.dialogue.say(line) && self.fault.is_none() {
            self.hear();
            let what = match self.dialogue.ended() {
                Some(_) => self.dialogue.epitaph(),
                None => "reads nothing from its standard input".to_owned(),
            };
            self.fault = Some(what);
        }
    }

    /// Takes in what it has said meanwhile, and whether it still is there. Does not wait.
    pub fn hear(&mut self) {
        let ended = self.dialogue.ended();
        for line in self.dialogue.hear() {
            if self.fault.is_none() {
                self.understand(&line);
            }
        }
        if self.fault.is_none() && (ended.is_some() || self.dialogue.is_silent()) {
            self.fault = Some(self.dialogue.epitaph());
        }
    }

    fn understand(&mut self, line: &[u8]) {
        self.spoke = true;
        self.phase = match (spoken::parse(line), self.phase) {
            (Some(Word::Covers(pid)), phase) if self.begins && self.covers.len() < COVERED => {
                self.covers.push(pid);
                phase
            }
            (Some(Word::Ready), phase) if self.begins => {
                self.begins = false;
                if phase == Phase::Preparing { Phase::Ready } else { phase }
            }
            (Some(Word::Frozen), Phase::Asked) => {
                self.begins = false;
                self.froze = Some(self.asked.elapsed());
                Phase::Frozen
            }
            (Some(Word::Failed), Phase::Asked) => Phase::Refused,
            (Some(Word::Expired), Phase::Asked | Phase::Frozen) => Phase::Expired,
            (Some(Word::Thawed), Phase::Thawing) => Phase::Ready,
            // We both spoke at once.
            (Some(Word::Frozen | Word::Failed | Word::Expired), Phase::Thawing) => Phase::Thawing,
            (_, phase) => {
                let expected = match phase {
                    Phase::Preparing => "`ready` was expected",
                    Phase::Asked => "`frozen` was expected",
                    Phase::Thawing => "`thawed` was expected",
                    _ => "nothing was asked",
                };
                self.fault = Some(format!("said \"{}\" where {expected}", shown(line)));
                phase
            }
        };
    }
}
