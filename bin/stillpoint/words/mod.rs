//! What the command reads and says: times on the command line, lines for people and for the journal, exit
//! statuses, metrics.
//!
//! The lowest room: it names no other. Whatever goes wrong above becomes a [`exit::Failure`] with one line that
//! says what, which, and what to do, and here alone it is decided how such a line is written.

pub mod advice;
pub mod exit;
pub mod exposition;
pub mod seconds;
pub mod span;
pub mod usage;
pub mod waiting;
