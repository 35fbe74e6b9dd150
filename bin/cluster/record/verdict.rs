//! How an epoch ended. Written once, by whoever comes first, and true for ever.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::epoch::Mode;
use super::identity::{Incarnation, Name};
use super::report::{Certificate, Failed, Taken};

/// The value of a verdict's key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The number of the epoch's coordinator: a store that was restored from a backup gives epochs out again.
    pub nonce: String,
    /// What is to be thought of the snapshots.
    pub outcome: Outcome,
    /// Why, unless it is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Failed>,
    /// When hosts opened; unknown to who only found that the epoch was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Who took part, and what each has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub members: BTreeMap<Name, Part>,
    /// Members that it did without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Name>,
    /// Who wrote it, for people.
    pub by: String,
    /// When, for people.
    pub when: String,
}

/// What is to be thought of an epoch's snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All members have a certificate: together they show one instant.
    Complete,
    /// Those that took part do, and others were left out, as was asked for.
    Partial,
    /// No: discard them.
    Aborted,
}

impl Outcome {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Complete => "complete",
            Outcome::Partial => "partial",
            Outcome::Aborted => "aborted",
        }
    }
}

/// A member's part in an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Which life of its agent.
    pub incarnation: Incarnation,
    /// What it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Taken>,
    /// That nobody wrote meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
}

impl Verdict {
    /// That of an epoch that came to nothing.
    pub fn aborted(nonce: &str, reason: Failed, by: &str, when: &str) -> Verdict {
        Verdict {
            nonce: nonce.to_owned(),
            outcome: Outcome::Aborted,
            reason: Some(reason),
            mode: None,
            members: BTreeMap::new(),
            missing: Vec::new(),
            by: by.to_owned(),
            when: when.to_owned(),
        }
    }

    /// Whether what it speaks of may be used.
    pub fn is_good(&self) -> bool {
        self.outcome != Outcome::Aborted
    }
}
