//! Files and folders, whatever is kept in them.
//!
//! Uses no other room. Right about names: none is given that somebody has, and one that is given outlives a power
//! cut.

pub mod folder;
pub mod names;
pub mod open;
pub mod sync;
