//! Values, and what of them may be believed.

use std::fmt::{self, Display, Formatter};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What this version speaks. Raised with each change that an older version must not pass over.
pub const PROTOCOL: u32 = 1;

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
    /// A newer version wrote it.
    Newer {
        /// What it speaks.
        protocol: u32,
    },
    /// Nobody of ours did.
    Damaged(String),
}

impl Display for Unreadable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Newer { protocol } => write!(
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
        protocol => Err(Unreadable::Newer { protocol }),
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
        assert_eq!(encode(&sample), br#"{"protocol":1,"name":"x"}"#);
        assert_eq!(decode(&encode(&sample)), Ok(sample));
    }

    #[test]
    fn what_was_added_is_passed_over_and_what_was_changed_is_refused() {
        assert!(read(r#"{"protocol":1,"name":"x","more":[]}"#).is_ok());
        // Also when the rest would not be understood.
        assert_eq!(read(r#"{"protocol":2,"name":7}"#), Err(Unreadable::Newer { protocol: 2 }));
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
