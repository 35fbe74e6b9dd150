//! What a process claims to hold, as its answers say.

use std::collections::BTreeMap;

/// Shares and pause of one process and what it made.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// Nesting depth, by who holds it: each of these stands in one slot.
    shares: BTreeMap<String, u32>,
    /// Whether it says that it has the exclusive side.
    pub pause: bool,
    /// Shares that it has lost on purpose.
    pub lost: u32,
}

/// What a command does to the share of somebody.
enum Change {
    Enter(String),
    Leave(String),
    /// Enters and leaves.
    Visit,
    /// A thread ends.
    End(String),
}

/// How many shares a death in the middle of a command leaves behind.
#[derive(Clone, Copy, Debug)]
pub struct Left {
    pub surely: u32,
    pub perhaps: u32,
}

fn change(command: &str) -> Option<Change> {
    let (who, words) = split(command);
    let verb = words.split(' ').next()?;
    let process: String = who.split_inclusive(' ').filter(|part| part.starts_with('>')).collect();
    Some(match verb {
        "shared" | "timed-shared" | "write-lock" => Change::Enter(format!("{who}share")),
        "leave" | "write-unlock" => Change::Leave(format!("{who}share")),
        "owned" => Change::Enter(format!("{process}counted")),
        "disown" => Change::Leave(format!("{process}counted")),
        "command-share" if words.ends_with(" watched") => Change::Enter(format!("{who}command")),
        "end-command-share" => Change::Leave(format!("{who}command")),
        "visit" => Change::Visit,
        "end-thread" => Change::End(format!("{who}@{} share", words.split(' ').nth(1)?)),
        _ => return None,
    })
}

/// Who does it, as the prefixes say, and what.
fn split(command: &str) -> (&str, &str) {
    let mut at = 0;
    while command[at..].starts_with(['@', '>']) {
        at += command[at..].find(' ').map_or(0, |space| space + 1);
    }
    command.split_at(at)
}

impl Claims {
    fn depth(&self, key: &str) -> u32 {
        self.shares.get(key).copied().unwrap_or(0)
    }

    /// It has answered, and not with an error.
    pub fn done(&mut self, command: &str) {
        match change(command) {
            Some(Change::Enter(key)) => *self.shares.entry(key).or_default() += 1,
            Some(Change::Leave(key)) => {
                let depth = self.shares.entry(key).or_default();
                *depth = depth.saturating_sub(1);
            }
            Some(Change::End(key)) if self.depth(&key) > 0 => {
                self.shares.remove(&key);
                self.lost += 1;
            }
            _ => {}
        }
        match split(command).1.split(' ').next() {
            Some("exclusive") => self.pause = true,
            Some("release") => self.pause = false,
            _ => {}
        }
    }

    /// Slots that it says it is inside in.
    pub fn inside(&self) -> u32 {
        self.shares.values().filter(|depth| **depth > 0).count() as u32
    }

    /// What its death now leaves, in the middle of a command if one is given.
    pub fn left(&self, command: Option<&str>) -> Left {
        let (mut surely, mut perhaps) = (self.inside() + self.lost, 0);
        match command.and_then(change) {
            Some(Change::Enter(key)) if self.depth(&key) == 0 => perhaps = 1,
            Some(Change::Leave(key)) if self.depth(&key) == 1 => {
                (surely, perhaps) = (surely - 1, 1)
            }
            Some(Change::Visit) => perhaps = 1,
            _ => {}
        }
        Left { surely, perhaps }
    }
}
