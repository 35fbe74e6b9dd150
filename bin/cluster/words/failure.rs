//! An error that knows its exit status.

use std::fmt::{self, Display, Formatter};

use super::exit::Exit;

/// What went wrong, on one line: what, who, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// With which status it ends.
    pub exit: Exit,
    /// What is said.
    pub text: String,
}

impl Failure {
    /// One of our own.
    pub fn new(exit: Exit, text: impl Into<String>) -> Failure {
        Failure { exit, text: text.into() }
    }
}

impl From<std::io::Error> for Failure {
    /// Of standard output, the only thing that is written without a name.
    fn from(error: std::io::Error) -> Failure {
        Failure::new(Exit::SYSTEM, format!("standard output: {error}"))
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}
