//! The epoch: one group snapshot, from its beginning to its verdict.
//!
//! # Why what is complete shows one moment
//!
//! Let t be the moment at which `release` is committed. Every host's gate was closed before that host reported that
//! it was ready, so before t, and is opened by one swap after the host has seen `release`, so after t; that the
//! swap succeeds proves that nobody was let in between. So at t all gates are closed at once, nobody writes anywhere from
//! each snapshot's moment to t or from t to it, and together the snapshots show what there was at t. It does not matter
//! whether a snapshot is whole before t ([`Mode::HoldAll`]) or after it ([`Mode::Early`]), only that it lies inside its
//! own gate's closing. No clock, no lease and no count comes into it. `tests/model/cluster` searches the same machine, by
//! the same names, for an order of steps that breaks it.
//!
//! `prepare` serves the writers, not the proof: no gate is closed while another host still writes out what is dirty. An
//! epoch may do without it, and begin with `pause`: N reports and one phase less to write, and gates that wait for each
//! other's preparing. Of what is left nothing can be spared: each of N hosts speaks once before t and once after it, and
//! beginning, t and the verdict are written.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::identity::{EpochId, Name};

/// What every host is asked to do; the next one begins when all have said that they have done it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// All that takes long and stops nobody: tools started, plans made, the file system written out.
    Prepare,
    /// Gates are closed, and behind them snapshots are taken.
    Pause,
    /// Each host whose snapshot is whole opens its gate.
    Release,
}

impl Phase {
    /// That of an epoch whose hosts may take this long to prepare.
    pub fn first(prepare: Duration) -> Phase {
        match prepare.is_zero() {
            true => Phase::Pause,
            false => Phase::Prepare,
        }
    }
}

impl Display for Phase {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Prepare => "prepare",
            Phase::Pause => "pause",
            Phase::Release => "release",
        })
    }
}

/// When a host is ready for `release`; nothing else differs. Why both are right stands in the head of this file.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// When its snapshot is whole: so nobody opens before all have theirs.
    #[default]
    HoldAll,
    /// When nobody is inside: so each opens as soon as it has its own. Right only if what one host does to another
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
    /// How long a host may take to prepare; 0: there is no phase for it.
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
    /// The phase that it begins with.
    pub fn first(&self) -> Phase {
        Phase::first(Duration::from_millis(self.prepare_ms))
    }

    /// The same in another phase.
    pub fn at(&self, phase: Phase) -> Epoch {
        Epoch { phase, ..self.clone() }
    }
}
