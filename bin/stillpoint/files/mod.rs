//! Files and folders, whoever keeps something in them.
//!
//! As low as the words, which it does not need.

pub mod folder;
