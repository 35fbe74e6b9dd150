//! A snapshot of many hosts at one moment: what the manifest of one host's part says of the whole.
//!
//! The part has its own certificate, and that is not enough: the whole is complete if every host has one. So it waits,
//! *certified* and under its temporary name, until somebody has read the verdict and says so. A verdict is
//! written once: what it says, no other one takes back.
//! With it come the members and their snapshots, so that each host knows what belongs together, whatever becomes of the
//! place where the verdict was written.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Whose part it is, and what became of the whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRecord {
    pub name: String,
    /// A number larger than those of all that the group has begun before.
    pub epoch: u64,
    /// What tells that one from another of this number, should the numbers have begun anew; `null` if nothing does.
    #[serde(default)]
    pub nonce: Option<String>,
    /// What this host is called among the members.
    pub host: String,
    pub mode: Mode,
    /// `null`: nobody has said.
    pub verdict: Option<Verdict>,
    /// Each host, and its part: since the verdict is there.
    #[serde(default)]
    pub members: Value,
    /// Where the verdict was written, its place in the order of all that was written there.
    #[serde(default)]
    pub revision: Option<u64>,
}

/// When the hosts of a group open their gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// When all have their snapshots.
    HoldAll,
    /// Each when it has its own.
    Early,
}

/// What became of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every member has its certificate.
    Complete,
    /// Some are missing, and that was allowed; never clean.
    Partial,
    /// There is no such snapshot; the data of this part is removed.
    Aborted,
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Complete => "complete",
            Verdict::Partial => "partial",
            Verdict::Aborted => "aborted",
        }
    }
}

/// A verdict, with what was said with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sentence {
    Complete(Whole),
    Partial(Whole),
    /// Why.
    Aborted(String),
}

/// Who belongs together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Whole {
    pub members: Value,
    #[serde(default)]
    pub revision: Option<u64>,
}

impl Whole {
    /// From JSON: an object with `members`, itself an object with an entry for each host.
    pub fn parse(text: &str) -> Result<Whole, String> {
        let whole: Whole = serde_json::from_str(text).map_err(|error| error.to_string())?;
        match whole.members.as_object() {
            Some(members) if !members.is_empty() => Ok(whole),
            _ => Err("members must be an object with an entry for each host".to_owned()),
        }
    }
}

impl Whole {
    /// Whether this host is a member, with this snapshot if it says which.
    fn has(&self, host: &str, snapshot: &str) -> bool {
        let Some(part) = self.members.get(host) else { return false };
        let known = part.as_str().or(part["name"].as_str()).or(part["snapshot"].as_str());
        known.is_none_or(|known| known == snapshot)
    }
}

impl Sentence {
    /// What it says of one part. Of a complete snapshot every part that anybody has made is one; others than the members of
    /// a partial one are none of it.
    pub fn on(&self, group: &GroupRecord, snapshot: &str) -> Result<Sentence, String> {
        let host = &group.host;
        match self {
            Sentence::Complete(whole) if !whole.has(host, snapshot) => {
                Err(format!("its members do not have {snapshot} of {host}"))
            }
            Sentence::Partial(whole) if !whole.has(host, snapshot) => {
                Ok(Sentence::Aborted(format!("it does without {snapshot} of {host}")))
            }
            sentence => Ok(sentence.clone()),
        }
    }

    pub fn verdict(&self) -> Verdict {
        match self {
            Sentence::Complete(_) => Verdict::Complete,
            Sentence::Partial(_) => Verdict::Partial,
            Sentence::Aborted(_) => Verdict::Aborted,
        }
    }
}

/// What a verdict is to a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The one that it waits for.
    Awaited,
    /// The one that it has, or that it comes to: what failed is no part of anything.
    Known,
    /// Another one than it has, or one that cannot be.
    Contradicted,
}
