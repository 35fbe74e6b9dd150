//! A snapshot that is told each step from outside: this host's part of one of many hosts.
//!
//! It is made as every other one. Before the two steps that have to wait for others, the closing and the opening, it says
//! how far it has come and waits for the word to go on; what is agreed on is in [`words`]. All limits run on meanwhile,
//! the line is taut until the release, and what was certified then waits for the verdict ([`Coordinated::verdict`]).
//!
//! Uses `arguments`, and what lies below the snapshot. Right about the line: what was said there was so, and nothing is
//! said twice.

pub mod words;

use std::time::{Duration, Instant};

use self::words::{Order, Word, certificate, judge};
use super::arguments::Arguments;
use crate::catalogue::group::{GroupRecord, Sentence};
use crate::catalogue::manifest::Manifest;
use crate::process::dialogue::shown;
use crate::process::ending::from_error;
use crate::process::leash;
use crate::process::signals::Signals;
use crate::words::exit::{Exit, Failure};
use crate::words::lines::line;

/// Between two looks at what has no descriptor.
const LOOK: Duration = Duration::from_millis(100);

/// A part that is told its steps.
pub struct Coordinated {
    order: Order,
}

/// The steps that are waited for, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Freeze,
    Release,
}

impl Step {
    fn word(self) -> Word {
        match self {
            Step::Freeze => Word::Freeze,
            Step::Release => Word::Release,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Step::Freeze => "freeze",
            Step::Release => "release",
        }
    }

    /// What stands before it.
    fn reached(self) -> &'static str {
        match self {
            Step::Freeze => "prepared",
            Step::Release => "snapped",
        }
    }
}

/// Takes the line, before anything is done.
pub fn take_line() -> Result<(), Failure> {
    leash::take(judge)
}

/// What is asked for can be a part of a whole.
pub fn check(arguments: &Arguments) -> Result<(), Failure> {
    match arguments.hold() {
        Some(_) => Ok(()),
        None => Err(Failure::usage(
            "others must know when the gate opens by itself: a part of a group's snapshot needs a hold other than none",
        )),
    }
}

/// The last word of what never could be, whether or not anybody is there to tell it anything.
pub fn unfit(failure: Failure) -> Failure {
    say_failed(failure.exit, &failure.to_string());
    failure
}

/// Why it ended, if it was because of the line.
pub fn explain(error: anyhow::Error) -> anyhow::Error {
    leash::cut().map_or(error, Into::into)
}

/// The last word of one that came to nothing, if somebody tells its steps.
pub fn failed(error: anyhow::Error) -> anyhow::Error {
    let error = explain(error);
    say_failed(from_error(&error, Exit::CONFLICT), &line(&error));
    error
}

/// The same, of what is known by its status and a line.
pub fn say_failed(exit: Exit, why: &str) {
    if leash::is_there() {
        leash::say(&format!("failed {} {}", exit.code(), shown(why.as_bytes())));
    }
}

impl Coordinated {
    /// Waits for the order.
    pub fn begin(signals: &mut Signals) -> anyhow::Result<Coordinated> {
        let word = wait(signals, "prepare", || Ok(LOOK))?;
        match word {
            Word::Prepare(order) => Ok(Coordinated { order: *order }),
            _ => Err(Failure::usage("was told another word where `prepare` was expected").into()),
        }
    }

    /// The group's limits and name, where they are closer than our own.
    pub fn restrict(&self, arguments: &mut Arguments) {
        self.order.restrict(arguments);
    }

    /// What one run at a time may have: waited for while it is refused because another one has it, be that one at its
    /// verdict or looking at what it took. Half of the time to prepare in is left for preparing.
    pub fn in_turn<T>(
        &self,
        signals: &mut Signals,
        mut take: impl FnMut() -> Result<T, Failure>,
    ) -> anyhow::Result<T> {
        let until = Instant::now() + self.order.prepare() / 2;
        loop {
            match take() {
                Err(failure) if failure.exit == Exit::CONFLICT && Instant::now() < until => {}
                taken => return Ok(taken?),
            }
            signals.check()?;
            listen(signals, LOOK)?;
        }
    }

    /// For the first manifest.
    pub fn record(&self) -> GroupRecord {
        self.order.record()
    }

    /// Says how far it has come, and waits for the word for the next step. `go_on`: for how long at most it may be waited
    /// for, asked again and again.
    pub fn wait_for(
        &self,
        step: Step,
        name: &str,
        signals: &mut Signals,
        go_on: impl FnMut() -> anyhow::Result<Duration>,
    ) -> anyhow::Result<()> {
        let said = match step {
            Step::Release => format!("{} {name}", step.reached()),
            _ => step.reached().to_owned(),
        };
        say(&said)?;
        let word = wait(signals, step.name(), go_on)?;
        if word != step.word() {
            let message = format!("was told another word where `{}` was expected", step.name());
            return Err(Failure::usage(message).into());
        }
        if step == Step::Release {
            leash::slacken();
        }
        Ok(())
    }

    /// Says that nobody is inside. The snapshot is waited for by others, and waits for none of them.
    pub fn quiet(&self) -> Result<(), Failure> {
        say("quiet")
    }

    /// Says that this part is proved, and on the disk.
    pub fn certified(&self, manifest: &Manifest) {
        // Nobody who hears it: the verdict will not be said here.
        leash::say(&format!("certified {}", certificate(manifest)));
    }

    /// Waits for the verdict, as long as somebody is there who could say it.
    pub fn verdict(&self, signals: &mut Signals) -> anyhow::Result<Sentence> {
        let unknown = |why: &str| {
            let message =
                format!("waits for the verdict of its group: {why}; stillpoint settle says it");
            anyhow::Error::from(Failure::new(Exit::CONFLICT, message))
        };
        loop {
            match leash::next().map(|line| Word::parse(&line)) {
                Some(Ok(Word::Sentence(sentence))) => return Ok(sentence),
                Some(Ok(_)) => return Err(unknown("was told another word")),
                Some(Err(failure)) => return Err(unknown(&failure.to_string())),
                None if leash::is_over() => return Err(unknown("whoever told each step is gone")),
                None => {}
            }
            signals.check()?;
            listen(signals, LOOK)?;
        }
    }

    /// Says that the verdict is written down here.
    pub fn settled(&self) {
        leash::say("settled");
    }
}

fn say(word: &str) -> Result<(), Failure> {
    match leash::say(word) {
        true => Ok(()),
        false => Err(Failure::new(Exit::CONFLICT, "nobody reads how far this part has come")),
    }
}

fn wait(
    signals: &mut Signals,
    expected: &str,
    mut go_on: impl FnMut() -> anyhow::Result<Duration>,
) -> anyhow::Result<Word> {
    loop {
        // First of all: what came before the end counts for nothing any more.
        signals.check()?;
        let left = go_on()?;
        if let Some(line) = leash::next() {
            return Ok(Word::parse(&line)?);
        }
        if left.is_zero() {
            let message =
                format!("was not told `{expected}` within the hold limit; the gate is open");
            return Err(Failure::new(Exit::LIMIT, message).into());
        }
        listen(signals, left.min(LOOK))?;
    }
}

fn listen(signals: &mut Signals, limit: Duration) -> Result<(), Failure> {
    let heard = signals.wait(Some(limit));
    heard.map(drop).map_err(|error| Failure::system("waiting for a word", error))
}
