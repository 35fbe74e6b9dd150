//! The data of a snapshot, by its manifest: its name given and taken, itself removed, also for a run that died.
//!
//! Uses `provider` and `place`, and what lies below the snapshot. Right about what may be removed: what the
//! manifest tells to be its own, and nothing else.

pub mod current;
pub mod discarding;
pub mod pruning;
pub mod removal;
pub mod settling;
pub mod sweep;
pub mod unlinking;
pub mod volumes;
