//! The oracle: judges one pause, from the grant to the release.
//!
//! At the grant everybody's record and both tables are read. Whoever is marked inside must be dead, or
//! must have ended inside on purpose, and all of these must be covered by the dirty epoch; everybody
//! else's two numbers must be equal. Until the release nothing may have moved.
//!
//! A writer that was killed is marked for ever, and the kernel may give its slot back a moment before
//! the lock that proves its life here. So whoever was marked is only asked for his death when the
//! pause has been certified, and gets a while. One that lives moves in that time, or goes on living:
//! both convict.

use crate::arena::Arena;
use crate::state::{Ledger, State};
use std::ops::Range;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, SeqCst};
use std::time::{Duration, Instant};

/// How long a dying process may take, on one busy CPU.
const DYING: Duration = Duration::from_secs(10);

/// What a judge saw.
#[derive(PartialEq, Eq)]
struct Sight {
    states: Vec<State>,
    index: Vec<u32>,
    counter: Vec<u32>,
}

/// A pause under judgement.
pub struct Judge<'a> {
    arena: &'a Arena,
    range: Range<u32>,
    at_grant: Sight,
    findings: Findings,
}

/// What there is against a pause, if it is certified.
#[derive(Default)]
pub struct Findings {
    complaints: Vec<String>,
    /// Writers that must be dead, in the state in which they died.
    suspects: Vec<(u32, State)>,
}

impl<'a> Judge<'a> {
    /// Looks at a pause that was granted with this dirty epoch.
    pub fn at_grant(arena: &'a Arena, epoch: u32) -> Judge<'a> {
        let (first, settled) = arena.settled();
        let range = first..arena.writers();
        let at_grant = look(arena, range.clone());
        let mut findings = Findings::default();
        let mut ledger = Ledger::new(arena, settled);
        for (at, writer) in range.clone().enumerate() {
            let (state, index, counter) = at_grant.of(at);
            ledger.enter(arena.record(writer).process.load(SeqCst), state);
            if state.is_outside() && index != counter {
                let torn = format!("writer {writer} is outside with {index} and {counter}");
                findings.complaints.push(torn);
            }
            if state.is_inside() {
                findings.suspects.push((writer, state));
            }
        }
        let losses = ledger.close(false);
        if losses > epoch {
            let text = format!("{losses} losses are owed and the dirty epoch is {epoch}");
            findings.complaints.push(text);
        }
        Judge { arena, range, at_grant, findings }
    }

    /// Looks again, just before the release.
    pub fn at_release(mut self) -> Findings {
        let now = look(self.arena, self.range.clone());
        let complaints = &mut self.findings.complaints;
        if now != self.at_grant {
            for (at, writer) in self.range.clone().enumerate() {
                let (before, now) = (self.at_grant.of(at), now.of(at));
                if before != now {
                    complaints.push(format!("writer {writer} went from {before:?} to {now:?}"));
                }
            }
        }
        for writer in self.range.end..self.arena.writers() {
            if !State::of(self.arena.record(writer)).is_outside() {
                complaints.push(format!("new writer {writer} is inside"));
            }
        }
        self.findings
    }
}

impl Findings {
    /// The pause was certified: what was seen counts.
    pub fn convict(mut self, arena: &Arena, who: &str) {
        for (writer, state) in self.suspects {
            if !is_dead(arena, writer, state) {
                self.complaints.push(format!("writer {writer} was inside and lived"));
            }
        }
        for complaint in self.complaints {
            arena.complain(&format!("{complaint}, in a certified pause of {who}"));
        }
    }

    /// As text, for another process to convict by.
    pub fn to_text(&self) -> String {
        let suspects =
            self.suspects.iter().map(|(writer, state)| format!("{writer} {}\n", state.0));
        let complaints = self.complaints.iter().map(|complaint| format!("! {complaint}\n"));
        suspects.chain(complaints).collect()
    }

    /// The reverse.
    pub fn from_text(text: &str) -> Findings {
        let mut findings = Findings::default();
        for line in text.lines() {
            match line.split_once(' ').expect("a finding has two parts") {
                ("!", complaint) => findings.complaints.push(complaint.into()),
                (writer, state) => findings.suspects.push((
                    writer.parse().expect("a number"),
                    State(state.parse().expect("a number")),
                )),
            }
        }
        findings
    }
}

impl Sight {
    /// State and numbers of one writer.
    fn of(&self, at: usize) -> (State, u32, u32) {
        (self.states[at], self.index[at], self.counter[at])
    }
}

fn look(arena: &Arena, range: Range<u32>) -> Sight {
    Sight {
        states: range.clone().map(|writer| State::of(arena.record(writer))).collect(),
        index: numbers(arena.index, range.clone()),
        counter: numbers(arena.counter, range),
    }
}

fn numbers(table: &[AtomicU32], writers: Range<u32>) -> Vec<u32> {
    let numbers = &table[writers.start as usize..writers.end as usize];
    numbers.iter().map(|number| number.load(Acquire)).collect()
}

/// Whether a writer that was seen inside is dead or soon will be, without having moved.
fn is_dead(arena: &Arena, writer: u32, state: State) -> bool {
    let record = arena.record(writer);
    let started = Instant::now();
    while State::of(record) == state && started.elapsed() < DYING {
        if !arena.lives(record.process.load(SeqCst)) {
            // Once more, now that nothing can change any more.
            return State::of(record) == state;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}
