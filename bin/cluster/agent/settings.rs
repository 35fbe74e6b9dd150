//! What an agent is told when it starts.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;
use std::time::Duration;

use super::totals::Totals;
use crate::record::identity::{Incarnation, Name};
use crate::record::keys::Keys;

/// The settings of an agent.
#[derive(Clone)]
pub struct Settings {
    /// Its group.
    pub group: Name,
    /// The keys of that.
    pub keys: Keys,
    /// The host's name.
    pub host: Name,
    /// What the machine calls itself, for people.
    pub machine: String,
    /// This life of the agent.
    pub incarnation: Incarnation,
    /// How long it may be silent before the others give it up.
    pub lease: Duration,
    /// The longest that it lets itself be drained, whatever a coordinator asks for.
    pub drain: Duration,
    /// The longest that it lets itself be held.
    pub hold: Duration,
    /// How long its gate stays open between two epochs, at least.
    pub min_open: Duration,
    /// How often it says what its barriers look like; never, if it is not said.
    pub counts: Option<Duration>,
    /// What it counts.
    pub totals: Totals,
    /// Where its lines go.
    pub log: Log,
}

/// Where lines go.
#[derive(Clone)]
pub struct Log(pub Arc<dyn Fn(&str) + Send + Sync>);

impl Log {
    /// Nowhere.
    pub fn none() -> Log {
        Log(Arc::new(|_| {}))
    }

    /// A line.
    pub fn say(&self, line: &str) {
        (self.0)(line);
    }
}

impl Debug for Log {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Log")
    }
}

impl Debug for Settings {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Settings({}/{})", self.group, self.host)
    }
}
