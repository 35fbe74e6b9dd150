//! Which snapshots of a catalogue a verb is about, by its options, and how one of them is shown.
//!
//! It may use the catalogue and all below; the verbs use it.

pub mod filter;
pub mod records;
