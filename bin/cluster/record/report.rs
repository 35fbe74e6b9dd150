//! What a host reports of its part in an epoch. There is one key for it, written over.

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

use super::identity::{EpochId, Incarnation};
use crate::words::exit::Exit;
use crate::words::failure::Failure;

/// What a host has done, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Everything before the closing.
    Prepared,
    /// Its gate is closed, and nobody is inside (early) or its snapshot is whole (hold-all).
    Ready,
    /// Its gate is open again, and nobody opened it before.
    Certified,
}

/// The value of a host's `rep`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Of which epoch.
    pub epoch: EpochId,
    /// The number of that epoch's coordinator: a store that was restored from a backup gives epochs out again.
    pub nonce: String,
    /// Who says so.
    pub incarnation: Incarnation,
    /// What is said.
    #[serde(flatten)]
    pub said: Said,
}

/// How far a host has come, or that it has come to nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step")]
pub enum Said {
    /// [`Step::Prepared`].
    #[serde(rename = "p")]
    Prepared,
    /// [`Step::Ready`].
    #[serde(rename = "r")]
    Ready,
    /// [`Step::Certified`], with all that there is to say.
    #[serde(rename = "c")]
    Certified {
        /// What was taken.
        snapshot: Taken,
        /// That nobody wrote meanwhile.
        certificate: Certificate,
    },
    /// It has no part in it, and why.
    #[serde(rename = "f")]
    Failed(Failed),
}

impl Display for Said {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Said::Prepared => "prepared",
            Said::Ready => "ready",
            Said::Certified { .. } => "certified",
            Said::Failed(failed) => return write!(f, "failed: {}", failed.text),
        })
    }
}

/// Why a host could not do its part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// One line: what, who, why.
    pub text: String,
    /// The exit status that the command documents for it.
    pub exit: u8,
}

impl From<Failed> for Failure {
    fn from(failed: Failed) -> Failure {
        Failure::new(Exit::of_host(failed.exit), failed.text)
    }
}

/// A host's snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Its name in the host's catalogue.
    pub name: String,
    /// Where its data is, if a provider of ours made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// What the host's own release said: that its gate's generation never moved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// Of the closed gates.
    #[serde(default)]
    pub generations: Vec<u64>,
    /// From closing to quiet.
    #[serde(default)]
    pub drain_ms: u64,
    /// From quiet to opening.
    #[serde(default)]
    pub hold_ms: u64,
    /// From closing to opening: what writers felt, at most.
    #[serde(default)]
    pub pause_ms: u64,
    /// Whether nothing else is wrong with it, such as a writer that had been lost before: a pause may be whole, and
    /// what it shows not.
    #[serde(default = "yes")]
    pub clean: bool,
    /// What else the host says, kept as it is.
    #[serde(flatten)]
    pub more: serde_json::Map<String, serde_json::Value>,
}

fn yes() -> bool {
    true
}

impl Default for Certificate {
    fn default() -> Certificate {
        Certificate {
            generations: Vec::new(),
            drain_ms: 0,
            hold_ms: 0,
            pause_ms: 0,
            clean: true,
            more: serde_json::Map::new(),
        }
    }
}
