//! How a command has ended.

use crate::words::exit::Exit;

/// By itself, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Exited(u8),
    Killed(i32),
    /// It was still running at the limit and has been ended.
    AtLimit,
}

impl Ended {
    /// The status to pass on.
    pub fn exit(self) -> Exit {
        match self {
            Ended::Exited(status) => Exit::new(status),
            Ended::Killed(signal) => Exit::killed_by(signal),
            Ended::AtLimit => Exit::LIMIT,
        }
    }
}
