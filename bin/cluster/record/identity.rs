//! Who is who: groups, hosts, processes on them, and epochs.
//!
//! A host has a name, which people know, and a number of its own, made once and kept on its disk: a name may be
//! given to another machine, the number is not. An agent's incarnation is new each time it starts, so nobody takes
//! what one process promised for a promise of the next.

use std::borrow::Borrow;
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of a host or of a group, as it stands in keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Name, String> {
        let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let fault = match text {
            "" => "it is empty",
            _ if text.len() > 64 => "it is longer than 64 characters",
            _ if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) => {
                "it must begin with a letter or a digit"
            }
            _ if !text.chars().all(is_fit) => "only letters, digits and . _ - may stand in it",
            _ => return Ok(Name(text.to_owned())),
        };
        Err(format!("{text:?} cannot be a name: {fault}"))
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Name, String> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Display for Name {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An epoch: the revision at which its key was made. Greater ones came later, and none comes twice.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct EpochId(pub u64);

impl Display for EpochId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for EpochId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<EpochId, Self::Err> {
        text.parse().map(EpochId)
    }
}

/// An epoch with the number of its coordinator, for who may meet another one of that id: in a store that was
/// restored from a backup.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Begun {
    /// Which.
    pub id: EpochId,
    /// Whose.
    pub nonce: String,
}

/// One life of an agent: which boot of the kernel, and which process in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Incarnation {
    /// The kernel's boot id.
    pub boot: String,
    /// A random number of the process.
    pub agent: String,
}

impl Display for Incarnation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let short = |text: &str| text.chars().take(8).collect::<String>();
        write!(f, "{}/{}", short(&self.boot), short(&self.agent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_place_in_a_key() {
        for fit in ["a", "mail-1.example.org", "A_b", "9"] {
            assert_eq!(fit.parse::<Name>().unwrap().as_str(), fit);
        }
        for unfit in ["", ".", "..", "-a", "a/b", "a b", "a\n", "\u{e4}", &"a".repeat(65)] {
            assert!(unfit.parse::<Name>().is_err(), "{unfit:?}");
            let text = serde_json::to_string(unfit).unwrap();
            assert!(serde_json::from_str::<Name>(&text).is_err(), "{unfit:?}");
        }
    }
}
