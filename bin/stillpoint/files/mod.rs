//! Files and folders, whatever is kept in them: their names, and that they outlive a power cut.
//!
//! As low as the words, which it does not need.

pub mod folder;
pub mod names;
pub mod sync;
