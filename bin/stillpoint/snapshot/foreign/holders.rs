//! Who holds a lock that is waited for, seen now and then.
//!
//! Somebody who is there at every look may hold it all the time, and is the one to look at. If nobody is, the
//! lock is not kept by anybody: it is in use so much that it is never free, and the remedy is another one.

use std::collections::BTreeMap;
use std::fs::File;
use std::time::{Duration, Instant};

use stillpoint::Writer;

use crate::words::waiting::who;

/// Between two looks, at least.
const LOOK: Duration = Duration::from_millis(50);
/// A look may mean looking at every process: it takes no more than one part in so many of the time.
const SHARE: u32 = 20;
/// As many looks tell whether somebody stays.
const ENOUGH: u32 = 3;
/// Named on a line.
const NAMED: usize = 4;

/// What was seen so far.
#[derive(Debug, Default)]
pub struct Holders {
    /// Looks that found anybody.
    looks: u32,
    seen: BTreeMap<u32, Seen>,
    next: Option<Instant>,
}

/// A process that was seen with the lock.
#[derive(Debug)]
struct Seen {
    writer: Writer,
    times: u32,
    last: u32,
}

/// Who is in the way.
pub enum InTheWay {
    /// These stay, as far as can be seen.
    Stay(String),
    /// Nobody stays: such as these come and go.
    Change(String),
}

impl Holders {
    /// Looks, if it is time to.
    pub fn look(&mut self, file: &File) {
        let now = Instant::now();
        if self.next.is_some_and(|next| now < next) {
            return;
        }
        let found = stillpoint::lock_holders(file);
        if !found.is_empty() {
            self.looks += 1;
        }
        for writer in found {
            let new = Seen { writer, times: 0, last: 0 };
            let seen = self.seen.entry(new.writer.pid).or_insert(new);
            (seen.times, seen.last) = (seen.times + 1, self.looks);
        }
        self.next = Some(Instant::now() + LOOK.max(now.elapsed() * SHARE));
    }

    /// Those of the last look.
    pub fn now(&self) -> String {
        self.names(|seen| seen.last == self.looks)
    }

    /// Looks once more and tells.
    pub fn tell(mut self, file: &File) -> InTheWay {
        self.next = None;
        self.look(file);
        let stays = |seen: &Seen| seen.times == self.looks;
        match self.seen.values().any(stays) {
            true => InTheWay::Stay(self.names(stays)),
            false if self.looks >= ENOUGH => InTheWay::Change(self.names(|_| true)),
            false => InTheWay::Stay(self.now()),
        }
    }

    fn names(&self, which: impl Fn(&Seen) -> bool) -> String {
        let chosen = self.seen.values().filter(|seen| which(seen)).map(|seen| &seen.writer);
        let mut names: Vec<String> =
            chosen.map(|writer| who(writer.pid, &writer.comm, "")).collect();
        if names.is_empty() {
            return "somebody who cannot be seen from here".to_owned();
        }
        if let more @ 1.. = names.len().saturating_sub(NAMED) {
            names.truncate(NAMED);
            names.push(format!("{more} more"));
        }
        names.join(", ")
    }
}
