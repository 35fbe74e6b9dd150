//! Membership: how a process and its threads own slots of a file, prove that they live, and are found dead.
//!
//! Uses `seat`, `report` and below. Right about life: nobody alive is taken for dead, and nobody dead inside a share is
//! forgotten, whatever a process does with its descriptors, its threads and its children.

pub(crate) mod alone;
pub(crate) mod attachment;
pub(crate) mod cookies;
pub(crate) mod cover;
pub(crate) mod cut;
pub(crate) mod fences;
pub(crate) mod healing;
pub(crate) mod inner;
pub(crate) mod join;
pub(crate) mod lifeline;
pub(crate) mod listeners;
pub(crate) mod mapping;
pub(crate) mod open;
pub(crate) mod process;
pub(crate) mod reclaim;
pub(crate) mod signature;
pub(crate) mod threads;
pub(crate) mod vantage;
