//! This process and those that it starts: what it inherits, the signals that end it, commands and their ends,
//! the tools it asks, and what /proc shows of others.
//!
//! Uses `words`. Right about who acts on a signal and who inherits what, and that nobody whom we have started is
//! left behind unseen.

pub mod apart;
pub mod child;
pub mod cluster;
pub mod descriptors;
pub mod dialogue;
pub mod ending;
pub mod faults;
pub mod ignored;
pub mod inherited;
pub mod leash;
pub mod lifetime;
pub mod proc;
pub mod reaper;
pub mod signals;
pub mod standby;
pub mod tool;
pub mod units;
