//! That an agent is there. Leased, and a hint only: a host whose agent is gone still has its writers.

use serde::{Deserialize, Serialize};

use super::identity::{Begun, Incarnation};

/// The value of a host's `live`, and of `rival`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    /// Which life of the agent.
    pub incarnation: Incarnation,
    /// The number of the host, as its disk has it.
    pub uuid: String,
    /// What the machine calls itself, for people.
    pub machine: String,
    /// The version of the program, for people.
    pub version: String,
    /// What its barriers look like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub barriers: Vec<Counts>,
    /// The last epoch whose verdict its catalogue was told: the host's part has its name, or is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Begun>,
    /// Somebody else wants to be this host: neither of the two takes part until one is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rival: Option<Box<Live>>,
}

impl Live {
    /// As people tell two machines of one name apart.
    pub fn described(&self) -> String {
        format!("{} (agent {})", self.machine, self.incarnation)
    }

    /// What is said of two that want to be one host.
    pub fn rivalry(&self, other: &Live) -> String {
        format!(
            "two machines have this name: {} and {}; give one another name, or stop its agent",
            self.described(),
            other.described()
        )
    }
}

/// One barrier of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Its name.
    pub barrier: String,
    /// Whether its gate is closed.
    pub closed: bool,
    /// How many have it open.
    pub writers: u64,
    /// How many are inside.
    pub shares: u64,
    /// Whether lost writers have not been acknowledged.
    #[serde(default)]
    pub dirty: bool,
    /// Why nothing of it could be counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
