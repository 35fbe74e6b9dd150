//! The epoch: one group snapshot, from its beginning to its verdict.

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

use super::identity::{EpochId, Name};

/// Where every host has to be for the next phase to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// All that takes long and stops nobody: tools started, plans made, the file system written out.
    Prepare,
    /// Gates are closed.
    Pause,
    /// Early mode: all are quiet, and each host takes its snapshot and opens.
    Snap,
    /// Hold-all mode: all have their snapshot, and open.
    Release,
}

impl Display for Phase {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Prepare => "prepare",
            Phase::Pause => "pause",
            Phase::Snap => "snap",
            Phase::Release => "release",
        })
    }
}

/// When a host opens its gate. Why both are right: each host's interval from its snapshot to its opening, or from
/// its closing to its snapshot, contains one and the same commit.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// When all hosts have their snapshot: the commit of `release` is in all intervals.
    #[default]
    HoldAll,
    /// When it has its own: the commit of `snap` is in all intervals. Right only if what one host does to another
    /// goes through the other's gate.
    Early,
}

impl Display for Mode {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::HoldAll => "hold-all",
            Mode::Early => "early",
        })
    }
}

/// The value of `begun`: the last epoch that began, and those before it. Its number is the revision that put it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beginning {
    /// The number of its coordinator.
    pub nonce: String,
    /// Those before it whose verdicts are kept, the newest first.
    #[serde(default)]
    pub before: Vec<EpochId>,
}

/// The value of the epoch's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epoch {
    /// Where it has got to.
    pub phase: Phase,
    /// When hosts open.
    pub mode: Mode,
    /// How long a host may take to prepare.
    pub prepare_ms: u64,
    /// How long it may take to become quiet.
    pub drain_ms: u64,
    /// How long its pause may last then.
    pub hold_ms: u64,
    /// Who conducts it, for people.
    pub coordinator: String,
    /// A number of this coordinator alone: who does not know whether its write arrived finds it here.
    pub nonce: String,
    /// Members that it does without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Name>,
}

impl Epoch {
    /// The same in another phase.
    pub fn at(&self, phase: Phase) -> Epoch {
        Epoch { phase, ..self.clone() }
    }
}
