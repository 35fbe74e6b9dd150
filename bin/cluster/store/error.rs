//! Why an engine did not do what it was asked for.

use std::fmt;

use crate::words::exit::Exit;
use crate::words::failure::Failure;

/// Each says what was the matter, in the engine's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// No answer within the patience, and nothing was changed.
    Unreachable(String),
    /// No answer within the patience. It may have been done, or may yet be.
    Unknown(String),
    /// Refused for who this is, or for what it may do.
    Denied(String),
    /// The lease that a key was to have is gone.
    LeaseGone,
    /// What was said of the store's servers, of files and of users, is wrong.
    Settings(String),
    /// It cannot be done, however often it is tried.
    Invalid(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Unreachable(why) => write!(f, "no answer from the store: {why}"),
            StoreError::Unknown(why) => {
                write!(f, "no answer from the store, which may have done it: {why}")
            }
            StoreError::Denied(why) => write!(f, "the store refuses: {why}"),
            StoreError::LeaseGone => write!(f, "the lease has run out"),
            StoreError::Settings(why) => f.write_str(why),
            StoreError::Invalid(why) => write!(f, "the store cannot do that: {why}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl StoreError {
    /// The exit status of who gives up because of it.
    pub fn exit(&self) -> Exit {
        match self {
            StoreError::Unreachable(_) | StoreError::Unknown(_) => Exit::UNAVAILABLE,
            StoreError::Denied(_) => Exit::DENIED,
            StoreError::Settings(_) => Exit::USAGE,
            StoreError::LeaseGone => Exit::CONFLICT,
            StoreError::Invalid(_) => Exit::INTERNAL,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        Failure::new(error.exit(), error.to_string())
    }
}

/// What a single try came to, other than an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It never left, so nothing was done.
    NotSent(String),
    /// It may have been done.
    Lost(String),
    /// Another try would come to the same.
    Final(StoreError),
}
