//! Who belongs to the group. Durable: a host is a member until it leaves or is put out, alive or not.

use serde::{Deserialize, Serialize};

use super::identity::Name;

/// The value of a member's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The number of the host, as its disk has it.
    pub uuid: String,
    /// What the machine called itself when it joined, for people.
    pub machine: String,
    /// When, for people.
    pub joined: String,
}

impl Member {
    /// What is said on a machine that has the name of this member, and another number.
    pub fn is_another(&self, machine: &str) -> String {
        let Member { machine: own, joined, .. } = self;
        match own == machine {
            true => format!(
                "{own} joined by this name on {joined}, and what it must remember is not here: if that was lost, `join --fenced` takes its place; if this is a copy of that machine, give it another name"
            ),
            false => format!(
                "another machine, {own}, joined by this name on {joined}: give this one another name, or, if that one is dead, take its place by `join --fenced`"
            ),
        }
    }
}

/// The value of `rosterver`: the last change. What counts is the revision at which it was put.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What was done.
    pub what: What,
    /// To whom.
    pub host: Name,
    /// On which machine it was asked for, for people.
    pub by: String,
    /// When, for people.
    pub when: String,
    /// Told apart by who does not know whether its change arrived.
    pub nonce: String,
}

/// A change of the roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// A host became a member.
    Join,
    /// It went by itself.
    Leave,
    /// It was put out, by somebody who says that its writers cannot reach the store any more.
    Evict,
}

/// The value of `evicted`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evicted {
    /// The number it had.
    pub uuid: String,
    /// Who put it out, for people.
    pub by: String,
    /// When, for people.
    pub when: String,
}
