//! What the command reads and says: times on the command line, lines for people and for the journal, exit
//! statuses, metrics.
//!
//! Uses no other room. Right about how a thing is said: whatever goes wrong above becomes one line that says what,
//! which, and what to do, and has its status.

pub mod adoption;
pub mod advice;
pub mod exit;
pub mod exposition;
pub mod likeness;
pub mod lines;
pub mod live;
pub mod metric;
pub mod output;
pub mod progress;
pub mod screen;
pub mod seconds;
pub mod span;
pub mod status;
pub mod table;
pub mod terminal;
pub mod usage;
pub mod waiting;
