//! Which snapshots of a catalogue a verb is about, by its options, and how one of them is shown.
//!
//! Uses `catalogue` and below. Right about whom a reader is sent to: the newest that is clean, or nobody.

pub mod chosen;
pub mod filter;
pub mod newest;
pub mod options;
pub mod shown;
