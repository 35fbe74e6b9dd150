//! Values, and what of them may be believed.

use std::fmt::{self, Display, Formatter};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What this version speaks. Raised with each change that an older version must not pass over.
pub const PROTOCOL: u32 = 2;

/// A value with what it takes to understand it.
#[derive(Serialize)]
struct Written<'a, T> {
    protocol: u32,
    #[serde(flatten)]
    value: &'a T,
}

/// What is read first, and alone.
#[derive(Deserialize)]
struct Head {
    protocol: u32,
}

/// Why a value was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Another version wrote it.
    Foreign {
        /// What it speaks.
        protocol: u32,
    },
    /// Nobody of ours did.
    Damaged(String),
}

impl Display for Unreadable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Foreign { protocol } => write!(
                f,
                "it speaks protocol {protocol}, and this version {PROTOCOL}; install the same version of stillpoint-cluster on all hosts"
            ),
            Unreadable::Damaged(what) => write!(f, "it cannot be read: {what}"),
        }
    }
}

impl std::error::Error for Unreadable {}

/// A value as bytes.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(&Written { protocol: PROTOCOL, value }).expect("a record is JSON")
}

/// What the bytes say.
///
/// # Errors
/// What a newer version wrote for newer ones, and what is no such value, is refused.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
    let damaged = |error: serde_json::Error| Unreadable::Damaged(error.to_string());
    let head: Head = serde_json::from_slice(bytes).map_err(damaged)?;
    match head.protocol {
        1..=PROTOCOL => serde_json::from_slice(bytes).map_err(damaged),
        0 => Err(Unreadable::Damaged("protocol 0".to_owned())),
        protocol => Err(Unreadable::Foreign { protocol }),
    }
}

/// What the bytes say, of what is only there while something is under way: that is done by one version.
///
/// # Errors
/// As above, and what an older version wrote is refused too.
pub fn decode_ours<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
    match serde_json::from_slice(bytes) {
        Ok(Head { protocol }) if (1..PROTOCOL).contains(&protocol) => {
            Err(Unreadable::Foreign { protocol })
        }
        _ => decode(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        name: String,
    }

    fn read(text: &str) -> Result<Sample, Unreadable> {
        decode(text.as_bytes())
    }

    #[test]
    fn what_is_written_is_read() {
        let sample = Sample { name: "x".to_owned() };
        assert_eq!(encode(&sample), br#"{"protocol":2,"name":"x"}"#);
        assert_eq!(decode(&encode(&sample)), Ok(sample));
    }

    #[test]
    fn what_was_added_is_passed_over_and_what_was_changed_is_refused() {
        assert!(read(r#"{"protocol":1,"name":"x","more":[]}"#).is_ok());
        // Also when the rest would not be understood.
        assert_eq!(read(r#"{"protocol":3,"name":7}"#), Err(Unreadable::Foreign { protocol: 3 }));
        // What lasts is read when its writer is long gone; what is under way is not taken up by another version.
        for (protocol, is_ours) in [(1, false), (2, true), (3, false)] {
            let read = decode_ours::<Sample>(
                format!(r#"{{"protocol":{protocol},"name":"x"}}"#).as_bytes(),
            );
            assert_eq!(read.is_ok(), is_ours);
            assert!(is_ours || read == Err(Unreadable::Foreign { protocol }));
        }
        for damaged in [
            "",
            "{}",
            "[]",
            "{\"name\":\"x\"}",
            "{\"protocol\":1}",
            "{\"protocol\":0,\"name\":\"x\"}",
        ] {
            assert!(matches!(read(damaged), Err(Unreadable::Damaged(_))), "{damaged}");
        }
    }
}
