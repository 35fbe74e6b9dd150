//! Files and folders, whatever is kept in them.
//!
//! Uses no other room. Right about names: none is given that somebody has, one that is given outlives a power cut, and
//! what somebody has named is looked at before it is opened.

pub mod aside;
pub mod folder;
pub mod handle;
pub mod names;
pub mod open;
pub mod sync;
